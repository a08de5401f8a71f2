"""The cheapest indexes with which Milvus loads a collection and gives its vectors back as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from milvus_backup_server.domain.milvus_types import (
    ARRAY_OF_VECTOR,
    BINARY_VECTOR,
    INT8_VECTOR,
    SPARSE_FLOAT_VECTOR,
    is_vector,
)
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
    IndexInfo,
)

_FLAT = {"index_type": "FLAT", "metric_type": "L2"}
_BY_TYPE: Mapping[int, Mapping[str, str]] = {
    BINARY_VECTOR: {"index_type": "BIN_FLAT", "metric_type": "HAMMING"},
    SPARSE_FLOAT_VECTOR: {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"},
    INT8_VECTOR: {
        "index_type": "HNSW",
        "metric_type": "L2",
        "params": '{"M":4,"efConstruction":8}',
    },
    ARRAY_OF_VECTOR: {
        "index_type": "HNSW",
        "metric_type": "MAX_SIM_COSINE",
        "params": '{"M":4,"efConstruction":8}',
    },
}


def query_indexes(record: CollectionBackupInfo) -> tuple[IndexInfo, ...]:
    """Return an index for each field of vectors.

    Fields that a function computes have the one that they had, as not every index fits every function;
    the others a flat one where Milvus has that.
    """
    schema = record.schema or CollectionSchema()
    computed = {name for function in schema.functions for name in function.output_field_names}
    known = {index.field_name: index for index in record.index_infos}
    found = []
    for name, field in _vectors(schema):
        there = known.get(name)
        params = dict(_BY_TYPE.get(field.data_type, _FLAT))
        plain = IndexInfo(
            field_name=name, index_name=name, index_type=params["index_type"], params=params
        )
        found.append(there if there is not None and name in computed else plain)
    return tuple(found)


def _vectors(schema: CollectionSchema) -> Iterator[tuple[str, FieldSchema]]:
    for field in schema.fields:
        if is_vector(field.data_type):
            yield field.name, field
    for array in schema.struct_array_fields:
        for field in array.fields:
            if is_vector(field.data_type):
                yield f"{array.name}[{field.name}]", field
