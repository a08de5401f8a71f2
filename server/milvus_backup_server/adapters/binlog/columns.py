"""The columns of a segment, side by side: which of them holds what, and rows that fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from milvus_backup_server.adapters.binlog.files import LogFile, Table, field_ids
from milvus_backup_server.adapters.binlog.values import (
    Decoder,
    decoded,
    decoder_of,
    default_of,
    valid_key,
    valid_timestamp,
)
from milvus_backup_server.domain.binlogs import (
    DYNAMIC_FIELD,
    TIMESTAMP_FIELD,
    RowBatch,
    is_user_field,
)
from milvus_backup_server.domain.milvus_types import JSON
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema

_NO_FIELD = -1


@dataclass(frozen=True, slots=True)
class Field:
    """A field as its columns are called, and how their values are made."""

    name: str
    decode: Decoder
    default: object = None


class Fields:
    """The fields of a collection that are to be read.

    Args:
        schema: Of the collection.
        wanted: Their names, all if None.
    """

    def __init__(self, schema: CollectionSchema, wanted: Sequence[str] | None) -> None:
        named = dict(_named(schema))
        self._by_id = {field.field_id: _field(name, field) for name, field in named.items()}
        self._ids = {name: field.field_id for name, field in named.items()}
        self._wanted = set(named) | {DYNAMIC_FIELD} if wanted is None else set(wanted)
        keys = (field.field_id for field in schema.fields if field.is_primary_key)
        self.key_id = next(keys, _NO_FIELD)
        self._dynamic = schema.enable_dynamic_field
        self._meta = Field(DYNAMIC_FIELD, decoder_of(JSON))

    def needs(self, field_id: int) -> bool:
        """Tell whether a column of one field has to be read."""
        field = self._of(field_id)
        needed = field_id in (TIMESTAMP_FIELD, self.key_id)
        return needed or (field is not None and field.name in self._wanted)

    def batch(self, columns: dict[int, Table]) -> RowBatch:
        """Return the rows of columns of equal length, by field id."""
        if missing := [str(at) for at in (TIMESTAMP_FIELD, self.key_id) if at not in columns]:
            raise ValueError(f"no column of field {missing[0]}")
        timestamps = [valid_timestamp(it) for it in columns[TIMESTAMP_FIELD].to_pylist()]
        keys = [valid_key(it) for it in columns[self.key_id].to_pylist()]
        values = dict(self._values(columns))
        for field in self._by_id.values():
            if field.name in self._wanted and field.name not in values:
                values[field.name] = [field.default] * len(timestamps)
        return RowBatch(timestamps, keys, values)

    def numbered(self, batch: Table) -> Iterator[tuple[int, Table]]:
        """Yield the columns of a column group that are needed, by field id."""
        for at, told in enumerate(field_ids(batch)):
            field_id = self._ids.get(batch.schema[at].name, -1) if told is None else told
            if self.needs(field_id):
                yield field_id, batch.column(at)

    def _values(self, columns: dict[int, Table]) -> Iterator[tuple[str, list[object]]]:
        for field_id, column in columns.items():
            field = self._of(field_id)
            if field is not None and field.name in self._wanted:
                yield field.name, decoded(column.to_pylist(), field.decode)

    def _of(self, field_id: int) -> Field | None:
        # The schema of a backup leaves the dynamic field out, so its column is the unknown one.
        dynamic = self._dynamic and is_user_field(field_id)
        return self._by_id.get(field_id) or (self._meta if dynamic else None)


class ColumnStream:
    """One column or column group: the logs that it consists of, one after another.

    Attributes:
        waiting: Keys of the logs that are still to come, the next one last.
        last_key: The key of the last log, for messages.
        pending: Rows that were read and not yet taken.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.waiting = list(reversed(keys))
        self.last_key = keys[-1]
        self.pending: Table = None
        self._field_id: int | None = None
        self._file: LogFile | None = None
        self._batches: Iterator[Table] = iter(())

    @property
    def rows(self) -> int:
        """How many rows were read and not yet taken."""
        return int(self.pending.num_rows) if self.pending is not None else 0

    def begin(self, file: LogFile) -> None:
        """Go on with the next log."""
        self._file, self._field_id, self._batches = file, file.field_id, file.batches()

    def read(self) -> bool:
        """Read the next batch of the present log; False at its end, when it is closed."""
        self.pending = next(self._batches, None)
        if self.pending is None:
            self.close()
        return self.pending is not None

    def take(self, rows: int, fields: Fields) -> Iterator[tuple[int, Table]]:
        """Yield the columns of the next rows by field id."""
        taken, self.pending = self.pending.slice(0, rows), self.pending.slice(rows)
        if self._field_id is None:
            yield from fields.numbered(taken)
        elif fields.needs(self._field_id):
            yield self._field_id, taken.column(0)

    def close(self) -> None:
        """Let go of the present log."""
        if self._file is not None:
            self._batches = iter(())
            self._file.close()
            self._file = None


def _named(schema: CollectionSchema) -> Iterator[tuple[str, FieldSchema]]:
    for field in schema.fields:
        yield field.name, field
    for struct in schema.struct_array_fields:
        for field in struct.fields:
            yield f"{struct.name}[{field.name}]", field


def _field(name: str, field: FieldSchema) -> Field:
    return Field(name, decoder_of(field.data_type, field.element_type), default_of(field))
