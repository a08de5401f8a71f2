"""Watching operations that run here: the present state at once, then the newest after each change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Protocol

from milvus_backup_server.domain.errors import ServerStopping
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.service.running import Broadcast, Running


class Watched(Protocol):
    """What is watched when all operations are."""

    any_change: Broadcast
    any_end: Broadcast

    @property
    def known(self) -> Mapping[str, Running]:
        """The operations that are known now."""
        ...

    @property
    def ending(self) -> bool:
        """Whether none is at work and none will begin."""
        ...


async def watch(running: Running, min_interval: float) -> AsyncGenerator[Operation, None]:
    """Yield an operation now and after changes, at most one per ``min_interval`` seconds, up to its last state."""
    sent = running.changed.version - 1
    while True:
        snapshot = running.shared_snapshot(sent)
        sent = snapshot.revision
        yield snapshot
        if snapshot.state.ends_watch:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min_interval):  # wait_for makes a task of each wait
                await running.ended.wait()
        await running.changed.wait_beyond(sent)


async def watch_many(
    wanted: Mapping[str, Running], all_: Watched, min_interval: float
) -> AsyncGenerator[Operation, None]:
    """Yield each of many operations as ``watch`` does.

    Args:
        wanted: Which; if empty all, until the service stops.
        all_: All there are.
        min_interval: Seconds between two rounds over them.

    Raises:
        ServerStopping: The service stops and nothing is left to follow.
    """
    sent: dict[str, int] = {}
    while True:
        version, ends = all_.any_change.version, all_.any_end.version
        present = wanted or dict(all_.known)
        for snapshot in _unsent(present, sent):
            yield snapshot
        if not _has_unsent(wanted or all_.known, sent):
            if wanted and all(item.state.ends_watch for item in wanted.values()):
                return
            if all_.ending:
                raise ServerStopping("the service is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(all_.any_end.wait_beyond(ends), min_interval)
        if not _has_unsent(wanted or all_.known, sent):  # else a moment ago was told
            await all_.any_change.wait_beyond(version)


def _unsent(present: Mapping[str, Running], sent: dict[str, int]) -> Iterator[Operation]:
    """Yield those that changed since they were sent, and note which are sent."""
    for name, item in present.items():
        if sent.get(name) != item.changed.version:
            snapshot = item.shared_snapshot(sent.get(name, item.changed.version - 1))
            sent[name] = snapshot.revision
            yield snapshot
    for name in sent.keys() - present.keys():
        del sent[name]


def _has_unsent(present: Mapping[str, Running], sent: Mapping[str, int]) -> bool:
    """Tell whether something changed while a watcher took its time."""
    return any(sent.get(name) != item.changed.version for name, item in present.items())
