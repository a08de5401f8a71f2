"""YAML for people: settings as nested sections, with comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./:-]*")
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_ONE_LINE: Final = 1 << 20


class Line(NamedTuple):
    """A setting, or what a comment says in its place.

    Attributes:
        key: Its dotted key.
        value: Its value: text, a number, true or false, or a list of texts.
        comment: Written instead of the value.
    """

    key: str
    value: object = None
    comment: str = ""


def render(lines: Iterable[Line]) -> str:
    """Return settings as YAML. Those of one section must follow each other."""
    return "".join(f"{line}\n" for line in _rendered(lines))


def _rendered(lines: Iterable[Line]) -> Iterator[str]:
    open_sections: list[str] = []
    for line in lines:
        *sections, name = line.key.split(".")
        same = _common(open_sections, sections)
        for depth in range(same, len(sections)):
            if depth == 0:
                yield ""
            yield f"{_indent(depth)}{sections[depth]}:"
        open_sections = sections
        yield _indent(len(sections)) + _setting(name, line)


def _common(one: list[str], other: list[str]) -> int:
    pairs = zip(one, other, strict=False)
    return next(
        (at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other))
    )


def _indent(depth: int) -> str:
    return "  " * depth


def _setting(name: str, line: Line) -> str:
    return f"# {name}: {line.comment}" if line.comment else f"{name}: {_value(line.value)}"


def _is_read_as_text(value: str) -> bool:
    # Not by its value: 5000 digits and the 45th of a month are a number and a date that none can make.
    node = yaml.compose(value, Loader=yaml.SafeLoader)
    return isinstance(node, yaml.ScalarNode) and node.tag == _TEXT_TAG


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if not isinstance(value, str):
        return yaml.safe_dump(value).removesuffix("...\n").strip()
    if _PLAIN.fullmatch(value) and not value.endswith(":") and _is_read_as_text(value):
        return value
    return yaml.safe_dump(value, default_style='"', width=_ONE_LINE).strip()
