"""What an S3 store answers, and what happens on the way to it, in the words of the domain.

Tables decide: S3's error codes with the HTTP statuses behind them, and the exceptions that the
client libraries raise by themselves. Nothing of theirs leaves ``adapters.s3``.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import botocore.exceptions as boto
from botocore.parsers import ResponseParserError

from milvus_backup_server.domain.errors import (
    BackupError,
    BucketNotFound,
    CopyDenied,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
    UploadNotFound,
)

_CODES: Mapping[str, type[BackupError]] = {
    "NoSuchBucket": BucketNotFound,
    "NoSuchKey": ObjectNotFound,
    "NoSuchUpload": UploadNotFound,
    # The same request may succeed at the next try, whatever the status says.
    "BadDigest": StorageUnavailable,
    "ConditionalRequestConflict": StorageUnavailable,
    "IncompleteBody": StorageUnavailable,
    "InternalError": StorageUnavailable,
    "OperationAborted": StorageUnavailable,
    "RequestTimeout": StorageUnavailable,
    "RequestTimeoutException": StorageUnavailable,
    "ServiceUnavailable": StorageUnavailable,
    "SlowDown": StorageUnavailable,
    "Throttling": StorageUnavailable,
    "ThrottlingException": StorageUnavailable,
    "TooManyRequests": StorageUnavailable,
    "XAmzContentSHA256Mismatch": StorageUnavailable,
    # Credentials and rights; some stores answer these with 400 instead of 403, and the answer to a
    # deletion of many has one code for each key and no status.
    "AccessDenied": StorageDenied,
    "AuthorizationHeaderMalformed": StorageDenied,
    "ExpiredToken": StorageDenied,
    "InvalidAccessKeyId": StorageDenied,
    "InvalidToken": StorageDenied,
    "SignatureDoesNotMatch": StorageDenied,
    "TokenRefreshRequired": StorageDenied,
    # These look like the above and are not.
    "InvalidObjectState": StorageRefused,  # 403: the object is in an archive
    "NotImplemented": StorageRefused,  # 501
    "XMinioStorageFull": StorageRefused,  # 507
}

_STATUSES: Mapping[int, type[BackupError]] = {
    401: StorageDenied,
    403: StorageDenied,
    408: StorageUnavailable,
    425: StorageUnavailable,
    429: StorageUnavailable,
    501: StorageRefused,
    505: StorageRefused,
    507: StorageRefused,
}

_FIRST_SERVER_STATUS = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the store: decides what some answers mean, and names things in messages.

    Attributes:
        action: What was done, as a verb: ``read``, ``copy to``.
        endpoint: Where the store is.
        bucket: The bucket.
        key: The key; empty for requests about the bucket.
        condition_failed: What a failed condition (412) means.
        copies: Whether the store was asked to read another object by itself.
        login: The setting of the credentials that were sent.
    """

    action: str
    endpoint: str
    bucket: str
    key: str = ""
    condition_failed: type[BackupError] = ObjectChanged
    copies: bool = False
    login: str = ""

    @property
    def path(self) -> str:
        """The bucket and key."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


@dataclass(frozen=True, slots=True)
class _Kind:
    error: type[BackupError]
    words: str


_DENIED = _Kind(StorageDenied, "no usable credentials")
_CONNECT = _Kind(StorageUnavailable, "cannot connect")
_BROKEN = _Kind(StorageUnavailable, "the connection broke")
_DAMAGED = _Kind(StorageUnavailable, "the answer arrived damaged")
_LATE = _Kind(StorageUnavailable, "no answer in time")
_REFUSED = _Kind(StorageRefused, "the request cannot be made with these settings")

# The first row whose class fits decides, so special classes stand before their bases.
_RAISED: tuple[tuple[type[Exception], _Kind], ...] = (
    (boto.ConnectTimeoutError, _LATE),
    (boto.ReadTimeoutError, _LATE),
    (boto.ConnectionError, _CONNECT),
    (boto.HTTPClientError, _BROKEN),
    (boto.IncompleteReadError, _BROKEN),
    (boto.ChecksumError, _DAMAGED),
    (boto.FlexibleChecksumError, _DAMAGED),
    (boto.CapacityNotAvailableError, _LATE),
    (boto.NoCredentialsError, _DENIED),
    (boto.PartialCredentialsError, _DENIED),
    (boto.CredentialRetrievalError, _DENIED),
    (boto.UnknownCredentialError, _DENIED),
    (boto.MetadataRetrievalError, _DENIED),
    (boto.NoAuthTokenError, _DENIED),
    (boto.TokenRetrievalError, _DENIED),
    (boto.UnknownTokenProviderError, _DENIED),
    (boto.RefreshWithMFAUnsupportedError, _DENIED),
    (boto.SSOError, _DENIED),
    (boto.LoginError, _DENIED),
    (boto.BotoCoreError, _REFUSED),
    (boto.UndefinedModelAttributeError, _REFUSED),
    (ResponseParserError, _DAMAGED),
    (KeyError, _DAMAGED),  # a field that every answer has
    (TimeoutError, _LATE),
    (aiohttp.ClientConnectorError, _CONNECT),
    (aiohttp.InvalidURL, _REFUSED),
    (aiohttp.ClientError, _BROKEN),
    (OSError, _BROKEN),
    (ValueError, _REFUSED),
)

FOREIGN = tuple(kind for kind, _ in _RAISED)
"""Every class of exception that is translated, beside ``ClientError``."""


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Raise what the client libraries raise inside as errors of the domain."""
    try:
        yield
    except boto.ClientError as error:
        raise from_answer(error.response, asked) from error
    except FOREIGN as error:
        raise from_exception(error, asked) from error


def from_answer(answer: Mapping[str, object], asked: Asked) -> BackupError:
    """Return the error that an answer of the store means.

    Args:
        answer: As botocore parses it.
        asked: The request.
    """
    details, meta = _mapping(answer.get("Error")), _mapping(answer.get("ResponseMetadata"))
    code, status = str(details.get("Code", "")), _number(meta.get("HTTPStatusCode"))
    kind = _CODES.get(code) or _by_status(status or _number(code), asked)
    if kind is StorageDenied and asked.copies:
        kind = CopyDenied
    text = f"cannot {asked.action} {asked.path}: {asked.endpoint} answers {_shown(code, status)}"
    return kind(
        text + _remedy(kind, asked),
        subject=asked.bucket,
        bucket=str(details.get("BucketName") or asked.bucket),
        key=asked.key,
        endpoint=asked.endpoint,
        code=code,
        status=status,
        request_id=str(meta.get("RequestId", "")),
        **_setting(kind, asked),
    )


def damaged(asked: Asked) -> StorageUnavailable:
    """Return the error for bytes that are not those that the store sent."""
    return StorageUnavailable(
        f"cannot {asked.action} {asked.path} at {asked.endpoint}: {_DAMAGED.words}",
        subject=asked.endpoint,
        bucket=asked.bucket,
        key=asked.key,
        endpoint=asked.endpoint,
    )


def from_exception(error: Exception, asked: Asked) -> BackupError:
    """Return the error that an exception of the client libraries means."""
    kind = next((row for cls, row in _RAISED if isinstance(error, cls)), _REFUSED)
    if _is_certificate(error):
        kind = _Kind(StorageRefused, "the certificate is not trusted")
    text = f"cannot {asked.action} {asked.path} at {asked.endpoint}: {kind.words}"
    return kind.error(
        text + _remedy(kind.error, asked),
        subject=asked.endpoint,
        bucket=asked.bucket,
        key=asked.key,
        endpoint=asked.endpoint,
        code=type(error).__name__,
        **_setting(kind.error, asked),
    )


def _setting(kind: type[BackupError], asked: Asked) -> dict[str, str]:
    return {"setting": asked.login} if kind is StorageDenied and asked.login else {}


def _remedy(kind: type[BackupError], asked: Asked) -> str:
    setting = _setting(kind, asked).get("setting")
    return f"; {setting} must be a login that may do so" if setting else ""


def _shown(code: str, status: int) -> str:
    if not code or code.isdecimal():
        return f"HTTP {status or code}"
    return f"{code} (HTTP {status})" if status else code


def _by_status(status: int, asked: Asked) -> type[BackupError]:
    if status == 404:  # noqa: PLR2004 - HTTP's own number
        return ObjectNotFound if asked.key else BucketNotFound
    if status == 412:  # noqa: PLR2004
        return asked.condition_failed
    if status in _STATUSES:
        return _STATUSES[status]
    return StorageUnavailable if status >= _FIRST_SERVER_STATUS else StorageRefused


def _is_certificate(error: BaseException | None) -> bool:
    # The cause hides some layers down, and not every layer names the one below as its cause.
    while error is not None:
        if isinstance(
            error, (ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return int(value) if str(value).isdecimal() else 0  # type: ignore[call-overload]
