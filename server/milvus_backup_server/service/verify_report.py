"""What a verification found so far: counted whole, kept in part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields

from milvus_backup_server.domain.errors import BackupCorrupt, BackupError, RowsDiffer
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.verification import (
    KEPT_PROBLEMS,
    Problem,
    ProblemKind,
    Sample,
    VerifyBasis,
    VerifyCounts,
    VerifyLevel,
    VerifyResult,
    counted,
)

_ROWS = "is restored to other rows than its logs hold"


class VerifyReport:
    """Collects problems and counts.

    Memory grows with the number of collections that are hit, and not with that of the problems.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._counts: Counter[str] = Counter()
        self._by_kind: Counter[ProblemKind] = Counter()
        self._by_collection: dict[CollectionName, Counter[ProblemKind]] = {}
        self._kept: list[Problem] = []

    @property
    def by_kind(self) -> Counter[ProblemKind]:
        """All problems."""
        return self._by_kind

    def add(self, problem: Problem) -> None:
        """Note a problem."""
        self._by_kind[problem.kind] += 1
        if problem.collection is not None:
            self._by_collection.setdefault(problem.collection, Counter())[problem.kind] += 1
        if len(self._kept) < KEPT_PROBLEMS:
            self._kept.append(problem)

    def count(self, **amounts: int) -> None:
        """Add to fields of VerifyCounts."""
        for name, amount in amounts.items():
            self._counts[name] += amount

    def collection_error(self, name: CollectionName) -> BackupError | None:
        """Return what is wrong with a collection; None if nothing is."""
        by_kind = self._by_collection.get(name)
        if by_kind is None:
            return None
        if by_kind.keys() == {ProblemKind.ROWS}:
            return RowsDiffer(f"{name} {_ROWS}", collection=str(name), **_numbers(by_kind.items()))
        return BackupCorrupt(
            f"damaged objects: {counted(by_kind)}",
            collection=str(name),
            **_numbers(by_kind.items()),
        )

    def error(self, backup: str) -> BackupError | None:
        """Return what is wrong with the backup; None if nothing is."""
        if not self._by_kind:
            return None
        if self._by_kind.keys() == {ProblemKind.ROWS}:
            hit = len(self._by_collection)
            text = f"backup {backup!r} {_ROWS}, in {hit} collection{'s' * (hit > 1)}"
            return RowsDiffer(text, backup=backup, problems=self._by_kind.total())
        return BackupCorrupt(
            f"backup {backup!r} is damaged (objects: {counted(self._by_kind)})",
            backup=backup,
            problems=self._by_kind.total(),
            **_numbers(self._by_kind.items()),
        )

    def result(self, level: VerifyLevel, basis: VerifyBasis, sample: Sample) -> VerifyResult:
        """Return what was found."""
        names = (field.name for field in fields(VerifyCounts))
        return VerifyResult(
            level=level,
            basis=basis,
            sample=sample,
            counts=VerifyCounts(**{name: self._counts[name] for name in names}),
            by_kind=dict(self._by_kind),
            problems=tuple(self._kept),
            hit_collections=len(self._by_collection),
            notes=tuple(self.notes),
        )


def _numbers(by_kind: Iterable[tuple[ProblemKind, int]]) -> dict[str, int]:
    return {kind.name.lower(): number for kind, number in by_kind}
