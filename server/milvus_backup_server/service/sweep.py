"""Finding, and removing on request, what operations that did not come to their end left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError, InvalidRequest, LeftBehind
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.layout import restore_journal_directory
from milvus_backup_server.domain.leftovers import (
    Leftover,
    LeftoverKind,
    LeftoverState,
    SweepReport,
    SweepResult,
)
from milvus_backup_server.domain.operations import (
    Amount,
    Caller,
    Operation,
    OperationKind,
    OperationState,
    Phase,
    Result,
)
from milvus_backup_server.domain.places import HOME, HOME_SETTING, SETTING, Place
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.service.checks import Deadline, require_bucket
from milvus_backup_server.service.cluster_leftovers import ClusterLeftovers
from milvus_backup_server.service.context import Cluster, Environment, Repository
from milvus_backup_server.service.gc_pause import end_gc_lease
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operation_fates import Fate, Fates
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.repository_leftovers import Found, RepositoryLeftovers
from milvus_backup_server.service.restore_tools import RestoreTools
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.spool import abandoned_spools, remove_spool
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.unwritten import UnwrittenRestore

_WATCH_SECONDS = 0.05


class Sweep:
    """The use case."""

    def __init__(
        self,
        environment: Environment,
        operations: OperationManager,
        directory: OperationDirectory,
        control: OperationControl,
        restores: RestoreTools,
    ) -> None:
        self._environment = environment
        self._operations = operations
        self._directory = directory
        self._control = control
        self._restores = restores

    async def start(self, request: SweepRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation.

        Raises:
            InvalidRequest: A field is wrong.
            OperationConflict: Another sweep is under way.
            BucketNotFound: There is no repository yet.
            StorageUnavailable, StorageDenied: The store does not answer, or refuses us.
        """
        request.check()
        asked = OperationRequest(
            footprint=Footprint(OperationKind.SWEEP, ""), caller=caller, original=request
        )
        await self._operations.refuse_conflict(asked.footprint)
        storage = self._environment.registry.repository().storage
        async with Deadline(self._environment.limits.check_seconds).asking_store(storage):
            await require_bucket(storage, HOME_SETTING)

        async def body(tracker: Tracker) -> Result:
            run = SweepRun(
                self._environment,
                self._directory,
                self._control,
                self._restores,
                request=request,
                tracker=tracker,
            )
            return await run.run()

        return await self._operations.begin(asked, body)


class SweepRun:
    """One run of a sweep."""

    def __init__(
        self,
        environment: Environment,
        directory: OperationDirectory,
        control: OperationControl,
        restores: RestoreTools,
        *,
        request: SweepRequest,
        tracker: Tracker,
    ) -> None:
        self._registry = environment.registry
        self._restores = restores
        self._directory = directory
        self._control = control
        self._request = request
        self._tracker = tracker
        self._report = SweepReport()
        self._remaining: set[str] = set()
        self._seen_all = True

    async def run(self) -> SweepResult:
        """Look everywhere; what cannot be looked at is warned of and keeps nothing else from it."""
        self._tracker.enter(Phase.CLEANING_UP if self._request.apply else Phase.LISTING)
        repository, cluster = self._registry.repository(), self._registry.cluster()
        now = await repository.storage.store.now()
        before = now - timedelta(seconds=self._request.min_age_seconds)
        ours = RepositoryLeftovers(repository, self._directory, before)
        fates = Fates(self._directory, repository.storage, before)
        theirs = ClusterLeftovers(
            cluster, fates, before, self._restores.undo_forgotten, self._unwritten
        )
        await self._look(self._interrupted(before))
        for elsewhere in await self._other_repositories():
            there = RepositoryLeftovers(elsewhere, self._directory, before)
            await self._look(there.backups())
            await self._look(there.uploads())
        for place in (
            ours.backups(),
            ours.uploads(),
            theirs.collections(),
            theirs.staging(),
            self._notes(ours, fates),
            self._gc_pauses(cluster),
            _spools(self._request.min_age_seconds),
        ):
            await self._look(place)
        return self._report.result(applied=self._request.apply)

    async def _unwritten(self, operation: str) -> UnwrittenRestore | None:
        stored = await self._directory.stored(operation)
        return None if stored is None else UnwrittenRestore.of(stored.record)

    async def _other_repositories(self) -> list[Repository]:
        """Return those of the places that callers may name, as far as they are known and there."""
        known = {*self._registry.allowed.prefixes, *await self._directory.places()} - {HOME}
        found: list[Repository] = []
        for place in sorted(known, key=str):
            try:
                repository = self._registry.repository_at(place)
                if repository.home and await repository.storage.store.bucket_exists():
                    found.append(repository)
            except InvalidRequest:
                self._tracker.warn(_not_allowed(place))
                self._seen_all = False
            except BackupError as error:
                self._tracker.warn(error)
                self._seen_all = False
        return found

    async def _look(self, place: AsyncIterator[Found]) -> None:
        try:
            async for found in place:
                item = await self._dealt_with(found)
                self._report.add(item)
                self._tracker.advance(Amount(objects=max(found.item.object_count, 1)))
                if item.state is LeftoverState.FAILED:
                    self._remaining.add(item.operation)
        except BackupError as error:
            self._tracker.warn(error)
            self._seen_all = False

    async def _notes(self, ours: RepositoryLeftovers, fates: Fates) -> AsyncIterator[Found]:
        """Yield notes, but those that alone still tell whose something is that may remain."""
        async for found in ours.notes():
            operation = found.item.operation
            remains = not self._seen_all or operation in self._remaining
            if not remains or await fates.over(operation, restore_journal_directory) is Fate.ENDED:
                yield found

    async def _dealt_with(self, found: Found) -> Leftover:
        if found.remove is None or not self._request.apply:
            return found.item
        try:
            await found.remove()
        except BackupError as error:
            return replace(found.item, state=LeftoverState.FAILED, note=error.message)
        return replace(found.item, state=LeftoverState.REMOVED)

    async def _interrupted(self, before: datetime) -> AsyncIterator[Found]:
        """Yield interrupted operations that nobody went on with."""
        for operation in await self._directory.interrupted():
            if (operation.end_time or operation.create_time) < before:
                item = Leftover(LeftoverKind.OPERATION, operation.backup_name, operation.name)
                yield Found(item, partial(self._cancel, operation.name))

    async def _gc_pauses(self, cluster: Cluster) -> AsyncIterator[Found]:
        """Yield pauses of operations that nobody works on; they are too short to wait for their age."""
        for name, lease in await self._directory.gc_leases():
            what = f"collection {lease.collection_id}" if lease.collection_id else "all collections"
            subject = f"garbage collection of {what}, until {lease.until:%Y-%m-%d %H:%M:%S} UTC"
            yield Found(
                Leftover(LeftoverKind.GC_PAUSE, subject, name),
                partial(self._resume_gc, cluster, name, lease),
            )

    async def _resume_gc(self, cluster: Cluster, name: str, lease: GcLease) -> None:
        await end_gc_lease(cluster, lease)
        await self._control.forget_gc_lease(name, lease)

    async def _cancel(self, name: str) -> None:
        """Take back what an operation made; one that cannot do that itself just ends."""
        if not await self._control.undoes(name):
            await self._control.supersede(name)
            return
        await self._control.cancel(name)
        last = [state async for state in self._directory.watch(name, _WATCH_SECONDS)][-1]
        if last.state is OperationState.INTERRUPTED and last.error is not None:
            raise last.error


def _not_allowed(place: Place) -> LeftBehind:
    text = f"{place} is not looked at, as {SETTING} does not allow it any more"
    return LeftBehind(text, subject=str(place))


async def _spools(min_age_seconds: int) -> AsyncIterator[Found]:
    for path in await abandoned_spools(min_age_seconds):
        yield Found(Leftover(LeftoverKind.SPOOL, str(path)), partial(remove_spool, path))
