"""A small bug that somebody could make."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    """A bug.

    Attributes:
        name: what it breaks.
        file: below the server's package.
        old: what stands there, once.
        new: what stands there instead.
        tests: at least one of them must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
