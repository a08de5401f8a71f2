"""What most end-to-end tests and the demo need: one S3 server and one Milvus, a second if asked."""

import json
import threading
from types import TracebackType
from typing import Any, Self

from tests.support import policies
from tests.support.milvus import MilvusStandalone
from tests.support.seaweedfs import SeaweedFS

MILVUS_BUCKET = "milvus-one"
BACKUP_BUCKET = "backups"
BACKUP_ROOT = "backup"

# Seconds. Nobody kills these; a machine that is busy with much else must not be taken for their death.
_SESSION_TTL = 60


class Environment:
    """One SeaweedFS, a Milvus in it, and a second Milvus with its own bucket when asked for.

    Blocking: an asyncio program starts it by `asyncio.to_thread(environment.start)`. A context
    manager: entering starts it, leaving stops everything and removes all data.
    """

    def __init__(self) -> None:
        """Choose ports and directories; nothing is started yet."""
        self.seaweed = SeaweedFS(identities=policies.identities(MILVUS_BUCKET, BACKUP_BUCKET))
        self.milvus = MilvusStandalone(self.seaweed, MILVUS_BUCKET, session_ttl=_SESSION_TTL)
        self._second: MilvusStandalone | None = None
        self._lock = threading.Lock()

    def start(self) -> Self:
        """Start SeaweedFS and the first Milvus and wait until both are ready.

        Raises:
            StartError: one of them did not start; what had started is stopped.
        """
        try:
            # One after the other: a Milvus that finds no store backs off for longer than that.
            self.seaweed.start()
            self.seaweed.make_bucket(BACKUP_BUCKET)
            self.milvus.start()
        except BaseException:
            self.stop()
            raise
        return self

    def second_milvus(self) -> MilvusStandalone:
        """Return the second Milvus, which has a bucket of its own; the first call starts it."""
        with self._lock:
            if self._second is None:
                self._second = MilvusStandalone(
                    self.seaweed, "milvus-two", session_ttl=_SESSION_TTL
                )
            return self._second.start()

    def stop(self) -> None:
        """Stop everything and remove all data."""
        for milvus in (self._second, self.milvus):
            if milvus is not None:
                milvus.stop()
        self.seaweed.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def service_settings(
    seaweed: SeaweedFS,
    milvus: MilvusStandalone,
    *,
    backup_bucket: str = BACKUP_BUCKET,
    backup_root: str = BACKUP_ROOT,
) -> dict[str, Any]:
    """Return the service's configuration (the Go tool's keys, version 2) for these servers."""
    user, _, password = milvus.token.partition(":")
    return {
        "configVersion": "v2",
        "milvus": {
            "user": user,
            "password": password,
            "grpc": {"address": milvus.host, "port": milvus.port},
            "rest": {"endpoint": milvus.uri},
            "management": {"endpoint": milvus.management_endpoint},
            "etcd": {"endpoints": [f"{milvus.host}:{milvus.ports.etcd}"]},
            "storage": _storage(seaweed, milvus.bucket, milvus.root_path),
        },
        "backup": {"storage": _storage(seaweed, backup_bucket, backup_root)},
    }


def as_yaml(settings: dict[str, Any]) -> str:
    """Return settings as the text of a configuration file."""
    return json.dumps(settings, indent=2)  # JSON is YAML


def _storage(seaweed: SeaweedFS, bucket: str, root: str) -> dict[str, object]:
    return {
        "provider": "minio",
        "address": seaweed.host,
        "port": seaweed.port,
        "region": seaweed.region,
        "useSSL": False,
        "bucketName": bucket,
        "rootPath": root,
        "auth": {
            "type": "static",
            "accessKeyID": seaweed.access_key,
            "secretAccessKey": seaweed.secret_key,
        },
    }
