"""Where settings come from: a YAML file, the environment, the command line. Nothing is judged here.

All of them give flat, dotted, lower-case keys, as in the Go tool. A value is text, or a list of texts
in a file, until its key says what it is; an empty (null) leaf is not set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import yaml

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings

DEFAULT_FILE: Final = "backup.yaml"
_MAX_DEPTH: Final = 8
_NULL_TAG: Final = "tag:yaml.org,2002:null"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_PLAIN_TAGS: Final = {
    _NULL_TAG,
    _MERGE_TAG,
    *(
        f"tag:yaml.org,2002:{name}"
        for name in ("str", "int", "float", "bool", "timestamp", "value")
    ),
}
_QUOTED: Final = re.compile(r" ?(['\"]).{2,}\1")


class Source(Enum):
    """What kind of place a setting comes from, as ``config show`` names it."""

    OVERRIDE = "override"
    ENVIRONMENT = "env"
    CONFIG = "config"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as somebody gave it.

    Attributes:
        key: The key, or the option that stands for it, as it was written.
        value: What it was set to; not shown, it may be a secret.
        origin: Where that was, for people.
        source: What kind of place that was.
        variable: The environment variable's name, where one was used in place of the key.
        inherited: It was given for another key whose value this one takes over.
    """

    key: str
    value: object = field(repr=False)
    origin: str
    source: Source = Source.OVERRIDE
    variable: str = ""
    inherited: bool = False


Rows = Mapping[str, Given]
"""What was given, by lower-case key."""


def find_file(config: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return the settings file; None if there is none and none was asked for.

    Args:
        config: As asked for: a path, empty for no file, None for ``backup.yaml`` if it exists.
        environ: The environment.

    Raises:
        InvalidSettings: A file was asked for and is not there.
    """
    if config == "":
        return None
    wanted = Path(config or DEFAULT_FILE)
    folders = [Path(environ["MILVUSCONF"])] if environ.get("MILVUSCONF") else []
    places = [wanted, *(folder / wanted.name for folder in [*folders, Path("configs")])]
    try:
        found = next((place for place in places if _is_there(place)), None)
    except OSError as error:
        raise InvalidSettings(FieldViolation("--config", _reason(error))) from None
    if found is None and config:
        tried = ", ".join(str(place) for place in places)
        raise InvalidSettings(FieldViolation("--config", f"no such file: {tried}"))
    return found


def read_file(path: Path) -> dict[str, Given]:
    """Return what a file sets.

    Raises:
        InvalidSettings: It cannot be read, is no YAML mapping, or sets a key twice.
    """
    try:
        rows = list(_rows(path))
    except OSError as error:
        raise _unreadable(path, _reason(error)) from None
    except UnicodeDecodeError:
        raise _unreadable(path, "is not UTF-8 text") from None
    except RecursionError:
        raise _unreadable(path, "is nested too deeply") from None
    except yaml.YAMLError as error:
        raise _unreadable(path, _yaml_fault(error)) from None
    given: dict[str, Given] = {}
    twice = [
        FieldViolation(row.key, f"is set twice ({given[row.key.lower()].origin}, {row.origin})")
        for row in rows
        if given.setdefault(row.key.lower(), row) is not row
    ]
    if twice:
        raise InvalidSettings(*twice)
    return given


def from_variable(name: str, key: str, environ: Mapping[str, str]) -> Given:
    """Return what a variable of the environment sets."""
    origin = f"environment variable {name}"
    return Given(key, environ[name], origin, Source.ENVIRONMENT, name)


def read_environment(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, Given]:
    """Return what the environment sets; a variable that is set but empty counts.

    Args:
        environ: The environment.
        variables: The keys of the variables that count.
    """
    return {
        key.lower(): from_variable(name, key, environ)
        for name, key in variables.items()
        if name in environ
    }


def _is_there(place: Path) -> bool:
    # Also a device or a pipe: /dev/null, and what a shell's <(...) gives.
    return place.exists() and not place.is_dir()


def _rows(path: Path) -> Iterator[Given]:
    loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    root = loader.get_single_node()
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise _unreadable(path, "is not a mapping of settings")
    for key, node in _leaves(loader, root):
        value = _plain(node)
        if value is not None:
            yield Given(key, value, f"{path} line {node.start_mark.line + 1}", Source.CONFIG)


def _leaves(
    loader: yaml.SafeLoader, mapping: yaml.MappingNode, prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, yaml.Node]]:
    _merge(loader, mapping)
    for name, node in mapping.value:
        key = f"{prefix}{_name(name)}"
        if isinstance(node, yaml.MappingNode) and depth < _MAX_DEPTH:
            yield from _leaves(loader, node, f"{key}.", depth + 1)
        else:
            yield key, node


def _merge(loader: yaml.SafeLoader, mapping: yaml.MappingNode) -> None:
    """Put what ``<<`` takes over into a mapping; what stands there by itself wins."""
    own = [pair for pair in mapping.value if pair[0].tag != _MERGE_TAG]
    loader.flatten_mapping(mapping)
    merged = {_name(name).lower(): (name, node) for name, node in mapping.value}
    names = {_name(name).lower() for name, _ in own}
    mapping.value = [*(pair for name, pair in merged.items() if name not in names), *own]


def _name(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    raise _marked("a name of settings must be text", node)


def _plain(node: yaml.Node) -> object:
    """Return the text of a value, or the texts of a list's items; None if it is not set."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag not in _PLAIN_TAGS:
            raise _marked("a tag that settings do not have", node)
        return None if node.tag == _NULL_TAG else _joined(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return {}  # which no setting takes


def _joined(text: str) -> str:
    """Put halves of characters together: JSON, which is YAML, escapes those beyond 16 bits as two."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _marked(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _yaml_fault(error: yaml.YAMLError) -> str:
    # The error's own text quotes the file, which holds passwords: one that begins with * is an alias.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        problem = _QUOTED.sub("", error.problem or "")
        return f"line {error.problem_mark.line + 1} is not YAML: {problem}"
    return "is not YAML"


def _reason(error: OSError) -> str:
    return error.strerror or "cannot be read"


def _unreadable(path: Path, reason: str) -> InvalidSettings:
    return InvalidSettings(FieldViolation(str(path), reason))
