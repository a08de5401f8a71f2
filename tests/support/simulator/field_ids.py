"""The ids that Milvus gives to the fields of a new collection."""

import itertools

from milvus_backup_server.adapters.milvus.stubs import Message, schema_pb2

FIRST_FIELD_ID = 100
JSON = schema_pb2.DataType.JSON


def number_fields(schema: Message) -> None:
    """Number the fields as Milvus does: the dynamic one after the user's, then the structs."""
    fields = [item for item in schema.fields if not item.is_dynamic]
    del schema.fields[:]
    schema.fields.extend(fields)
    if schema.enable_dynamic_field:
        schema.fields.add(name="$meta", data_type=JSON, is_dynamic=True)
    numbers = itertools.count(FIRST_FIELD_ID)
    for item in schema.fields:
        item.fieldID = next(numbers)
    for struct in schema.struct_array_fields:
        struct.fieldID = next(numbers)
        for item in struct.fields:
            item.fieldID = next(numbers)
