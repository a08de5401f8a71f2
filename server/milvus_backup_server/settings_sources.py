"""Where settings come from: a YAML file, the environment, the command line. Nothing is judged here.

All of them give flat, dotted, lower-case keys, as in the Go tool; an empty (null) leaf is not set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings

_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as somebody gave it.

    Attributes:
        key: The key as it was written.
        value: What it was set to; not shown, it may be a secret.
        origin: Where that was, for people.
        inherited: It was given for another key whose value this one takes over.
    """

    key: str
    value: object = field(repr=False)
    origin: str
    inherited: bool = False


CREDENTIALS: Final = {
    "MILVUS_USER": "milvus.user",
    "MILVUS_PASSWORD": "milvus.password",
    **{
        f"{prefix}_STORAGE_{name}": f"{section}.storage.{key}"
        for prefix, section in (("MILVUS", "milvus"), ("BACKUP", "backup"))
        for name, key in (
            ("ACCOUNT_NAME", "accountName"),
            ("AUTH_ACCESS_KEY_ID", "auth.accessKeyID"),
            ("AUTH_SECRET_ACCESS_KEY", "auth.secretAccessKey"),
            ("AUTH_SESSION_TOKEN", "auth.sessionToken"),
            ("AUTH_ACCOUNT_KEY", "auth.accountKey"),
            ("AUTH_CREDENTIALS_FILE", "auth.credentialsFile"),
        )
    },
}
"""Environment variables, for credentials only: others collide with what Kubernetes sets."""

_STORAGE_NOT_USED = ("milvusAddress", "milvusPort")
NOT_USED: Final = frozenset(
    key.lower()
    for key in (
        "log.console",
        "log.file.path",
        "log.file.maxSizeMiB",
        "log.file.maxDays",
        "log.file.maxBackups",
        "server.debugMode",
        "server.swaggerBasePath",
        "milvus.rest.endpoint",
        "milvus.management.endpoint",
        "milvus.replicate.rpcChannelName",
        "milvus.etcd.endpoints",
        "milvus.etcd.rootPath",
        *(f"milvus.storage.{name}" for name in _STORAGE_NOT_USED),
        *(f"backup.storage.{name}" for name in _STORAGE_NOT_USED),
        "backup.concurrency.segments",
        "backup.pauseGC",
        "restore.concurrency.collections",
        "restore.concurrency.importJobs",
        "restore.maxSegmentsPerImportJob",
        "restore.keepTempFiles",
        "zillizCloud.endpoint",
        "zillizCloud.apiKey",
    )
)
"""Keys of the Go tool that have no effect in this service, in lower case."""


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
    wanted = Path(config or "backup.yaml")
    folders = [Path(environ["MILVUSCONF"])] if environ.get("MILVUSCONF") else []
    places = [wanted, *(folder / wanted.name for folder in [*folders, Path("configs")])]
    found = next((place for place in places if place.is_file()), None)
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
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        rows = list(_leaves(loader, root, path)) if root else []
    except OSError as error:
        raise _unreadable(path, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise _unreadable(path, "is not UTF-8 text") from None
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


def read_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what the environment sets; a variable that is set but empty counts."""
    return {
        key.lower(): Given(key, environ[name], f"environment variable {name}")
        for name, key in CREDENTIALS.items()
        if name in environ
    }


def _leaves(
    loader: yaml.SafeLoader, node: yaml.Node, path: Path, prefix: str = "", depth: int = 0
) -> Iterator[Given]:
    if not isinstance(node, yaml.MappingNode) or depth == _MAX_DEPTH:
        if not prefix:
            raise InvalidSettings(FieldViolation(str(path), "is not a mapping of settings"))
        value = loader.construct_object(node, deep=True)
        if value is not None:
            yield Given(prefix, value, f"{path} line {node.start_mark.line + 1}")
        return
    loader.flatten_mapping(node)
    for name, value_node in node.value:
        key = f"{prefix}.{name.value}" if prefix else str(name.value)
        yield from _leaves(loader, value_node, path, key, depth + 1)


def _yaml_fault(error: yaml.YAMLError) -> str:
    # The error's own text quotes the file, which holds passwords.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1} is not YAML: {error.problem}"
    return "is not YAML"


def _unreadable(path: Path, reason: str) -> InvalidSettings:
    return InvalidSettings(FieldViolation(str(path), reason))
