"""How to reach a Milvus."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class TlsMode(Enum):
    """Who shows a certificate."""

    DISABLED = "disabled"
    SERVER = "server"
    MUTUAL = "mutual"


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusSettings:
    """The address, the credentials and the patience.

    Attributes:
        host: Name or address.
        port: The gRPC port.
        user: Empty for a Milvus without authorization.
        password: Of the user.
        tls: Who shows a certificate.
        ca: File with the certificates to trust; None for the ones that come with gRPC.
        certificate: File with our own certificate, for mutual TLS.
        key: File with its key.
        server_name: The name that the server's certificate is for, if it is not ``host``.
        rest_endpoint: URL of the REST API, if it is not where gRPC is.
        management_endpoint: URL of the management API, which is not where gRPC is.
        call_seconds: How long one call may take, its repetitions included.
        retry_seconds: How long a call whose error may pass is begun anew.
    """

    host: str = "localhost"
    port: int = 19530
    user: str = ""
    password: str = field(default="", repr=False)
    tls: TlsMode = TlsMode.DISABLED
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""
    rest_endpoint: str = ""
    management_endpoint: str = ""
    call_seconds: float = 10.0
    retry_seconds: float = 3.0

    @property
    def address(self) -> str:
        """Host and port, as gRPC and people read them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
