"""``service.storage``: what the Go tool's keys do not say of object stores."""

from __future__ import annotations

from milvus_backup_server.settings.section import Section
from milvus_backup_server.settings.values import (
    Addressing,
    Count,
    Encryption,
    Places,
    Seconds,
    StorageClass,
)


class StoreAccessSettings(Section):
    """``service.storage.milvus`` and ``.backup``: how a store is reached, and how written to.

    ``ca_cert_path`` is trusted instead of the usual authorities. ``addressing`` says whether the bucket is
    part of the path or of the host's name. ``storage_class`` and ``encryption`` are asked for with every
    object that is written or copied there; ``kms_key_id`` is for SSE-KMS, empty for the store's own.
    """

    ca_cert_path: str = ""
    addressing: Addressing = "auto"
    storage_class: StorageClass = ""
    encryption: Encryption = "none"
    kms_key_id: str = ""


class StorageWaitSettings(Section):
    """``service.storage``: how long object stores are waited for, and how each is used.

    A request may take ``request_timeout_seconds``, and as much longer as its bytes need at
    ``slowest_mib_per_second``. ``allowed_places`` are those in or below which callers may have backups beside
    ``backup.storage``, at its address: ``bucket/path``, or ``/path`` for its own bucket, or a directory.
    """

    connect_timeout_seconds: Seconds = 5.0
    request_timeout_seconds: Seconds = 60.0
    slowest_mib_per_second: Count = 1
    retry_budget_seconds: Seconds = 120.0
    create_backup_bucket: bool = True
    allowed_places: Places = ()
    milvus: StoreAccessSettings = StoreAccessSettings()
    backup: StoreAccessSettings = StoreAccessSettings()
