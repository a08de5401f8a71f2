"""Rows in one canonical form, by which what a backup's logs hold is compared with what Milvus answers.

A row is the hash of its fields in the order of their names, each the bytes of its value (``value_form``).
A row without dynamic fields has ``{}``. A value that is none of its field's type has bytes that no other
value has: such rows differ from all that fit, and where they lie in the backup they are a finding of their own.

Left out, because Milvus does not give them back as they are stored: fields that functions compute, which
Milvus computes anew and mostly does not return, and geometries, which it returns as text.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.binlogs import DYNAMIC_FIELD, Key, RowBatch
from milvus_backup_server.domain.milvus_types import GEOMETRY, JSON
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.domain.value_form import UNFIT_ERRORS, Encode, encoder, item

BUCKETS = 4096
"""Groups of keys whose rows are summed up; those of a group that differs are compared one by one."""

_DIGEST_BYTES = 16
_SAMPLE = 16
_MASK = (1 << 8 * _DIGEST_BYTES) - 1
_UNFIT = b"\xfe" + b"\xff" * 7  # the length of no value


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    encode: Encode
    nullable: bool

    def item(self, value: object) -> bytes:
        """Return the bytes of a value; errors as of ``encode``."""
        if value is None and not self.nullable:
            raise TypeError("a value that has to be there is null")
        return item(self.encode, value)

    def fits(self, value: object) -> bool:
        """Tell whether a value may be one of this field."""
        try:
            self.item(value)
        except UNFIT_ERRORS:
            return False
        return True


class UnfitRows:
    """Rows with values that are none of their fields' types, or null where nothing may be: counted, some named.

    Args:
        shown: How many of their keys, and of the fields, are named.

    Attributes:
        count: How many there are.
        keys: The first of their primary keys, as text.
        fields: The first of the fields, in the order of their names.
    """

    def __init__(self, shown: int) -> None:
        self.count = 0
        self.keys: list[str] = []
        self._fields: set[str] = set()
        self._shown = shown

    def add(self, key: Key, fields: Iterable[str]) -> None:
        """Note a row, and which fields of it."""
        self.count += 1
        self._fields.update(fields)
        if len(self.keys) < self._shown:
            self.keys.append(str(key))

    @property
    def fields(self) -> list[str]:
        """The first of the fields."""
        return sorted(self._fields)[: self._shown]


class RowForm:
    """The canonical form of the rows of one collection.

    Args:
        schema: Of the collection.

    Attributes:
        fields: Names of the fields that are compared, as ``RowBatch`` calls them.
        left_out: Names of those that are not.
    """

    def __init__(self, schema: CollectionSchema) -> None:
        named = list(_named(schema))
        computed = {name for it in schema.functions for name in it.output_field_names}
        self.left_out = tuple(
            sorted(
                name
                for name, field, _ in named
                if name in computed or field.is_function_output or field.data_type == GEOMETRY
            )
        )
        fields = [
            _Field(name, encoder(field), nullable)
            for name, field, nullable in named
            if name not in self.left_out
        ]
        if schema.enable_dynamic_field:
            fields.append(
                _Field(DYNAMIC_FIELD, encoder(FieldSchema(data_type=JSON)), nullable=True)
            )
        self._fields = sorted(fields, key=lambda field: field.name)
        self.fields = tuple(field.name for field in self._fields)

    def digests(self, batch: RowBatch, unfit: UnfitRows | None = None) -> list[bytes]:
        """Return the hash of each row.

        Args:
            batch: The rows.
            unfit: Is told of those with values that do not fit.
        """
        rows = self._rows(batch, range(len(batch.keys)), unfit)
        return [hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in rows]

    def size(self, batch: RowBatch) -> int:
        """Return about how many bytes rows have, by some of them."""
        count = len(batch.keys)
        some = range(0, count, max(1, count // _SAMPLE))
        return sum(map(len, self._rows(batch, some, None))) * count // max(len(some), 1)

    def _rows(
        self, batch: RowBatch, numbers: Iterable[int], unfit: UnfitRows | None
    ) -> Iterator[bytes]:
        columns = [(field, self._column(batch, field.name)) for field in self._fields]
        for number in numbers:
            try:
                yield b"".join([field.item(values[number]) for field, values in columns])
            except UNFIT_ERRORS:
                row = [(field, values[number]) for field, values in columns]
                if unfit is not None:
                    wrong = [field.name for field, value in row if not field.fits(value)]
                    unfit.add(batch.keys[number], wrong)
                yield b"".join(_anyhow(field, value) for field, value in row)

    def _column(self, batch: RowBatch, name: str) -> Sequence[object]:
        given = batch.columns.get(name) or [None] * len(batch.keys)
        if name != DYNAMIC_FIELD:
            return given
        return [{} if value is None else value for value in given]


class RowSums:
    """The sums of the hashes of rows by groups of keys: equal for equal rows in whatever order.

    Attributes:
        rows: How many rows were added.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._sums = [0] * BUCKETS

    def add(self, keys: Iterable[Key], digests: Iterable[bytes]) -> None:
        """Add rows."""
        for key, digest in zip(keys, digests, strict=True):
            at = bucket_of(key)
            self._sums[at] = (self._sums[at] + int.from_bytes(digest)) & _MASK
            self.rows += 1

    def differing(self, other: RowSums) -> frozenset[int]:
        """Return the groups in which there are other rows than in another one."""
        pairs = zip(self._sums, other._sums, strict=True)
        return frozenset(at for at, (ours, theirs) in enumerate(pairs) if ours != theirs)


def bucket_of(key: Key) -> int:
    """Return the group of a primary key."""
    return zlib.crc32(str(key).encode()) % BUCKETS


def _named(schema: CollectionSchema) -> Iterator[tuple[str, FieldSchema, bool]]:
    """Yield the fields, what they are called, and whether they may be null.

    JSON may be: Milvus takes the JSON ``null`` in any such field.
    """
    for field in schema.fields:
        if not field.is_dynamic:
            yield field.name, field, field.nullable or field.data_type == JSON
    for array_field in schema.struct_array_fields:
        for field in array_field.fields:
            yield f"{array_field.name}[{field.name}]", field, True  # as the array may be


def _anyhow(field: _Field, value: object) -> bytes:
    if value is None or field.fits(value):
        return item(field.encode, value)
    return _UNFIT
