"""Verifications between the contract and the domain: requests in, results and what is remembered out."""

from __future__ import annotations

from milvus_backup.v1 import backup_service_pb2, verification_pb2
from milvus_backup_server.api.mapping import read_enum, read_place, timestamp
from milvus_backup_server.api.texts import fit, fit_int
from milvus_backup_server.domain.requests import VerifyRequest
from milvus_backup_server.domain.verification import (
    SHOWN_PROBLEMS,
    Problem,
    ProblemKind,
    RowDifference,
    Verification,
    VerifyBasis,
    VerifyLevel,
    VerifyResult,
)

MAX_NOTES = 20

LEVELS = {
    level: verification_pb2.VerifyLevel.Value(f"VERIFY_LEVEL_{level.name}") for level in VerifyLevel
}
BASES = {
    basis: verification_pb2.VerifyBasis.Value(f"VERIFY_BASIS_{basis.name}") for basis in VerifyBasis
}
PROBLEM_KINDS = {
    kind: verification_pb2.ProblemKind.Value(f"PROBLEM_KIND_{kind.name}") for kind in ProblemKind
}


def verify_request(message: backup_service_pb2.VerifyBackupRequest) -> VerifyRequest:
    """Read a request to verify a backup; the use case checks it.

    Raises:
        InvalidRequest: The level is not known.
    """
    return VerifyRequest(
        backup_name=message.backup_name,
        level=read_enum("level", message.level, LEVELS, VerifyLevel.LISTING),
        sample_percent=message.sample_percent,
        sample_seed=message.sample_seed,
        request_id=message.request_id,
        place=read_place(message.place),
        collections=tuple(message.collections),
    )


def verify_result(result: VerifyResult) -> verification_pb2.VerifyBackupResult:
    """Return what a verification found as the contract shows it."""
    counts = result.counts
    return verification_pb2.VerifyBackupResult(
        level=LEVELS[result.level],
        sound=result.sound,
        basis=BASES[result.basis],
        sample_percent=result.sample.percent,
        sample_seed=result.sample.seed,
        metadata_file_count=counts.metadata_files,
        size_bytes=fit_int(counts.size_bytes),
        read_bytes=fit_int(counts.read_bytes),
        hash_checked_count=counts.hash_checked,
        etag_checked_count=counts.etag_checked,
        read_count=counts.read,
        listed_count=counts.listed,
        unjudged_collection_count=fit_int(counts.unjudged_collections),
        hit_collection_count=result.hit_collections,
        problem_count=result.problem_count,
        problem_counts=[
            verification_pb2.ProblemCount(kind=PROBLEM_KINDS[kind], count=count)
            for kind in ProblemKind
            if (count := result.by_kind.get(kind, 0))
        ],
        problems=map(problem_message, result.problems[:SHOWN_PROBLEMS]),
        notes=[fit(note) for note in result.notes[:MAX_NOTES]],
        restored_collection_count=counts.restored_collections,
        compared_row_count=fit_int(counts.compared_rows),
    )


def problem_message(problem: Problem) -> verification_pb2.Problem:
    """Return a problem as the contract shows it."""
    collection = problem.collection
    return verification_pb2.Problem(
        key=fit(problem.key),
        kind=PROBLEM_KINDS[problem.kind],
        message=fit(problem.message),
        database=fit(collection.database) if collection else "",
        collection=fit(collection.name) if collection else "",
        rows=None if problem.rows is None else _row_difference(problem.rows),
    )


def _row_difference(rows: RowDifference) -> verification_pb2.RowDifference:
    return verification_pb2.RowDifference(
        partition=fit(rows.partition),
        missing_count=fit_int(rows.missing),
        extra_count=fit_int(rows.extra),
        different_count=fit_int(rows.different),
        missing_keys=map(fit, rows.missing_keys),
        extra_keys=map(fit, rows.extra_keys),
        different_keys=map(fit, rows.different_keys),
        unfit_count=fit_int(rows.unfit),
        unfit_keys=map(fit, rows.unfit_keys),
        unfit_fields=map(fit, rows.unfit_fields),
    )


def verification_message(item: Verification) -> verification_pb2.BackupVerification:
    """Return a remembered verification as the contract shows it."""
    return verification_pb2.BackupVerification(
        level=LEVELS[item.level],
        sample_percent=fit_int(item.sample_percent, 32),
        end_time=timestamp(item.end_time),
        sound=not item.problem_count,
        problem_count=fit_int(item.problem_count),
        operation=fit(item.operation),
        restored_collection_count=fit_int(item.restored_collections),
        some_collections=item.some,
    )
