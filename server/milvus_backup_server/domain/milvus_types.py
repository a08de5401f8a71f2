"""Milvus's types of data and of functions by number, as schemas and the Go tool's records write them."""

from __future__ import annotations

_NAMES = {
    1: "Bool",
    2: "Int8",
    3: "Int16",
    4: "Int32",
    5: "Int64",
    10: "Float",
    11: "Double",
    20: "String",
    21: "VarChar",
    22: "Array",
    23: "JSON",
    24: "Geometry",
    25: "Text",
    26: "Timestamptz",
    100: "BinaryVector",
    101: "FloatVector",
    102: "Float16Vector",
    103: "BFloat16Vector",
    104: "SparseFloatVector",
    105: "Int8Vector",
    106: "ArrayOfVector",
    200: "ArrayOfStruct",
    201: "Struct",
}

BOOL = 1
INTEGERS = (2, 3, 4, 5)
FLOAT = 10
DOUBLE = 11
TEXTS = (20, 21, 25)
ARRAY = 22
JSON = 23
GEOMETRY = 24
TIMESTAMPTZ = 26
BINARY_VECTOR = 100
FLOAT_VECTOR = 101
FLOAT16_VECTOR = 102
BFLOAT16_VECTOR = 103
SPARSE_FLOAT_VECTOR = 104
INT8_VECTOR = 105
ARRAY_OF_VECTOR = 106
ARRAY_OF_STRUCT = 200

_FUNCTIONS = {1: "BM25", 2: "text embedding", 3: "rerank", 4: "MinHash"}

_VECTORS = frozenset(number for number, name in _NAMES.items() if name.endswith("Vector"))


def is_vector(number: int) -> bool:
    """Tell whether a data type is one of vectors."""
    return number in _VECTORS


def data_type_name(number: int) -> str:
    """Return Milvus's name of a data type; unknown ones as ``DataType(n)``."""
    return _NAMES.get(number, f"DataType({number})")


def function_type_name(number: int) -> str:
    """Return what a type of functions is called; unknown ones as ``FunctionType(n)``."""
    return _FUNCTIONS.get(number, f"FunctionType({number})")
