"""Names from outside: which are allowed, and what they mean.

The rule for backup names is the Go tool's ``ValidateName``; it also keeps them safe as parts of
keys.
"""

from __future__ import annotations

import re

MAX_BACKUP_NAME = 128
BACKUP_NAME_RULE = "a backup name begins with a letter or _ and has only letters, digits and _, at most 128 characters"
COLLECTION_NAME_RULE = (
    "expected collection, database.collection, database.* (all of its collections) or database. "
    "(itself alone), each name of letters, digits and _, no digit first"
)

_BACKUP_NAME = re.compile(r"[_A-Za-z][A-Za-z0-9_]*")
_MILVUS_NAME = re.compile(r"[_A-Za-z][A-Za-z0-9_]*")
_MAX_MILVUS_NAME = 255
MILVUS_NAME_RULE = f"letters, digits and _, no digit first, at most {_MAX_MILVUS_NAME} characters"
_OPERATION = re.compile(r"[0-9]{8}t[0-9]{6}_[0-9a-f]{8}")
_TEMPORARY = re.compile(r"_mbtmp_[0-9A-Za-z_]+_\d+")


def is_backup_name(text: str) -> bool:
    """Tell whether a backup may have this name."""
    return len(text) <= MAX_BACKUP_NAME and bool(_BACKUP_NAME.fullmatch(text))


def is_milvus_name(text: str) -> bool:
    """Tell whether Milvus accepts this as the name of a collection or database."""
    return len(text) <= _MAX_MILVUS_NAME and bool(_MILVUS_NAME.fullmatch(text))


def is_operation_name(text: str) -> bool:
    """Tell whether this service may have given an operation this name: only then it is part of a key."""
    return bool(_OPERATION.fullmatch(text))


def temporary_name(operation: str, number: int) -> str:
    """Return the name under which an operation builds its n-th collection."""
    return f"_mbtmp_{operation}_{number}"


def temporary_owner(name: str) -> str:
    """Return the operation that a temporary name carries."""
    return name.removeprefix("_mbtmp_").rpartition("_")[0]


def is_temporary_name(name: str) -> bool:
    """Tell whether a collection is one that an operation of this service builds, or left behind."""
    return bool(_TEMPORARY.fullmatch(name))
