"""Where the service of a command is: at an address, or started for the command with settings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import click

from milvus_backup_client.cli.exits import UsageFailure

ADDRESS_VARIABLE = "MILVUS_BACKUP_ADDRESS"
_Command = TypeVar("_Command", bound=Callable[..., object])


@dataclass(frozen=True)
class Place:
    """What `--address`, `--config` and `--set` say, before or behind the name of a command.

    Attributes:
        address: Of a running service; empty: one is started for the command.
        config: The settings file of the service to start, empty for none; None: not said.
        settings: `KEY=VALUE` each, for the service to start; the last of a key counts.
    """

    address: str = ""
    config: str | None = None
    settings: tuple[str, ...] = ()

    def then(self, inner: Place) -> Place:
        """Return what holds when the command itself says `inner`."""
        return Place(
            inner.address or self.address,
            self.config if inner.config is None else inner.config,
            self.settings + inner.settings,
        )

    def checked(self) -> Place:
        """Return it if it can be carried out.

        Raises:
            UsageFailure: There are settings for a service that runs already.
        """
        if self.address and (self.settings or self.config is not None):
            flag = "--set" if self.config is None else "--config"
            raise UsageFailure(
                f"{flag} is for a service that is started here, and the one at {self.address} "
                f"has settings of its own: leave out {flag}, or --address ({ADDRESS_VARIABLE})"
            )
        return self

    def service_arguments(self) -> list[str]:
        """Return the settings as arguments of the commands `server` and `config`."""
        config = () if self.config is None else ("--config", self.config)
        return [*config, *_repeated("--set", self.settings)]

    def command(self, *words: str) -> str:
        """Return a command line of this program for the same place, to be shown.

        Values of `--set` may be passwords, and are not shown.
        """
        keys = tuple(f"{setting.partition('=')[0]}=..." for setting in self.settings)
        shown = replace(self, settings=keys).service_arguments()
        address = ["--address", self.address] if self.address else []
        return shlex.join(["milvus-backup", *address, *shown, *words])


def place_options(command: _Command) -> _Command:
    """Add `--address`, `--config` and `--set` to a command."""
    for option in reversed(_OPTIONS):
        option(command)
    return command


_OPTIONS = (
    click.option(
        "--address",
        default="",
        metavar="HOST:PORT",
        help="A running service; also unix:/PATH.  [default: one is started for the command]",
    ),
    click.option(
        "--config",
        default=None,
        metavar="FILE",
        help="Settings of the service to start; '' for none.  [default: backup.yaml, looked up"
        " as given, then in $MILVUSCONF and ./configs]",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the service to start, over file and environment; can be repeated.",
    ),
)


def _repeated(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]
