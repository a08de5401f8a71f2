"""Where backups lie beside the repository of the settings: what callers may name, and what it means.

A caller never names an endpoint or a login: only a bucket and a path at the address of
``backup.storage``, and only where the operator allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.layout import CONTENT_DIRECTORIES, SERVICE_DIRECTORY

SETTING: Final = "service.storage.allowedPlaces"
HOME_SETTING: Final = "backup.storage.bucketName"
_LONGEST: Final = 512
_SHOWN: Final = 10
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_STEP: Final = re.compile(r"[^\x00-\x1f\x7f\\\ud800-\udfff]+")
_TAKEN: Final = frozenset(
    {SERVICE_DIRECTORY, *(name.rstrip("/") for name in CONTENT_DIRECTORIES), ".", ".."}
)
"""Directories that lie inside of a backup or a repository, and steps that are no names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and a root in it; what is empty is as in the settings.

    Attributes:
        bucket: Its name; always empty where backups lie in a directory.
        root: The path below which backups lie.
    """

    bucket: str = ""
    root: str = ""

    def __str__(self) -> str:
        """Return it as the setting has it."""
        return f"{self.bucket}/{self.root}"


HOME: Final = Place()
"""The repository of the settings, however a caller names it."""


class FoundPlace(NamedTuple):
    """A place that is allowed.

    Attributes:
        place: With nothing left empty that the settings fill; HOME for their own repository.
        prefix: The allowed one in or below which it lies; HOME for the repository of the settings.
        below: The rest of its path.
    """

    place: Place
    prefix: Place
    below: str


@dataclass(frozen=True, slots=True)
class AllowedPlaces:
    """What the operator allows.

    Attributes:
        home: Bucket and root of ``backup.storage``.
        prefixes: Where callers may have backups besides; all paths below count.
    """

    home: Place = Place()
    prefixes: tuple[Place, ...] = ()

    def find(self, asked: Place) -> FoundPlace:
        """Return what a caller means.

        Raises:
            InvalidRequest: It is no place, or not allowed.
        """
        if asked == HOME:
            return FoundPlace(HOME, HOME, "")
        bucket = asked.bucket or self.home.bucket
        steps = _steps(asked.root) or _steps(self.home.root)
        if bucket == self.home.bucket and steps == _steps(self.home.root):
            return FoundPlace(HOME, HOME, "")
        faults = tuple(place_faults(asked))
        if faults:
            raise InvalidRequest(*faults)
        return self._allowed(asked, bucket, steps)

    def _allowed(self, asked: Place, bucket: str, steps: tuple[str, ...]) -> FoundPlace:
        home = _steps(self.home.root)
        shared = min(len(home), len(steps))
        if bucket == self.home.bucket and home and steps[:shared] == home[:shared]:
            text = (
                f"{asked.root!r} lies among the backups of the settings, or around them; expected a path "
                "beside theirs"
            )
            raise InvalidRequest(FieldViolation("place.path", text))
        for prefix in self.prefixes:
            above = _steps(prefix.root)
            if prefix.bucket == bucket and steps[: len(above)] == above:
                place = Place(bucket, "/".join(steps))
                return FoundPlace(place, prefix, "/".join(steps[len(above) :]))
        raise InvalidRequest(self._refusal(asked, bucket))

    def _refusal(self, asked: Place, bucket: str) -> FieldViolation:
        buckets = {self.home.bucket, *(prefix.bucket for prefix in self.prefixes)}
        of_bucket = bool(asked.bucket) and (bucket not in buckets or not asked.root)
        name, value = ("bucket_name", asked.bucket) if of_bucket else ("path", asked.root)
        shown = ", ".join(map(str, self.prefixes[:_SHOWN]))
        right = f"expected one in or below {shown}" if shown else "leave it empty"
        return FieldViolation(
            f"place.{name}", f"{value!r} is not what the operator allows ({SETTING}): {right}"
        )


def place_faults(place: Place) -> Iterator[FieldViolation]:
    """Yield what keeps a place from being one, by the names of the contract."""
    if place.bucket and not _BUCKET.fullmatch(place.bucket):
        text = "is no name of a bucket: expected letters, digits, ., _ and -"
        yield FieldViolation("place.bucket_name", text)
    path = place.root.strip("/")
    if place.root and (len(path.encode(errors="replace")) > _LONGEST or not _is_path(path)):
        taken = ", ".join(sorted(_TAKEN))
        text = f"is no path: expected names between /, none of {taken}, at most {_LONGEST} bytes"
        yield FieldViolation("place.path", text)


def _is_path(path: str) -> bool:
    return all(_STEP.fullmatch(step) and step not in _TAKEN for step in path.split("/"))


def _steps(path: str) -> tuple[str, ...]:
    return tuple(step for step in path.split("/") if step)
