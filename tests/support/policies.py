"""The policies that docs/stores.md shows, as identities of a SeaweedFS."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.seaweedfs import Identity

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
SECRET = "of-a-login-with-few-rights"
COPY = "CopyByTheStore"

# SeaweedFS knows fewer kinds of actions than AWS.
_ACTIONS = {
    "s3:GetObject": "Read",
    "s3:PutObject": "Write",
    "s3:DeleteObject": "Write",
    "s3:AbortMultipartUpload": "Write",
    "s3:ListBucket": "List",
    "s3:ListBucketMultipartUploads": "List",
}


def identities(milvus_bucket: str, backup_bucket: str) -> list[Identity]:
    """Return the logins of both stores, each with and without the right to copy across.

    Their names are `milvus`, `milvus-apart`, `backup` and `backup-apart`.
    """
    names = {"milvus-bucket": milvus_bucket, "backup-bucket": backup_bucket}
    milvus, backup = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    made = []
    for name, text in (("milvus", milvus), ("backup", backup)):
        statements = json.loads(text)["Statement"]
        assert COPY in {statement.get("Sid") for statement in statements}
        apart = [statement for statement in statements if statement.get("Sid") != COPY]
        for login, chosen in ((name, statements), (f"{name}-apart", apart)):
            actions = {action for it in chosen for action in _actions(it, names)}
            made.append(Identity(login, SECRET, tuple(sorted(actions))))
    return made


def _actions(statement: Mapping[str, Any], buckets: Mapping[str, str]) -> Iterator[str]:
    for action in _listed(statement["Action"]):
        for resource in _listed(statement["Resource"]):
            bucket, _, path = resource.removeprefix("arn:aws:s3:::").partition("/")
            yield f"{_ACTIONS[action]}:{buckets[bucket]}" + (f"/{path}" if path else "")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
