"""The generated messages and stubs of Milvus, taken from the installed pymilvus.

``import pymilvus`` loads pandas and costs 0.9 s and 60 MB; the generated package inside it needs
none of that and costs 0.07 s and 6 MB. So it is loaded from its files, under a name of our own.
Whoever imports pymilvus in the same process gets the same message classes: protobuf keeps one class
for a message, whatever the module.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

_NAME = f"{__name__}_generated"

Message: TypeAlias = Any
"""A message of Milvus. The generated classes come without types that a checker can read."""


def _folder() -> Path:
    spec = importlib.util.find_spec("pymilvus")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("pymilvus is not installed; it is part of the extra 'server'")
    return Path(spec.submodule_search_locations[0], "grpc_gen")


def _load() -> ModuleType:
    folder = _folder()
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{folder} is not a package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


_generated = _load()

common_pb2: Any = _generated.common_pb2
milvus_pb2: Any = _generated.milvus_pb2
milvus_pb2_grpc: Any = _generated.milvus_pb2_grpc
schema_pb2: Any = _generated.schema_pb2
