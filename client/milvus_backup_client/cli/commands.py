"""Kinds of commands: loaded when they are run, with Go's spelling, with one-line errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click

from milvus_backup_client.cli.exits import UsageFailure

_SHORT_FLAG_WITH_VALUE = re.compile(r"(-[A-Za-z])=(.*)", re.DOTALL)
_ANYTHING = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED, expose_value=False)


class Command(click.Command):
    """A command whose short flags may be written as Go's are, `-n=nightly`.

    Args:
        examples: Command lines, shown by `--help`.
        alternatives: Commands that take over when their name is the first argument.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        alternatives: Mapping[str, click.Command] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples
        self._alternatives = alternatives or {}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Take the arguments apart."""
        other = self._alternatives.get(args[0]) if args else None
        if other is None:
            return super().make_context(info_name, args, parent, **extra)
        return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments apart, short flags with `=` included."""
        return super().parse_args(ctx, [word for argument in args for word in _split(argument)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self._examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self._examples))


def _split(argument: str) -> Sequence[str]:
    short = _SHORT_FLAG_WITH_VALUE.match(argument)
    return short.groups() if short else (argument,)


class LazyCommand(click.Command):
    """Stands for a command of a module that is imported when the command is run.

    Args:
        name: The command's name.
        place: `module:attribute`, below this package.
        short_help: What the list of commands says; the command's own first sentence.
    """

    def __init__(self, name: str, place: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._place = place

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self._place.partition(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), attribute)
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Import the command and let it take the arguments apart."""
        return self.load().make_context(info_name, args, parent, **extra)


class Unsupported(click.Command):
    """A command of the Go tool that this service does not have.

    Args:
        name: The command's name.
        reason: Why it is not there.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            name,
            callback=self._refuse,
            params=[_ANYTHING],
            context_settings={"ignore_unknown_options": True, "help_option_names": []},
            add_help_option=False,
            hidden=True,
        )
        self._reason = reason

    def _refuse(self) -> NoReturn:
        raise UsageFailure(f"{self.name} is not supported: {self._reason}")


@contextmanager
def usage_in_one_line() -> Iterator[None]:
    """Turn click's errors about a command line, which take four lines, into one line."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        text = " ".join(error.format_message().split())
        where = f"; see {error.ctx.command_path} --help" if error.ctx is not None else ""
        raise UsageFailure(f"{text.removesuffix('.')}{where}") from error
