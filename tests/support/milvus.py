"""Real Milvus 2.3.5 standalone servers, several side by side, on an S3 server's bucket."""

import shutil
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.support.milvus_binary import CONFIG_TEMPLATE, unpacked_milvus
from tests.support.milvus_config import (
    COMPACTIONS_ON_DEMAND,
    FAST,
    HOST,
    Ports,
    as_environment,
    merged,
    milvus_settings,
    storage_settings,
    write_configuration,
)
from tests.support.processes import (
    ChildProcess,
    free_ports,
    http_ok,
    plain_environment,
    run_directory,
)
from tests.support.seaweedfs import SeaweedFS

_START_TIMEOUT = 120.0
_SHORTEST_BUCKET = 3


class MilvusStandalone:
    """One Milvus on free ports of 127.0.0.1, its data in `bucket` and a run directory.

    A context manager: entering starts it, leaving stops it and removes the run directory (the
    bucket stays).
    """

    host = HOST

    def __init__(
        self,
        seaweed: SeaweedFS,
        bucket: str,
        *,
        root_path: str = "files",
        authorization: bool = False,
        session_ttl: int = 5,
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        """Choose ports and a run directory; nothing is started yet.

        Args:
            seaweed: where the bucket is; it must be ready when Milvus starts.
            bucket: made by Milvus if it is not there.
            root_path: prefix of Milvus's keys in the bucket.
            authorization: users are checked; there is `root` with the password `Milvus`.
            session_ttl: seconds; a restart after SIGKILL waits that long for the old session, and
                a process that is stopped or starved for longer gives up.
            overrides: sections of milvus.yaml that win over everything above.

        Raises:
            ValueError: the bucket's name is too short for Milvus.
        """
        if len(bucket) < _SHORTEST_BUCKET:
            raise ValueError(f"{bucket!r}: shorter than {_SHORTEST_BUCKET} characters")
        self.bucket = bucket
        self.root_path = root_path
        self.authorization = authorization
        self.ports = Ports(*free_ports(len(Ports._fields)))
        self.directory = run_directory("milvus")
        own = milvus_settings(self.ports, self.directory, session_ttl=session_ttl)
        security = {"common": {"security": {"authorizationEnabled": authorization}}}
        storage = storage_settings(seaweed, bucket, root_path)
        settings = FAST
        for part in (COMPACTIONS_ON_DEMAND, own, storage, security, overrides or {}):
            settings = merged(settings, part)
        self.settings = settings
        self._process: ChildProcess | None = None

    @property
    def port(self) -> int:
        """The port of the gRPC API, and of the REST API too."""
        return self.ports.proxy

    @property
    def address(self) -> str:
        """The gRPC API as host:port."""
        return f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        """The gRPC and REST API as a URL, as pymilvus wants it."""
        return f"http://{self.address}"

    @property
    def management_port(self) -> int:
        """The port of /healthz, /metrics and /management."""
        return self.ports.metrics

    @property
    def management_endpoint(self) -> str:
        """The URL of /healthz, /metrics and /management, without a slash at its end."""
        return f"http://{self.host}:{self.management_port}"

    @property
    def token(self) -> str:
        """User and password for pymilvus; empty without authorization."""
        return "root:Milvus" if self.authorization else ""

    @property
    def process(self) -> ChildProcess:
        """The running server, for signals.

        Raises:
            RuntimeError: it was not started.
        """
        if self._process is None:
            raise RuntimeError("Milvus is not running")
        return self._process

    def launch(self) -> None:
        """Start the server without waiting for it, with the data that an earlier run left."""
        binary = unpacked_milvus()
        configs = write_configuration(self.directory, self.ports, binary / CONFIG_TEMPLATE)
        self._process = ChildProcess(
            [binary / "milvus", "run", "standalone"],
            directory=self.directory,
            log=self.directory / "milvus.log",
            ports=self.ports,
            environment=plain_environment(
                DEPLOY_MODE="STANDALONE",
                LD_LIBRARY_PATH=str(binary),
                METRICS_PORT=str(self.management_port),
                MILVUSCONF=str(configs),
                MILVUS_RUN_DIR=str(self.directory / "run"),
                **as_environment(self.settings),
            ),
        )

    def wait_ready(self) -> None:
        """Wait until every component says that it is healthy.

        Raises:
            StartError: it ended or did not get ready in time; the message ends with its log.
        """
        health = f"{self.management_endpoint}/healthz"
        self.process.wait_until(lambda: http_ok(health), timeout=_START_TIMEOUT)

    def start(self) -> Self:
        """Start the server and wait until it is ready; nothing happens when it runs."""
        if self._process is None or not self._process.running:
            self.launch()
        self.wait_ready()
        return self

    def kill(self) -> None:
        """End it by SIGKILL; the data stays, `start` goes on with it on the same ports.

        SIGTERM is no way to stop: Milvus 2.3.5 was still there a minute later.
        """
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same ports and data."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and remove its run directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
