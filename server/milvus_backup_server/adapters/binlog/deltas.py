"""Delta logs: deleted keys and when.

Source: Milvus's ``internal/storage`` (delta_data.go, serde_delta.go). There are three forms: one
column of texts, each a JSON object with ``pk`` and ``ts`` (2.3 and later) or ``pk,ts`` for int64
keys (before); two columns, the key and the timestamp (later, within events or not).
"""

from __future__ import annotations

import json

from milvus_backup_server.adapters.binlog.files import Table
from milvus_backup_server.adapters.binlog.values import valid_key, valid_timestamp
from milvus_backup_server.domain.binlogs import Delete

_PAIR = 2


def deletes_of(batch: Table) -> list[Delete]:
    """Return the deletes of a batch of a delta log.

    Raises:
        ValueError: It has none of the three forms.
    """
    if batch.num_columns == 1:
        return [_parsed(text) for text in batch.column(0).to_pylist()]
    if batch.num_columns != _PAIR:
        raise ValueError(f"a delta log has {batch.num_columns} columns")
    keys, timestamps = (batch.column(at).to_pylist() for at in range(_PAIR))
    return [_delete(key, at) for key, at in zip(keys, timestamps, strict=True)]


def _parsed(text: object) -> Delete:
    if not isinstance(text, str | bytes):
        raise TypeError(f"a delete is {type(text).__name__}")
    try:
        found = json.loads(text)
    except ValueError:
        key, _, timestamp = (text if isinstance(text, str) else text.decode()).partition(",")
        return _delete(int(key), int(timestamp))
    if not isinstance(found, dict):
        raise TypeError("a delete is no JSON object")
    return _delete(found.get("pk"), found.get("ts"))


def _delete(key: object, timestamp: object) -> Delete:
    return Delete(valid_key(key), valid_timestamp(timestamp))
