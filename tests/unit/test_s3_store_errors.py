"""What every kind of answer of an S3 store means, and every way not to answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from milvus_backup_server.adapters.s3 import (
    S3Clients,
    S3ClientSettings,
    S3Credentials,
    S3Profile,
    S3Store,
)
from milvus_backup_server.domain.errors import (
    BackupError,
    BucketNotFound,
    CopyDenied,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import StoreLocation, Upload, UploadedPart
from tests.support.scripted_s3 import ScriptedS3, scripted_s3

SECRET = "zaphod-secret"
ETAG = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[ScriptedS3]:
    async with scripted_s3() as scripted:
        yield scripted


@pytest.fixture(scope="session")
async def store(server: ScriptedS3) -> AsyncIterator[S3Store]:
    async with S3Clients(S3ClientSettings()) as clients:
        yield await clients.store(profile_of(server))


@pytest.fixture(scope="session")
async def impatient_store(server: ScriptedS3) -> AsyncIterator[S3Store]:
    async with S3Clients(S3ClientSettings(read_timeout_seconds=0.5)) as clients:
        yield await clients.store(profile_of(server))


@pytest.fixture
def s3(server: ScriptedS3) -> ScriptedS3:
    server.requests.clear()
    return server


def profile_of(s3: ScriptedS3) -> S3Profile:
    credentials = S3Credentials("zaphod", SECRET, "zaphod-token")
    return S3Profile(
        "minio",
        s3.endpoint,
        "us-east-1",
        "bucket",
        "path",
        credentials,
        login="milvus.storage.auth",
    )


ELSEWHERE = StoreLocation("minio", "http://elsewhere", "source")
REQUESTS: dict[str, Callable[[S3Store], Awaitable[object]]] = {
    "bucket_exists": lambda store: store.bucket_exists(),
    "create_bucket": lambda store: store.create_bucket(),
    "head": lambda store: store.head("k"),
    "get": lambda store: store.get("k", if_match=ETAG),
    "put": lambda store: store.put("k", b"1"),
    "create": lambda store: store.put("k", b"1", if_absent=True),
    "copy": lambda store: store.copy(ELSEWHERE, "s", "k", if_match=ETAG),
    "start_upload": lambda store: store.start_upload("k"),
    "upload_part": lambda store: store.upload_part(Upload("k", "u"), 1, b"1"),
    "copy_part": lambda store: store.copy_part(
        Upload("k", "u"), 1, ELSEWHERE, "s", offset=0, length=1, if_match=ETAG
    ),
    "complete_upload": lambda store: store.complete_upload(
        Upload("k", "u"), [UploadedPart(1, ETAG)]
    ),
    "abort_upload": lambda store: store.abort_upload(Upload("k", "u")),
    "list_uploads": lambda store: store.list_uploads(""),
    "list_page": lambda store: store.list_page(""),
    "delete": lambda store: store.delete(["k"]),
}


@pytest.mark.parametrize("method", REQUESTS)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((500, "InternalError"), StorageUnavailable),
        ((503, "SlowDown"), StorageUnavailable),
        ((502, ""), StorageUnavailable),
        ((429, "TooManyRequests"), StorageUnavailable),
        ((400, "RequestTimeout"), StorageUnavailable),
        ((409, "OperationAborted"), StorageUnavailable),
        ((400, "ExpiredToken"), StorageDenied),
        ((403, "AccessDenied"), StorageDenied),
        ((403, "SomethingNew"), StorageDenied),
        ((400, "InvalidArgument"), StorageRefused),
        ((501, "NotImplemented"), StorageRefused),
        ((507, "XMinioStorageFull"), StorageRefused),
    ],
)
async def test_each_answer_means_the_same_everywhere(
    s3: ScriptedS3,
    store: S3Store,
    method: str,
    answer: tuple[int, str],
    expected: type[BackupError],
) -> None:
    s3.answer(*answer)
    if method in ("copy", "copy_part") and expected is StorageDenied:
        expected = CopyDenied
    is_head = method in ("bucket_exists", "head")
    if is_head and answer[0] in (400, 409):
        expected = StorageRefused  # the answer to a HEAD has no body, so no code
    with pytest.raises(BackupError) as raised:
        await REQUESTS[method](store)
    assert type(raised.value) is expected
    # The library asks for the bucket's region once more where the answer leaves it open; and a refused
    # look at the bucket is tried as a listing.
    asked = 2 if (method, answer[0]) in {("head", 400), ("bucket_exists", 403)} else 1
    assert len(s3.requests) == asked, "the library repeats nothing"
    assert "zaphod" not in f"{raised.value} {raised.value.metadata}"


async def test_a_denied_request_names_the_setting_of_the_login(
    s3: ScriptedS3, store: S3Store
) -> None:
    s3.answer(403, "SignatureDoesNotMatch")
    with pytest.raises(StorageDenied) as raised:
        await store.get("k")
    assert raised.value.message == (
        f"cannot read bucket/k: {s3.endpoint} answers SignatureDoesNotMatch (HTTP 403); "
        "milvus.storage.auth must be a login that may do so"
    )
    assert raised.value.metadata["setting"] == "milvus.storage.auth"


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        ("get", (404, "NoSuchKey"), ObjectNotFound),
        ("get", (404, "NoSuchBucket"), BucketNotFound),
        ("get", (412, "PreconditionFailed"), ObjectChanged),
        ("copy", (404, "NoSuchKey"), ObjectNotFound),
        ("copy", (412, "PreconditionFailed"), ObjectChanged),
        ("copy", (403, "InvalidObjectState"), StorageRefused),
        ("copy_part", (404, "NoSuchUpload"), UploadNotFound),
        ("copy_part", (412, "PreconditionFailed"), ObjectChanged),
        ("create", (412, "PreconditionFailed"), ObjectAlreadyExists),
        ("create", (409, "ConditionalRequestConflict"), StorageUnavailable),
        ("put", (400, "BadDigest"), StorageUnavailable),
        ("upload_part", (404, "NoSuchUpload"), UploadNotFound),
        ("complete_upload", (404, "NoSuchUpload"), UploadNotFound),
        ("complete_upload", (400, "InvalidPart"), StorageRefused),
        ("list_page", (404, "NoSuchBucket"), BucketNotFound),
        ("head", (404, ""), BucketNotFound),
    ],
)
async def test_answers_of_their_own(
    s3: ScriptedS3,
    store: S3Store,
    method: str,
    answer: tuple[int, str],
    expected: type[BackupError],
) -> None:
    s3.answer(*answer)
    with pytest.raises(BackupError) as raised:
        await REQUESTS[method](store)
    assert type(raised.value) is expected


@pytest.mark.parametrize("method", ["copy", "copy_part", "complete_upload"])
async def test_an_error_in_an_answer_of_200_is_an_error(
    s3: ScriptedS3, store: S3Store, method: str
) -> None:
    s3.answer(200, "InternalError")
    with pytest.raises(StorageUnavailable):
        await REQUESTS[method](store)
    assert len(s3.requests) == 1


@pytest.mark.parametrize("method", ["copy", "complete_upload", "list_page", "start_upload"])
@pytest.mark.parametrize("body", ["", "<html>busy</html>", "<ListBucketResult><Contents>"])
async def test_an_answer_of_200_that_is_no_answer_is_an_error(
    s3: ScriptedS3, store: S3Store, method: str, body: str
) -> None:
    s3.answer(200, body=body)
    with pytest.raises(StorageUnavailable):
        await REQUESTS[method](store)


async def test_a_listing_that_breaks_off_is_no_shorter_listing(
    s3: ScriptedS3, store: S3Store
) -> None:
    s3.answer(
        200,
        body="<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>k</Key><Size>1</Size>"
        "<ETag>x</ETag></Contents></ListBucketResult>",
    )
    with pytest.raises(StorageUnavailable):
        await store.list_page("")


async def test_keys_that_could_not_be_deleted_are_an_error(s3: ScriptedS3, store: S3Store) -> None:
    body = "<DeleteResult><Error><Key>k</Key><Code>{}</Code></Error></DeleteResult>"
    for code, expected in (
        ("AccessDenied", StorageDenied),
        ("InternalError", StorageUnavailable),
        ("ObjectLocked", StorageRefused),
    ):
        s3.answer(200, body=body.format(code))
        with pytest.raises(expected) as raised:
            await store.delete(["k"])
        assert raised.value.metadata["key"] == "k"


async def test_deleting_sends_the_md5_that_stores_ask_for(s3: ScriptedS3, store: S3Store) -> None:
    s3.answer(200, body="<DeleteResult></DeleteResult>")
    await store.delete(["k"])
    assert len(s3.requests[0].headers["Content-MD5"]) == 24


async def test_writing_asks_for_no_leave(s3: ScriptedS3, store: S3Store) -> None:
    s3.answer(500)
    for method in ("put", "upload_part"):
        with pytest.raises(StorageUnavailable):
            await REQUESTS[method](store)
    assert [request.headers.get("Expect") for request in s3.requests] == [None, None]


async def test_an_answer_that_never_comes_is_given_up(
    s3: ScriptedS3, impatient_store: S3Store
) -> None:
    forever = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    s3.respond = hang
    with pytest.raises(StorageUnavailable):
        await impatient_store.get("k")
    forever.set()


@pytest.mark.parametrize("hang", [False, True])
async def test_a_body_that_breaks_off_is_no_shorter_object(
    s3: ScriptedS3, impatient_store: S3Store, hang: bool
) -> None:
    released = asyncio.Event()

    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10", "ETag": ETAG})
        await response.prepare(request)
        await response.write(b"12345")
        if hang:
            await released.wait()
        assert request.transport is not None
        request.transport.close()
        return response

    s3.respond = break_off
    with pytest.raises(StorageUnavailable):
        await impatient_store.get("k")
    assert len(s3.requests) == 1
    released.set()


async def test_a_broken_connection_is_told(s3: ScriptedS3, store: S3Store) -> None:
    async def reset(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    s3.respond = reset
    for method, request in REQUESTS.items():
        with pytest.raises(StorageUnavailable) as raised:
            await request(store)
        assert raised.value.metadata["endpoint"] == s3.endpoint, method


# Profiles


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [(("abc", "abc"), b"abc"), (("abc", "abd"), None)],
    ids=["an ETag that is no MD5", "damaged on the way"],
)
async def test_bytes_that_an_etag_denies_count_only_if_they_come_again(
    s3: ScriptedS3, store: S3Store, bodies: tuple[str, str], expected: bytes | None
) -> None:
    left = list(bodies)

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=left.pop(0), headers={"ETag": f'"{ETAG}"'})

    s3.respond = respond
    if expected is None:
        with pytest.raises(StorageUnavailable, match="arrived damaged"):
            await store.get("k")
    else:
        assert await store.get("k") == expected
    assert left == []


def test_secrets_are_not_shown() -> None:
    credentials = S3Credentials("zaphod", SECRET, "zaphod-token")
    profile = S3Profile("s3", "", "eu-central-1", "bucket", credentials=credentials)
    for shown in (repr(credentials), repr(profile), str(profile)):
        assert SECRET not in shown
        assert "zaphod-token" not in shown
    assert repr(profile.location).count("zaphod") == 0


@pytest.mark.parametrize(
    ("endpoint", "use_ssl", "expected"),
    [
        ("", True, "https://s3.amazonaws.com"),
        ("minio:9000", True, "https://minio:9000"),
        ("minio:9000", False, "http://minio:9000"),
        ("http://minio:9000/", True, "http://minio:9000"),
    ],
)
def test_where_a_profile_leads(endpoint: str, use_ssl: bool, expected: str) -> None:
    profile = S3Profile("minio", endpoint, "", "bucket", use_ssl=use_ssl)
    assert profile.location == StoreLocation("minio", expected, "bucket")


async def test_settings_that_no_client_can_be_made_of_are_told() -> None:
    async with S3Clients(S3ClientSettings()) as clients:
        for profile in (
            S3Profile("s3", "http://[", "r", "bucket", credentials=S3Credentials("a", "b")),
            S3Profile("s3", "", "r", "bucket", ca_file="/no/such/file"),
        ):
            with pytest.raises(StorageRefused):
                await clients.store(profile)


async def test_credentials_that_are_nowhere_are_told() -> None:
    url, login = "http://127.0.0.1:1", "backup.storage.auth"
    profile = S3Profile("s3", url, "us-east-1", "bucket", login=login)
    async with S3Clients(S3ClientSettings()) as clients:
        store = await clients.store(profile)
        with pytest.raises(StorageDenied, match=r"backup\.storage\.auth must be a login that may"):
            await store.list_page("")
