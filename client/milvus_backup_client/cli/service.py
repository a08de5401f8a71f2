"""The service that a command talks to: one that runs already, or one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import click

from milvus_backup_client.cli.descriptors import handed_on
from milvus_backup_client.cli.outcomes import error_line
from milvus_backup_client.cli.own_service import OwnService, own_service
from milvus_backup_client.cli.place import Place
from milvus_backup_client.errors import BackupServiceError, InternalError, ServiceUnreachable


@dataclass(frozen=True)
class Service:
    """A service that listens.

    Attributes:
        place: What the command line says of it.
        address: Where it listens.
        own: The child process, if it was started for this command and ends with it.
    """

    place: Place
    address: str
    own: OwnService | None = None

    @property
    def title(self) -> str:
        """How to call it in a sentence."""
        if self.own is None:
            return f"the service at {self.address}"
        return "the service started for this command"

    def failure_lines(self, error: BackupServiceError) -> Iterator[str]:
        """Yield what to tell of a failed call: a line, and where the log is if that may help."""
        if self.own is None:
            yield error_line(error, self.title)
        elif isinstance(error, ServiceUnreachable) and self.own.has_ended():
            yield f"Error: {self.title} is gone: {self.own.log.last()}"
            yield f"its log: {self.own.log.keep()}"
        else:
            yield error_line(error, self.title)
            if isinstance(error, InternalError):
                yield f"its log: {self.own.log.keep()}"


@contextmanager
def service_at(place: Place) -> Iterator[Service]:
    """Return the service at an address, or start one for the time of a block.

    Raises:
        StartFailure: It does not start.
    """
    if place.address:
        yield Service(place, place.address)
        return
    with (
        handed_on(place.config) as (config, descriptors),
        own_service(replace(place, config=config).service_arguments(), descriptors) as own,
    ):
        for warning in own.log.warnings(place.command("config", "show")):
            click.echo(f"Warning: {warning}", err=True)
        yield Service(place, own.address, own)
