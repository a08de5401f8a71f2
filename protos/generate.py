"""Generate the Python code of the contract, or check that it is up to date, or make a descriptor image.

    generate.py              write client/milvus_backup/v1
    generate.py --check      compare it with what would be written; exit 1 if it differs
    generate.py --image OUT  write the contract and all that it imports as a descriptor set, for buf
                             (--comments: with its comments)

Generators and the google/ sources come from the installed packages: nothing is fetched.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
CLIENT = PROTOS.parent / "client"
PACKAGE = Path("milvus_backup/v1")


def run_protoc(*options: str) -> None:
    """Run protoc with these options on every file of the contract, or exit with its code."""
    includes = [
        PROTOS,
        resources.files("grpc_tools") / "_proto",  # google/protobuf
        sysconfig.get_path("purelib"),  # google/rpc, of googleapis-common-protos
    ]
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob(f"{PACKAGE}/*.proto"))
    code = protoc.main(["protoc", *(f"-I{path}" for path in includes), *options, *sources])
    if code:
        sys.exit(code)


def generate(out: Path) -> dict[str, bytes]:
    """Generate into a directory; return the files of the package by name."""
    scripts = sysconfig.get_path("scripts")
    run_protoc(
        f"--plugin={scripts}/protoc-gen-mypy",
        f"--plugin={scripts}/protoc-gen-mypy_grpc",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet,only_async:{out}",
    )
    return read_generated(out)


def read_generated(root: Path) -> dict[str, bytes]:
    """The generated files below a root, by name."""
    return {path.name: path.read_bytes() for path in (root / PACKAGE).glob("*_pb2*.py*")}


def write(new: dict[str, bytes]) -> None:
    """Make the committed files equal to the new ones; leave equal files untouched."""
    old = read_generated(CLIENT)
    for name in old.keys() - new.keys():
        (CLIENT / PACKAGE / name).unlink()
    for name, content in new.items():
        if old.get(name) != content:
            (CLIENT / PACKAGE / name).write_bytes(content)


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare, write nothing")
    what.add_argument("--image", type=Path, metavar="OUT", help="write a descriptor set")
    parser.add_argument("--comments", action="store_true", help="keep comments in the image")
    arguments = parser.parse_args()
    if arguments.image:
        comments = ["--include_source_info"] if arguments.comments else []
        run_protoc("--include_imports", *comments, f"-o{arguments.image}")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        new = generate(Path(directory))
    if not arguments.check:
        write(new)
        return 0
    old = read_generated(CLIENT)
    stale = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if stale:
        print(f"generated code is not up to date (make protos): {', '.join(stale)}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
