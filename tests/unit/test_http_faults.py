"""Every error has one face over HTTP."""

import importlib
import pkgutil

import pytest

import milvus_backup_server
from milvus_backup_server.domain import errors
from milvus_backup_server.domain.errors import BackupError, FieldViolation
from milvus_backup_server.http.faults import (
    FACES,
    BackupToRestoreNotFound,
    Face,
    callers_error,
    face_of,
)

SECRET = "hunter2 at /internal/path line 17"
CODE_400 = {errors.InvalidRequest, errors.ArchiveInvalid, BackupToRestoreNotFound}
HIDDEN = {
    errors.BackupError,
    errors.InternalError,
    errors.InvalidSettings,
    errors.ObjectStoreError,
    errors.ObjectNotFound,
    errors.ObjectChanged,
    errors.ObjectAlreadyExists,
    errors.UploadNotFound,
    errors.CopyDenied,
}


for module in pkgutil.walk_packages(milvus_backup_server.__path__, "milvus_backup_server."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def all_classes(base: type[BackupError] = BackupError) -> list[type[BackupError]]:
    found = [base]
    for child in base.__subclasses__():
        found += all_classes(child)
    return [kind for kind in found if kind.__module__.startswith("milvus_backup_server.")]


def test_every_error_class_has_a_row_of_its_own() -> None:
    own = [kind for kind in all_classes() if kind.__module__.startswith(errors.__name__)]
    assert [kind.__name__ for kind in own if kind not in FACES] == []


def test_a_class_of_elsewhere_counts_as_its_base() -> None:
    for kind in all_classes():
        if not kind.__module__.startswith(errors.__name__):
            assert any(base in FACES for base in kind.__mro__[1:3]), kind


def test_every_row_is_a_class_of_ours() -> None:
    assert set(FACES) <= set(all_classes())


@pytest.mark.parametrize("kind", list(FACES), ids=lambda kind: kind.__name__)
def test_codes_are_those_of_the_reference(kind: type[BackupError]) -> None:
    assert FACES[kind].code == (400 if kind in CODE_400 else 3)


@pytest.mark.parametrize("kind", list(FACES), ids=lambda kind: kind.__name__)
def test_what_is_hidden_is_a_fault_of_ours(kind: type[BackupError]) -> None:
    face = FACES[kind]
    assert face.hidden is (kind in HIDDEN)
    assert (face.status == 500) is (kind in HIDDEN)
    assert face.status in {400, 404, 409, 429, 500, 503}


@pytest.mark.parametrize(
    ("error", "face"),
    [
        (errors.InvalidRequest(FieldViolation("suffix", "bad")), Face(400, 400)),
        (errors.ArchiveInvalid("cut off"), Face(400, 400)),
        (errors.BackupNotFound("b"), Face(3, 404)),
        (BackupToRestoreNotFound("b"), Face(400, 404)),
        (errors.CollectionNotFound("b"), Face(3, 404)),
        (errors.OperationNotFound("b"), Face(3, 404)),
        (errors.BackupAlreadyExists("b"), Face(3, 409)),
        (errors.OperationConflict("x"), Face(3, 409)),
        (errors.OperationEnded("x"), Face(3, 409)),
        (errors.BackupCorrupt("x"), Face(3, 409)),
        (errors.TooManyOperations("x"), Face(3, 429)),
        (errors.StorageUnavailable("x"), Face(3, 503)),
        (errors.ServerStopping("x"), Face(3, 503)),
        (ValueError("x"), Face(3, 500, hidden=True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_faces(error: Exception, face: Face) -> None:
    assert face_of(error) == face


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        BackupError(SECRET, path=SECRET),
        errors.ObjectChanged(SECRET, key=SECRET),
        errors.InvalidSettings(FieldViolation("x", SECRET)),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_for_callers_becomes_a_fixed_text(error: Exception) -> None:
    assert callers_error(error).message == (
        "internal error; the log of the service has the details"
    )


def test_a_group_shows_its_first_error_for_callers() -> None:
    inner = ExceptionGroup("x", [errors.StorageUnavailable("the store is away")])
    found = callers_error(ExceptionGroup("x", [ValueError(SECRET), inner]))
    assert found.message == "the store is away"
