"""The kinds of values that settings have: what each accepts, and what it says of anything else.

No message shows a value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

_PROVIDERS: Final = "minio, s3, aws, gcp, aliyun, tencent, hwc, local"
_WITHOUT_S3: Final = frozenset({"azure", "gcpnative"})
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_TLS_MODES_OF_V1: Final = {"0": "disabled", "1": "server", "2": "mutual"}
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_WEEK: Final = 7 * 24 * 3600


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _host(value: object) -> object:
    if isinstance(value, str) and (not value or any(mark in value for mark in "/ \t@")):
        raise ValueError("expected a host name or address alone, such as localhost")
    if isinstance(value, str) and _has_port(value):
        raise ValueError("expected a host alone; the port is set by the port key beside it")
    return value


def _has_port(host: str) -> bool:
    # An IPv6 address has two colons at least.
    return host.count(":") == 1 or "]:" in host


def _host_or_none(value: object) -> object:
    return _host(value) if value != "" else value


def _url(value: object) -> object:
    if isinstance(value, str) and value and not _is_http(value):
        raise ValueError("expected an address such as http://localhost:9091")
    return value


def _is_http(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _listed(value: object) -> object:
    """Take a comma-separated text, all that an option or a variable can hold, as the list it means."""
    if isinstance(value, str):
        return tuple(item for part in value.split(",") if (item := part.strip()))
    return value


def _provider(value: object) -> object:
    name = _lower(value)
    if isinstance(name, str) and name in _WITHOUT_S3:
        raise ValueError(f"{name} has no S3 API and is not supported; expected one of {_PROVIDERS}")
    return name


def _storage_class(value: object) -> object:
    name = value.upper() if isinstance(value, str) else value
    if isinstance(name, str) and name in _ARCHIVES:
        raise ValueError(
            "expected a class whose objects can be read at once, such as STANDARD_IA: those of an "
            "archive cannot be restored from"
        )
    return name


def _tls_mode(value: object) -> object:
    name = _lower(value)
    if isinstance(name, str) and name in _TLS_MODES_OF_V1:
        raise ValueError(
            f"expected {_TLS_MODES_OF_V1[name]}: {name} is how configVersion v1 wrote it"
        )
    return name


def _root(value: object) -> object:
    if isinstance(value, str) and value.strip("/"):
        parts = value.strip("/").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise ValueError("expected a path without empty, . and .. parts, such as files")
    return value


def _place(value: str) -> str:
    bucket, slash, path = value.partition("/")
    steps = path.rstrip("/").split("/") if path.rstrip("/") else []
    if not slash or (bucket and not _BUCKET.fullmatch(bucket)):
        raise ValueError("expected bucket/path each, such as archive/milvus, or /path")
    if any(step in {"", ".", ".."} for step in steps):
        raise ValueError("expected paths without empty, . and .. parts, such as archive/milvus")
    return f"{bucket}/{'/'.join(steps)}"


Count: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=1)]
CountOrNone: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=0)]
Port: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=1, le=65535)]
PortOrAny: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[
    float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False, le=_WEEK)
]
GraceSeconds: TypeAlias = Annotated[
    float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False, le=_WEEK)
]
Host: TypeAlias = Annotated[str, BeforeValidator(_host)]
HostOrNone: TypeAlias = Annotated[str, BeforeValidator(_host_or_none)]
HostNames: TypeAlias = Annotated[tuple[Host, ...], BeforeValidator(_listed)]
Endpoints: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Places: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_place)], ...], BeforeValidator(_listed)
]
Url: TypeAlias = Annotated[str, BeforeValidator(_url)]
Root: TypeAlias = Annotated[str, BeforeValidator(_root)]
Bucket: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]

Level: TypeAlias = Annotated[
    Literal["debug", "info", "warn", "error", "panic", "fatal"], BeforeValidator(_lower)
]
Provider: TypeAlias = Annotated[
    Literal["minio", "s3", "aws", "gcp", "aliyun", "tencent", "hwc", "local"],
    BeforeValidator(_provider),
]
TlsMode: TypeAlias = Annotated[Literal["disabled", "server", "mutual"], BeforeValidator(_tls_mode)]
AuthType: TypeAlias = Annotated[Literal["static", "iam", "default"], BeforeValidator(_lower)]
ImportApi: TypeAlias = Annotated[Literal["auto", "rest", "grpc"], BeforeValidator(_lower)]
TransferMode: TypeAlias = Annotated[Literal["auto", "direct", "streaming"], BeforeValidator(_lower)]
Addressing: TypeAlias = Annotated[Literal["auto", "path", "virtual"], BeforeValidator(_lower)]
Encryption: TypeAlias = Annotated[Literal["none", "sse-s3", "sse-kms"], BeforeValidator(_lower)]
StorageClass: TypeAlias = Annotated[
    str, BeforeValidator(_storage_class), Field(pattern=r"^[A-Z0-9._-]*$", max_length=64)
]
