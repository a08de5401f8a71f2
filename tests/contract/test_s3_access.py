"""Ways to reach an S3 store and to write there, on a real one: TLS, host names, logins, encryption."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.s3 import (
    Encryption,
    S3Clients,
    S3ClientSettings,
    S3Credentials,
    S3Profile,
    S3Writing,
)
from milvus_backup_server.domain.errors import StorageDenied, StorageRefused, StorageUnavailable
from milvus_backup_server.ports.object_store import ObjectStore
from tests.contract.buckets import MIB, unique_prefix
from tests.contract.s3_profiles import profile
from tests.support.scripted_s3 import scripted_s3
from tests.support.seaweedfs import Certificate, SeaweedFS, certificate

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("seaweedfs-access")]

BUCKET = "the-bucket"
DOMAIN = "s3.test"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def server(signed: Certificate) -> Iterator[SeaweedFS]:
    with SeaweedFS(domain=DOMAIN, certificate=signed) as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[S3Clients]:
    async with S3Clients(S3ClientSettings(connect_timeout_seconds=2)) as opened:
        yield opened


@pytest.fixture
def plain(server: SeaweedFS) -> S3Profile:
    return profile(server, BUCKET)


async def use(store: ObjectStore) -> None:
    """Write, read, copy, list and remove."""
    prefix = unique_prefix()
    written = await store.put(f"{prefix}a", b"text")
    await store.copy(store.location, f"{prefix}a", f"{prefix}b/c", if_match=written.etag)
    assert await store.get(f"{prefix}b/c") == b"text"
    keys = [info.key for info in (await store.list_page(prefix)).objects]
    assert keys == [f"{prefix}a", f"{prefix}b/c"]
    upload = await store.start_upload(f"{prefix}d")
    part = await store.copy_part(
        upload, 1, store.location, f"{prefix}a", offset=0, length=4, if_match=written.etag
    )
    await store.complete_upload(upload, [part])
    assert await store.get(f"{prefix}d") == b"text"
    await store.delete([*keys, f"{prefix}d"])
    assert await store.head(f"{prefix}a") is None


class TestTls:
    @pytest.fixture
    def secure(self, server: SeaweedFS, plain: S3Profile) -> S3Profile:
        return replace(plain, endpoint=f"localhost:{server.tls_port}", use_ssl=True)

    async def test_an_own_authority_is_trusted_when_it_is_named(
        self, clients: S3Clients, secure: S3Profile, signed: Certificate
    ) -> None:
        store = await clients.store(replace(secure, ca_file=str(signed.authority)))
        assert store.location.endpoint.startswith("https://localhost:")
        await use(store)

    async def test_and_not_otherwise(self, clients: S3Clients, secure: S3Profile) -> None:
        store = await clients.store(secure)
        with pytest.raises(StorageRefused, match="the certificate is not trusted"):
            await store.list_page("")

    async def test_nor_for_another_name(
        self, clients: S3Clients, secure: S3Profile, server: SeaweedFS, signed: Certificate
    ) -> None:
        by_address = replace(secure, endpoint=f"127.0.0.1:{server.tls_port}")
        store = await clients.store(replace(by_address, ca_file=str(signed.authority)))
        with pytest.raises(StorageRefused, match="the certificate is not trusted"):
            await store.list_page("")


async def test_the_bucket_in_the_name_of_the_host(
    clients: S3Clients, server: SeaweedFS, plain: S3Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody resolves such names here; as a proxy the server is asked by its address, and is sent the
    # name all the same.
    monkeypatch.setenv("http_proxy", server.endpoint)
    host = f"http://{DOMAIN}:{server.port}"
    store = await clients.store(replace(plain, endpoint=host, addressing="virtual"))
    await use(store)
    async with scripted_s3() as scripted:
        monkeypatch.setenv("http_proxy", scripted.endpoint)
        store = await clients.store(replace(plain, endpoint="http://x.test", addressing="virtual"))
        with pytest.raises(StorageUnavailable):
            await store.get("a/key")
        assert (scripted.requests[0].host, scripted.requests[0].path) == (
            f"{BUCKET}.x.test",
            "/a/key",
        )


class TestWriting:
    """Storage class and encryption, of everything that becomes an object."""

    WRITING = S3Writing("STANDARD_IA", Encryption.S3)

    async def test_a_put_a_copy_and_an_upload_have_them(
        self, clients: S3Clients, server: SeaweedFS, plain: S3Profile
    ) -> None:
        store = await clients.store(replace(plain, writing=self.WRITING))
        source = await clients.store(plain)
        prefix = unique_prefix()
        bare = await source.put(f"{prefix}source", bytes(5 * MIB + 1))
        await store.put(f"{prefix}put", b"1")
        await store.copy(source.location, bare.key, f"{prefix}copy", if_match=bare.etag)
        upload = await store.start_upload(f"{prefix}upload")
        parts = [
            await store.copy_part(
                upload,
                1,
                source.location,
                bare.key,
                offset=0,
                length=5 * MIB,
                if_match=bare.etag,
            ),
            await store.upload_part(upload, 2, b"end"),
        ]
        await store.complete_upload(upload, parts)
        for name in ("put", "copy", "upload"):
            told = server.objects.describe(BUCKET, prefix + name)
            assert (told["ServerSideEncryption"], told["StorageClass"]) == ("AES256", "STANDARD_IA")
        assert "ServerSideEncryption" not in server.objects.describe(BUCKET, bare.key)
        assert await store.get(f"{prefix}upload") == bytes(5 * MIB) + b"end"

    async def test_a_client_serves_all_ways_to_write(
        self, clients: S3Clients, plain: S3Profile
    ) -> None:
        await clients.store(plain)
        await clients.store(replace(plain, writing=self.WRITING))
        assert len(clients) == 1

    async def test_a_key_is_named_with_each(self, clients: S3Clients, plain: S3Profile) -> None:
        kms = S3Writing(encryption=Encryption.KMS, kms_key_id="the-key")
        async with scripted_s3() as scripted:
            store = await clients.store(
                replace(plain, endpoint=scripted.endpoint, writing=kms),
            )
            for request in (
                store.put("k", b"1"),
                store.copy(store.location, "s", "k", if_match=""),
                store.start_upload("k"),
            ):
                with pytest.raises(StorageUnavailable):
                    await request
            asked = [
                (
                    request.headers.get("x-amz-server-side-encryption"),
                    request.headers.get("x-amz-server-side-encryption-aws-kms-key-id"),
                )
                for request in scripted.requests
            ]
        assert asked == [("aws:kms", "the-key")] * 3


class TestLogins:
    """Without keys in the settings they come from the environment, or from what gives them out."""

    @pytest.fixture
    def anonymous(self, plain: S3Profile) -> S3Profile:
        return replace(plain, credentials=None)

    async def test_none(self, clients: S3Clients, anonymous: S3Profile) -> None:
        with pytest.raises(StorageDenied, match="no usable credentials"):
            await (await clients.store(anonymous)).list_page("")

    async def test_the_environment(
        self,
        clients: S3Clients,
        server: SeaweedFS,
        anonymous: S3Profile,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        await use(await clients.store(anonymous))

    async def test_the_role_of_a_container(
        self, clients: S3Clients, anonymous: S3Profile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role = {
            "AccessKeyId": "a-role",
            "SecretAccessKey": "its-secret",
            "Token": "its-token",
            "Expiration": "2999-01-01T00:00:00Z",
        }
        async with scripted_s3() as agent, scripted_s3() as scripted:
            agent.answer(200, body=json.dumps(role))
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.endpoint}/role")
            store = await clients.store(replace(anonymous, endpoint=scripted.endpoint))
            with pytest.raises(StorageUnavailable):
                await store.get("k")
            (asked,) = scripted.requests
        assert asked.headers["x-amz-security-token"] == "its-token"
        assert "Credential=a-role/" in asked.headers["Authorization"]

    async def test_a_token_beside_keys(self, clients: S3Clients, plain: S3Profile) -> None:
        keys = S3Credentials("me", "my-secret", "my-token")
        async with scripted_s3() as scripted:
            profile = replace(plain, endpoint=scripted.endpoint, credentials=keys)
            with pytest.raises(StorageUnavailable):
                await (await clients.store(profile)).get("k")
            (asked,) = scripted.requests
        assert asked.headers["x-amz-security-token"] == "my-token"
