"""How a place is named in a query: the Go tool's ``path`` and ``bucket_name``."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import Query

from milvus_backup_server.http.bodies import BUCKET, PATH

PLACE_NAMES: Final = {"place.bucket_name": "bucket_name", "place.path": "path"}
"""What callers write, by the names of the contract."""

PathQuery: TypeAlias = Annotated[str, Query(description=PATH)]
BucketQuery: TypeAlias = Annotated[str, Query(description=BUCKET)]
