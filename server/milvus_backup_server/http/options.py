"""What the HTTP face is told by whoever starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

API_PATH = "/api/v1"
"""Below this path lies everything but the greeting at ``/``."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the HTTP API is served.

    Attributes:
        host: Address to listen on.
        port: 0 for any free one.
        allowed_hosts: Names besides loopback's that requests may call the service by; ``*`` for all.
        max_body_bytes: Bound of a JSON body.
        base_path: Where the API document says that the API is; empty: ``API_PATH``.
        version: Of this service.
        settings: The settings by key as people read them, secrets masked; a check shows them.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    base_path: str = ""
    version: str = "0"
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
