"""What is stored of operations comes back as it was: every request, result, state and error."""

import dataclasses
import json
from datetime import UTC
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milvus_backup_server.domain import errors
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.error_codec import decode_error, encode_error
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operation_record import (
    OperationDetails,
    OperationRecord,
    Owner,
    record_of,
    record_values,
)
from milvus_backup_server.domain.operations import (
    Caller,
    CollectionProgress,
    CreatePlan,
    CreateResult,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Phase,
    PhaseProgress,
    Progress,
    RestorePlan,
    Result,
)
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.requests import CreateRequest, Request, RestoreRequest
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(timezones=st.just(UTC))
ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type)]
ERRORS = [kind for kind in ERRORS if issubclass(kind, errors.BackupError)]


def error_of(kind: type[errors.BackupError], text: str) -> errors.BackupError:
    """Make an error of a class, whatever its constructor takes."""
    violations = (errors.FieldViolation("a", text), errors.FieldViolation("b", "is required"))
    if issubclass(kind, errors.InvalidSettings):
        error: errors.BackupError = kind(*violations, hints=(text,))
    elif issubclass(kind, errors.InvalidRequest):
        error = kind(*violations)
    elif issubclass(kind, errors.InternalError):
        error = kind()
    else:
        error = kind(text)
    error.metadata["extra"] = text
    error.obstacles = (errors.Obstacle("field", "REASON", "subject", text),)
    return error


st.register_type_strategy(errors.BackupError, st.builds(error_of, st.sampled_from(ERRORS), TEXTS))
st.register_type_strategy(
    RbacCounts, st.builds(RbacCounts, extra=st.just({}), users=..., roles=...)
)


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a dataclass with every field set."""
    return st.builds(kind, **{field.name: ... for field in dataclasses.fields(kind)})


def stored(kind: Any, value: Any) -> Any:
    """Send a value through the text that is stored."""
    return decode(kind, json.loads(json.dumps(encode(kind, value))))


@pytest.mark.parametrize("kind", get_args(Request))
def test_every_request_comes_back(kind: Any) -> None:
    @settings(max_examples=8)
    @given(anything(kind))
    def comes_back(request: Any) -> None:
        assert stored(Request, request) == request

    comes_back()


# Plans are results too, but of operations that are on no record.
STORED_RESULTS = [it for it in get_args(Result) if it not in {CreatePlan, RestorePlan}]


@pytest.mark.parametrize("kind", STORED_RESULTS)
def test_every_result_comes_back(kind: Any) -> None:
    @settings(max_examples=8)
    @given(anything(kind))
    def comes_back(result: Any) -> None:
        # Errors are not equal to one another; the results that are stored hold none.
        assert stored(Result, result) == result

    comes_back()


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_comes_back(kind: type[errors.BackupError]) -> None:
    error = error_of(kind, "wrong ü")
    found = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(found) is kind
    assert vars(found) == vars(error)
    assert str(found) == str(error)


def test_an_error_that_is_not_known_any_more_keeps_its_words() -> None:
    found = decode_error({"type": "Forgotten", "message": "it was so", "metadata": {"a": "1"}})
    assert type(found) is errors.BackupError
    assert (found.message, found.metadata) == ("it was so", {"a": "1"})


@settings(max_examples=10)
@given(
    st.builds(
        Operation,
        name=TEXTS,
        kind=st.sampled_from(OperationKind),
        state=st.sampled_from(OperationState),
        create_time=TIMES,
        start_time=st.none() | TIMES,
        caller=anything(Caller),
        labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
        revision=st.integers(0),
        progress=st.builds(
            Progress, st.tuples(st.builds(PhaseProgress, st.sampled_from(Phase), TIMES))
        ),
        collections=st.tuples(st.builds(CollectionProgress, anything(CollectionName))),
        result=st.none() | st.builds(CreateResult),
    ),
    anything(Owner),
)
def test_a_record_comes_back(operation: Operation, owner: Owner) -> None:
    footprint = Footprint(operation.kind, "b", frozenset({CollectionName("d", "c")}))
    request = RestoreRequest("b", renames={"a": "b"})
    record = OperationRecord(operation, footprint, request, owner, attempt=2, accepted=True)
    assert record_of(json.loads(json.dumps(record_values(record)))) == record


@given(anything(OperationDetails))
@settings(max_examples=10)
def test_details_come_back(details: OperationDetails) -> None:
    found = stored(OperationDetails, details)
    assert found.problems == details.problems
    assert [item.source for item in found.collections] == [
        item.source for item in details.collections
    ]


def test_what_is_stored_is_short_and_plain() -> None:
    request = CreateRequest("nightly", collections=("a.b",), labels={"team": "search"})
    assert encode(Request, request) == {
        "type": "CreateRequest",
        "backup_name": "nightly",
        "collections": ["a.b"],
        "labels": {"team": "search"},
    }
    assert encode(Caller, Caller("me", Origin.CLI)) == {"principal": "me", "origin": "CLI"}


def test_fields_that_came_later_have_their_defaults_and_unknown_ones_are_passed_over() -> None:
    values = {"type": "CreateRequest", "backup_name": "b", "of_a_later_version": True}
    assert decode(Request, values) == CreateRequest("b")


@pytest.mark.parametrize(
    "values",
    [
        {"type": "CreateRequest", "backup_name": 3},
        {"type": "UnknownRequest"},
        {"backup_name": "b"},
        {"type": "CreateRequest", "validate_only": 1},
        [],
        "CreateRequest",
    ],
)
def test_damage_is_told(values: Any) -> None:
    with pytest.raises(NotDecodable):
        decode(Request, values)


def test_a_record_of_a_newer_service_is_not_read() -> None:
    with pytest.raises(NotDecodable, match="version 2"):
        record_of({"format_version": 2})
