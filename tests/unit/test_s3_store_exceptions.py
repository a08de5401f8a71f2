"""Every exception of the client libraries becomes an error of the domain."""

import inspect
import re
import ssl

import aiohttp
import botocore.exceptions
import pytest
from botocore.parsers import ResponseParserError

from milvus_backup_server.adapters.s3.errors import Asked, translated
from milvus_backup_server.domain.errors import (
    BackupError,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)

PASSING = {
    "CapacityNotAvailableError",
    "ChecksumError",
    "ConnectionClosedError",
    "ConnectionError",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "FlexibleChecksumError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
}
DENIED = {
    "CredentialRetrievalError",
    "LoginAuthorizationCodeError",
    "LoginError",
    "LoginInsufficientPermissions",
    "LoginRefreshRequired",
    "LoginTokenLoadError",
    "MetadataRetrievalError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "RefreshWithMFAUnsupportedError",
    "SSOError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "UnknownCredentialError",
    "UnknownTokenProviderError",
}
# Names that sound like one of the above; these are about settings.
SETTINGS = {"InvalidChecksumConfigError"}
SOUNDS_PASSING = re.compile(r"Timeout|Connect|Closed|Checksum|Incomplete|Streaming|HTTP|SSL")
SOUNDS_DENIED = re.compile(r"Credential|Token|SSO|Login|Auth|MFA")


def library_exceptions() -> list[type[Exception]]:
    found = inspect.getmembers(botocore.exceptions, inspect.isclass)
    return [
        cls
        for _, cls in found
        if issubclass(cls, Exception)
        and not issubclass(cls, (Warning, botocore.exceptions.ClientError))
    ]


def translation(error: Exception) -> BackupError:
    """Return what an exception becomes."""
    with pytest.raises(BackupError) as raised, translated(Asked("read", "http://s3", "b", "k")):
        raise error
    assert raised.value.__cause__ is error
    return raised.value


@pytest.mark.parametrize("cls", library_exceptions(), ids=lambda cls: cls.__name__)
def test_every_exception_of_the_library_has_its_place(cls: type[Exception]) -> None:
    name = cls.__name__
    if name not in SETTINGS:
        assert bool(SOUNDS_PASSING.search(name)) <= (name in PASSING), "new: where does it belong?"
        assert bool(SOUNDS_DENIED.search(name)) <= (name in DENIED), "new: where does it belong?"
    expected: type[BackupError] = StorageRefused
    if name in PASSING:
        expected = StorageUnavailable
    elif name in DENIED:
        expected = StorageDenied
    error = translation(cls.__new__(cls))
    assert type(error) is expected
    assert error.metadata["code"] == name


def test_the_lists_above_name_real_classes() -> None:
    names = {cls.__name__ for cls in library_exceptions()}
    assert names >= PASSING | DENIED | SETTINGS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), StorageUnavailable),
        (ConnectionResetError(), StorageUnavailable),
        (aiohttp.ClientPayloadError(), StorageUnavailable),
        (aiohttp.ServerDisconnectedError(), StorageUnavailable),
        (aiohttp.InvalidURL("x"), StorageRefused),
        (ResponseParserError(), StorageUnavailable),
        (ValueError("Invalid endpoint"), StorageRefused),
    ],
)
def test_exceptions_from_below_the_library(error: Exception, expected: type[BackupError]) -> None:
    assert type(translation(error)) is expected


def test_a_certificate_that_is_not_trusted_will_not_pass() -> None:
    error = botocore.exceptions.SSLError(endpoint_url="https://s3", error=OSError())
    error.__context__ = ssl.SSLCertVerificationError("self-signed")
    assert type(translation(error)) is StorageRefused
