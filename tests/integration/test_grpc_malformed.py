"""Calls that nobody thought of: whatever is in a message, the status is never UNKNOWN or INTERNAL."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milvus_backup.v1 import backup_service_pb2, operation_service_pb2, server_service_pb2
from tests.support.service_thread import grpc_port, in_a_thread

METHODS: list[MethodDescriptor] = [
    method
    for module in (backup_service_pb2, operation_service_pb2, server_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
FAULTS_OF_OURS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
SECONDS = 20

TEXTS = st.text(max_size=30) | st.sampled_from(
    ["my_backup", "hello_milvus", "default.*", "../x", "a" * 2000, "\N{GRINNING FACE}"]
)
_Kind = FieldDescriptor
NUMBERS = {
    _Kind.CPPTYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    _Kind.CPPTYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    _Kind.CPPTYPE_UINT32: st.integers(0, (1 << 32) - 1),
    _Kind.CPPTYPE_UINT64: st.integers(0, (1 << 64) - 1),
    _Kind.CPPTYPE_DOUBLE: st.floats(),
    _Kind.CPPTYPE_FLOAT: st.floats(width=32),
    _Kind.CPPTYPE_BOOL: st.booleans(),
    _Kind.CPPTYPE_ENUM: st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 9),
}


def value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Return any value of one field, or of one item of it."""
    if field.message_type is not None:
        return message(field.message_type)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=60) if field.type == FieldDescriptor.TYPE_BYTES else TEXTS
    return NUMBERS[field.cpp_type]


def field_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key, item = kind.fields_by_name["key"], kind.fields_by_name["value"]
        return st.dictionaries(value(key), value(item), max_size=3)
    return st.lists(value(field), max_size=3) if field.is_repeated else value(field)


def message(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Return any message of a kind: each field is there or not."""
    fields = {field.name: field_value(field) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda values: GetMessageClass(descriptor)(**values)
    )


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    with in_a_thread(grpc_port) as target, grpc.insecure_channel(target) as found:
        yield found


def outcome(channel: grpc.Channel, method: MethodDescriptor, requests: list[bytes]) -> Any:
    """Make a call of any bytes; of an answer that is a stream only the beginning is read."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    asked: Any = iter(requests) if method.client_streaming else requests[0]
    shape = (method.client_streaming, method.server_streaming)
    make: Any = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[shape]
    call = make(path, request_serializer=None, response_deserializer=None)
    try:
        answer = call(asked, timeout=SECONDS)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def names(method: MethodDescriptor) -> str:
    return str(method.name)


@pytest.mark.parametrize("method", METHODS, ids=names)
@given(data=st.data())
@FEW
def test_any_message(channel: grpc.Channel, method: MethodDescriptor, data: st.DataObject) -> None:
    sent = data.draw(st.lists(message(method.input_type), min_size=1, max_size=3))
    requests = [item.SerializeToString() for item in sent]
    assert outcome(channel, method, requests) not in FAULTS_OF_OURS, sent


@given(method=st.sampled_from(METHODS), data=st.binary(max_size=100))
@settings(FEW, max_examples=60)
def test_any_bytes(channel: grpc.Channel, method: MethodDescriptor, data: bytes) -> None:
    assert outcome(channel, method, [data]) not in FAULTS_OF_OURS
