"""The names of all settings of configuration v2, in files and in the environment."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from milvus_backup_server.settings.models import known_keys

KEYS: Final = {key.lower(): key for key in known_keys()}
"""Every key as it is spelled, by its lower-case form."""

_CREDENTIALS: Final = {
    "ACCOUNT_NAME": "accountName",
    "AUTH_ACCESS_KEY_ID": "auth.accessKeyID",
    "AUTH_SECRET_ACCESS_KEY": "auth.secretAccessKey",
    "AUTH_SESSION_TOKEN": "auth.sessionToken",
    "AUTH_ACCOUNT_KEY": "auth.accountKey",
    "AUTH_CREDENTIALS_FILE": "auth.credentialsFile",
}

VARIABLES: Final = {
    "MILVUS_USER": "milvus.user",
    "MILVUS_PASSWORD": "milvus.password",
    **{f"MILVUS_STORAGE_{name}": f"milvus.storage.{key}" for name, key in _CREDENTIALS.items()},
    **{f"BACKUP_STORAGE_{name}": f"backup.storage.{key}" for name, key in _CREDENTIALS.items()},
    "ZILLIZ_CLOUD_API_KEY": "zillizCloud.apiKey",
}
"""Environment variables, for credentials only: others collide with what Kubernetes sets."""

PORT_VARIABLE: Final = "SERVER_PORT"
"""The variable of the Go tool's command ``server``, which belongs to no version of the settings."""
PORT_KEY: Final = "service.http.port"

OURS: Final = "service."
"""What the keys begin with that the Go tool does not know and ignores."""

_SECRET_NAMES: Final = frozenset(
    {"password", "secretAccessKey", "sessionToken", "accountKey", "credentialsFile", "apiKey"}
)


def is_section(key: str) -> bool:
    """Tell whether a lower-case key stands for settings below it."""
    return any(known.startswith(f"{key}.") for known in KEYS)


def is_confidential(key: str) -> bool:
    """Tell whether a key holds what should stay out of files that are handed on."""
    return key.rpartition(".")[2] in _SECRET_NAMES


def variable_of(key: str) -> str:
    """Return the environment variable of a key as it is spelled; empty if it has none."""
    return next((name for name, known in VARIABLES.items() if known == key), "")


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known name that is most like one that is not; empty if none is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(key.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else ""
