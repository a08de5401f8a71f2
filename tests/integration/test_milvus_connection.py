"""The gateway against a Milvus that answers as it is told: retries, lost answers, deadlines."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio
import pytest

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.adapters.milvus.stubs import (
    Message,
    common_pb2,
    milvus_pb2,
    milvus_pb2_grpc,
    schema_pb2,
)
from milvus_backup_server.domain.errors import (
    CollectionNotFound,
    ImportOutcomeUnknown,
    MilvusDenied,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.milvus import CollectionName, ImportOptions, ImportSource

C1 = CollectionName("shop", "c1")
SOURCES = [ImportSource("a/insert_log/1/2/")]

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = Callable[[Message, Context], Awaitable[Message]]
Scripted: TypeAlias = Message
"""A message to answer with, a code to fail with, or seconds to be silent."""


class ScriptedMilvus(milvus_pb2_grpc.MilvusServiceServicer):  # type: ignore[misc]
    """Answers each method from its queue of answers, then with the last one again."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.metadata: dict[str, str] = {}
        self.answers: dict[str, list[Scripted]] = {
            "Connect": [milvus_pb2.ConnectResponse(identifier=77)],
            "GetVersion": [milvus_pb2.GetVersionResponse(version="v2.3.5")],
        }

    def __getattribute__(self, name: str) -> Handler:
        if not name[0].isupper():
            return cast("Handler", super().__getattribute__(name))

        async def handle(_: Message, context: Context) -> Message:
            self.calls[name] += 1
            pairs = context.invocation_metadata() or ()
            self.metadata = {str(key): str(value) for key, value in pairs}
            queue = self.answers[name]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            if isinstance(answer, grpc.StatusCode):
                await context.abort(answer, f"scripted {answer.name}")
            if isinstance(answer, float):
                await asyncio.sleep(answer)
            return answer

        return handle


@asynccontextmanager
async def served(milvus: ScriptedMilvus, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server()
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(milvus, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


@asynccontextmanager
async def gateway_to(port: int, **settings: float | str) -> AsyncIterator[GrpcMilvusGateway]:
    plain = MilvusSettings(host="127.0.0.1", port=port)
    gateway = GrpcMilvusGateway(replace(plain, **settings))  # type: ignore[arg-type]
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
async def milvus() -> ScriptedMilvus:
    return ScriptedMilvus()


@pytest.fixture
async def gateway(milvus: ScriptedMilvus) -> AsyncIterator[GrpcMilvusGateway]:
    async with served(milvus) as port, gateway_to(port, call_seconds=60) as made:
        yield made


def status(code: int, reason: str = "why") -> Message:
    return common_pb2.Status(code=code, reason=reason)


def described(number: int, name: str) -> Message:
    schema = schema_pb2.CollectionSchema(name=name)
    return milvus_pb2.DescribeCollectionResponse(collectionID=number, schema=schema, db_name="shop")


async def test_greets_once_and_says_who_it_is(milvus: ScriptedMilvus) -> None:
    milvus.answers["HasCollection"] = [milvus_pb2.BoolResponse(value=True)]
    async with (
        served(milvus) as port,
        gateway_to(port, user="root", password="Mil:vus") as gateway,
    ):
        assert await gateway.has_collection(C1)
        assert await gateway.has_collection(C1)
    assert milvus.calls == {"Connect": 1, "HasCollection": 2}
    assert base64.b64decode(milvus.metadata["authorization"]) == b"root:Mil:vus"
    assert milvus.metadata["identifier"] == "77"
    assert milvus.metadata["dbname"] == "shop"


async def test_waits_for_a_milvus_that_is_slow_to_take_a_connection(
    milvus: ScriptedMilvus,
) -> None:
    server = grpc.aio.server()
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(milvus, server)
    port = server.add_insecure_port("127.0.0.1:0")  # the kernel takes connections from now on
    async with gateway_to(port, retry_seconds=0.0) as gateway:
        asked = asyncio.create_task(gateway.version())
        _, waiting = await asyncio.wait({asked}, timeout=2)
        await server.start()
        try:
            assert await asked == "v2.3.5"
        finally:
            await server.stop(None)
    assert waiting


async def test_sends_no_authorization_without_a_user(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway
) -> None:
    assert await gateway.version() == "v2.3.5"
    assert "authorization" not in milvus.metadata


def test_the_password_is_not_shown() -> None:
    settings = MilvusSettings(user="root", password="secret-of-the-test")
    assert "secret-of-the-test" not in repr(settings)


@pytest.mark.parametrize("passing", [grpc.StatusCode.UNAVAILABLE, status(1), status(8)], ids=str)
async def test_repeats_what_may_pass(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway, passing: Scripted
) -> None:
    answers = [milvus_pb2.GetVersionResponse(version="v2.3.5")]
    if isinstance(passing, grpc.StatusCode):
        answers[:0] = [passing, passing]
    else:
        answers[:0] = [milvus_pb2.GetVersionResponse(status=passing)] * 2
    milvus.answers["GetVersion"] = answers
    assert await gateway.version() == "v2.3.5"
    assert milvus.calls["GetVersion"] == 3


async def test_gives_up_after_its_time_for_repeating(milvus: ScriptedMilvus) -> None:
    milvus.answers["GetVersion"] = [grpc.StatusCode.UNAVAILABLE]
    async with served(milvus) as port, gateway_to(port, retry_seconds=0.3) as gateway:
        with pytest.raises(MilvusUnavailable, match="GetVersion: no connection"):
            await gateway.version()
    assert milvus.calls["GetVersion"] >= 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, MilvusDenied),
        (grpc.StatusCode.PERMISSION_DENIED, MilvusDenied),
        (grpc.StatusCode.UNIMPLEMENTED, MilvusRefused),
    ],
)
async def test_does_not_repeat_what_stays(
    milvus: ScriptedMilvus,
    gateway: GrpcMilvusGateway,
    answer: grpc.StatusCode,
    kind: type[Exception],
) -> None:
    milvus.answers["GetVersion"] = [answer]
    with pytest.raises(kind):
        await gateway.version()
    assert milvus.calls["GetVersion"] == 1


async def test_a_silent_milvus_is_left_at_the_deadline(milvus: ScriptedMilvus) -> None:
    milvus.answers["GetVersion"] = [30.0]
    async with served(milvus) as port, gateway_to(port, call_seconds=0.3) as gateway:
        start = asyncio.get_running_loop().time()
        with pytest.raises(MilvusUnavailable):
            await gateway.version()
        assert asyncio.get_running_loop().time() - start < 2


async def test_nothing_listens(milvus: ScriptedMilvus) -> None:
    async with served(milvus) as port:
        pass
    async with gateway_to(port, retry_seconds=0.2) as gateway:
        start = asyncio.get_running_loop().time()
        with pytest.raises(MilvusUnavailable) as caught:
            await gateway.version()
        assert asyncio.get_running_loop().time() - start < 2
    assert caught.value.metadata["address"] == f"127.0.0.1:{port}"


async def test_goes_on_when_milvus_came_back(milvus: ScriptedMilvus) -> None:
    async with served(milvus) as port:
        gateway = GrpcMilvusGateway(MilvusSettings(host="127.0.0.1", port=port, retry_seconds=5))
        assert await gateway.version() == "v2.3.5"
    milvus.answers["Connect"] = [milvus_pb2.ConnectResponse(identifier=88)]
    again = asyncio.create_task(gateway.version())
    await asyncio.sleep(0.5)
    async with served(milvus, port):
        assert await again == "v2.3.5"
    assert milvus.metadata["identifier"] == "88"
    await gateway.close()


async def test_a_milvus_that_was_just_away_may_not_know_its_collections_yet(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway
) -> None:
    nothing = milvus_pb2.DescribeCollectionResponse(status=status(100, "not found"))
    milvus.answers["DescribeCollection"] = [nothing, described(7, "c1")]
    with pytest.raises(CollectionNotFound):
        await gateway.describe_collection(C1)
    milvus.answers["DescribeCollection"] = [
        grpc.StatusCode.UNAVAILABLE,
        nothing,
        nothing,
        described(7, "c1"),
    ]
    assert (await gateway.describe_collection(C1)).collection_id == 7
    assert milvus.calls["DescribeCollection"] == 5


@pytest.mark.parametrize(
    "lost",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        milvus_pb2.ImportResponse(status=status(65535, "code = Unavailable desc = closing")),
    ],
    ids=["unavailable", "deadline", "cancelled", "internal", "lost inside Milvus"],
)
async def test_an_import_whose_answer_is_lost_is_not_repeated(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway, lost: Scripted
) -> None:
    milvus.answers["Import"] = [lost]
    with pytest.raises(ImportOutcomeUnknown) as caught:
        await gateway.submit_import(C1, "p1", SOURCES, ImportOptions())
    assert milvus.calls["Import"] == 1
    assert milvus.calls["GetVersion"] == 0  # whose waiting nobody could stop in time
    assert caught.value.metadata["collection"] == "shop.c1"


async def test_an_import_that_was_not_sent_is_known(
    milvus: ScriptedMilvus,
) -> None:
    async with served(milvus) as port:
        gateway = GrpcMilvusGateway(MilvusSettings(host="127.0.0.1", port=port, retry_seconds=0.2))
        await gateway.version()
    with pytest.raises(MilvusUnavailable):
        await gateway.submit_import(C1, "p1", SOURCES, ImportOptions())
    await gateway.close()
    assert milvus.calls["Import"] == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (status(100, "collection not found"), CollectionNotFound),
        (status(200, "partition not found[partition=p1]"), MilvusRefused),
        (status(1, "service not ready"), MilvusUnavailable),
    ],
    ids=["collection", "partition", "not ready"],
)
async def test_an_import_that_milvus_refuses_is_known(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway, answer: Scripted, kind: type[Exception]
) -> None:
    milvus.answers["Import"] = [milvus_pb2.ImportResponse(status=answer)]
    with pytest.raises(kind):
        await gateway.submit_import(C1, "p1", SOURCES, ImportOptions())
    assert milvus.calls["Import"] == 1


@pytest.mark.parametrize(
    "second",
    [status(100, "collection not found"), status(65535, "duplicated new collection name")],
    ids=["old name gone", "new name taken"],
)
async def test_a_rename_whose_answer_was_lost_is_found_done(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway, second: Scripted
) -> None:
    milvus.answers["DescribeCollection"] = [described(5, "c1"), described(5, "c2")]
    milvus.answers["RenameCollection"] = [grpc.StatusCode.UNAVAILABLE, second]
    await gateway.rename_collection(C1, "c2")
    assert milvus.calls["RenameCollection"] == 2


@pytest.mark.parametrize(
    "there",
    [described(6, "c2"), described(5, "c1")],
    ids=["another collection", "an alias of its own"],
)
async def test_a_rename_to_a_taken_name_is_refused(
    milvus: ScriptedMilvus, gateway: GrpcMilvusGateway, there: Scripted
) -> None:
    milvus.answers["DescribeCollection"] = [described(5, "c1"), there]
    milvus.answers["RenameCollection"] = [status(65535, "duplicated new collection name")]
    with pytest.raises(MilvusRefused):
        await gateway.rename_collection(C1, "c2")
