"""Answers of an S3 API as values of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from milvus_backup_server.domain.objects import ListPage, ObjectInfo

if TYPE_CHECKING:  # the stubs are a tool of development
    from types_aiobotocore_s3.type_defs import ListObjectsV2OutputTypeDef, ObjectTypeDef


def bare(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip('"')


def page_of(answer: ListObjectsV2OutputTypeDef) -> ListPage:
    """Return a page of a listing."""
    return ListPage(
        tuple(_listed(row) for row in answer.get("Contents", [])),
        tuple(row["Prefix"] for row in answer.get("CommonPrefixes", [])),
        # Without a token the list would end here, shorter than the truth: hence no ``get``.
        answer["NextContinuationToken"] if answer["IsTruncated"] else "",
    )


def below(page: ListPage, prefix: str) -> ListPage:
    """Return a page without the prefix itself."""
    # SeaweedFS shows a directory whose last object is gone as an object, for some minutes.
    return replace(page, objects=tuple(item for item in page.objects if item.key != prefix))


def _listed(row: ObjectTypeDef) -> ObjectInfo:
    return ObjectInfo(row["Key"], row["Size"], bare(row["ETag"]), utc(row.get("LastModified")))


def utc(moment: datetime | None) -> datetime | None:
    """Return a time in UTC."""
    return moment.astimezone(UTC) if moment else None


def date_of(answer: Mapping[str, object]) -> datetime | None:
    """Return the time of the answer by the store's clock; None if it does not tell."""
    meta = answer.get("ResponseMetadata")
    headers = meta.get("HTTPHeaders") if isinstance(meta, Mapping) else None
    date = headers.get("date") if isinstance(headers, Mapping) else None
    try:
        return utc(parsedate_to_datetime(date)) if date else None
    except ValueError:  # a date that is none; nothing depends on it
        return None
