"""Where the tutorial is followed: a folder with the sample configuration, and an empty Milvus."""

import shlex
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.clients import connected
from tests.support.environment import Environment
from tests.support.milvus import MilvusStandalone
from tests.support.processes import ChildProcess, free_ports, http_ok, plain_environment
from tests.support.readme import alike
from tests.support.seaweedfs import SeaweedFS

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "configs" / "backup.yaml"
SAMPLE_BUCKET = "a-bucket"
EXAMPLE = ROOT / "example"

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_START_SECONDS = 90
_STOP_SECONDS = 90


class Tutorial:
    """A folder with `configs/backup.yaml` in it, and the Milvus that it names.

    Attributes:
        folder: Where the programs are run.
        uri: Milvus.
        seen: What was written to standard output, by the command as a README shows it.
    """

    def __init__(self, folder: Path, seaweed: SeaweedFS, milvus: MilvusStandalone) -> None:
        self.folder = folder
        self.uri = milvus.uri
        self.seen: dict[str, list[str]] = defaultdict(list)
        self._bucket = milvus.bucket
        (folder / "configs").mkdir()
        configuration = folder / "configs" / "backup.yaml"
        configuration.write_text(_sample_for(seaweed, milvus), encoding="utf-8")

    def example(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the folder `example` on our Milvus."""
        shown = shlex.join(["python", f"example/{script}", *arguments])
        words = [sys.executable, str(EXAMPLE / script), *arguments, "--uri", self.uri]
        return self._run(shown, words)

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a `milvus-backup` command line in the folder."""
        words = [str(_SCRIPTS / "milvus-backup"), *shlex.split(command)[1:]]
        return self._run(command, words, **environment)

    def record(self, command: str, output: str) -> None:
        """Remember what a command wrote, with the sample's bucket instead of ours in it."""
        self.seen[alike(command)].append(output.replace(self._bucket, SAMPLE_BUCKET))

    def _run(
        self, shown: str, words: Sequence[str], **environment: str
    ) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            words,
            check=False,
            cwd=self.folder,
            env=plain_environment(**environment),
            capture_output=True,
            text=True,
        )
        self.record(shown, ended.stdout)
        return ended


@contextmanager
def running_server(folder: Path) -> Iterator[int]:
    """Run `milvus-backup server` in a folder for the time of a block, and yield its HTTP port.

    Raises:
        StartError: it did not start.
        AssertionError: it did not end in peace.
    """
    port, grpc_port = free_ports(2)
    server = ChildProcess(
        [_SCRIPTS / "milvus-backup", "server", "-p", str(port), "--grpc-port", str(grpc_port)],
        directory=folder,
        log=folder / "server.log",
        ports=[port, grpc_port],
        environment=plain_environment(),
    )
    try:
        hello = f"http://127.0.0.1:{port}/api/v1/hello"
        server.wait_until(lambda: http_ok(hello), timeout=_START_SECONDS)
        yield port
        assert server.terminate(_STOP_SECONDS) == 0, server.log_tail()
    finally:
        server.kill()


@contextmanager
def tutorial(environment: Environment, folder: Path) -> Iterator[Tutorial]:
    """Give the second Milvus to the tutorial, with nothing in it, and leave nothing in it."""
    # Backups of everything must be of the tutorial's collections only, and its collections have
    # the names of other tests' on the first Milvus.
    milvus = environment.second_milvus()
    _remove_everything(environment.seaweed, milvus)
    try:
        yield Tutorial(folder, environment.seaweed, milvus)
    finally:
        _remove_everything(environment.seaweed, milvus)


def _sample_for(seaweed: SeaweedFS, milvus: MilvusStandalone) -> str:
    """Return the sample configuration with the addresses and names of these servers."""
    text = SAMPLE.read_text(encoding="utf-8")
    for sample, ours in {
        "port: 19530": f"port: {milvus.port}",
        "port: 9000": f"port: {seaweed.port}",
        f"bucketName: {SAMPLE_BUCKET}": f"bucketName: {milvus.bucket}",
        "accessKeyID: minioadmin": f"accessKeyID: {seaweed.access_key}",
        "secretAccessKey: minioadmin": f"secretAccessKey: {seaweed.secret_key}",
    }.items():
        assert sample in text, f"the sample has no {sample!r}"
        text = text.replace(sample, ours)
    return text


def _remove_everything(seaweed: SeaweedFS, milvus: MilvusStandalone) -> None:
    """Drop all collections, and remove the backups that the sample puts into Milvus's bucket."""
    with connected(milvus.uri) as client:
        databases = client.list_databases()
    for database in databases:
        with connected(milvus.uri, database) as client:
            for name in client.list_collections():
                client.drop_collection(name)
    for key in list(seaweed.objects.keys(milvus.bucket, "backup/")):
        seaweed.objects.delete(milvus.bucket, key)
