"""What all errors are, and those of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of a request: the path of the field, and what would be right."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the way of a request.

    Attributes:
        field: The path of the request's field that it comes from, empty if it comes from none.
        reason: As of the error that it is.
        subject: The resource that is missing or in the way, empty if there is none.
        description: What is wrong, as a sentence.
    """

    field: str
    reason: str
    subject: str
    description: str


class BackupError(Exception):
    """Base of all errors that are meant for callers.

    Args:
        message: A sentence for people.
        metadata: The values that the sentence names, for programs.

    Attributes:
        obstacles: What was found together with this error, itself included, where all of it was
            looked for before anything was touched; empty for other errors.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.obstacles: tuple[Obstacle, ...] = ()
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidRequest(BackupError):
    """One or more fields of a request are wrong; all faults are reported together."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: FieldViolation) -> None:
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in violations[:20])
        super().__init__(text, field=violations[0].field if violations else "")
        self.violations = violations


class InvalidSettings(BackupError):
    """The settings cannot be used; all faults are reported together.

    Attributes:
        hints: What was given besides and is not known: it may be a fault's cause.
    """

    reason = "INVALID_SETTINGS"

    def __init__(self, *violations: FieldViolation, hints: tuple[str, ...] = ()) -> None:
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in violations)
        super().__init__(f"invalid settings: {text}")
        self.violations = violations
        self.hints = hints


class InternalError(BackupError):
    """A fault of this service; details are in its log only."""

    reason = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error; the log of the service has the details")
