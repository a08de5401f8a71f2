"""The Milvus server of the package milvus (2.3.5), unpacked once into a cache directory."""

import fcntl
import importlib.metadata
import importlib.util
import lzma
import os
import shutil
from pathlib import Path

_VERSION = "2.3.5"
CONFIG_TEMPLATE = "config.yaml.template"
_REPOSITORY = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """Where the unpacked server is kept: MILVUS_BACKUP_TEST_CACHE, or `.cache` here."""
    return Path(os.environ.get("MILVUS_BACKUP_TEST_CACHE", _REPOSITORY / ".cache"))


def unpacked_milvus() -> Path:
    """Return the directory with the `milvus` binary, its libraries and its configuration template.

    The first call unpacks them. Several processes may call this at the same time: one unpacks, the
    others wait.

    Raises:
        FileNotFoundError: the package is not installed in this version.
    """
    cache = cache_directory()
    target = cache / f"milvus-{_VERSION}"
    if target.exists():
        return target
    package = _package_data()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"milvus-{_VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _unpack(package, target)
    return target


def _package_data() -> Path:
    spec = importlib.util.find_spec("milvus")
    if spec is None or spec.origin is None or importlib.metadata.version("milvus") != _VERSION:
        raise FileNotFoundError(f"the Milvus server is missing: install milvus=={_VERSION}")
    return Path(spec.origin).parent / "data"


def _unpack(package: Path, target: Path) -> None:
    # A rename makes the whole directory appear at once: what stands under the final name is whole.
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.copy(package / CONFIG_TEMPLATE, partial)
    for source in (package / "bin").glob("*.lzma"):
        unpacked = partial / source.stem
        with lzma.open(source) as compressed, unpacked.open("wb") as plain:
            shutil.copyfileobj(compressed, plain, 1 << 20)
        unpacked.chmod(0o755)
    partial.rename(target)
