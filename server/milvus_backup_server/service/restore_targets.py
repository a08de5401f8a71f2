"""What is under the names that a restore gives: compared with what the request wants, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from milvus_backup_server.domain.errors import (
    AliasAlreadyExists,
    BackupError,
    CollectionNotFound,
    NotFound,
    TargetAlreadyExists,
    TargetUnfit,
)
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.milvus import CollectionDescription, CollectionName
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.domain.schema_fit import (
    index_differences,
    partition_differences,
    schema_differences,
)
from milvus_backup_server.domain.target_collection import TargetCollection, not_indexed
from milvus_backup_server.domain.targets import PresentTarget
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each

_CALLS_AT_ONCE = 16
_NOT_LOADED = "NotLoad"

Aliases = Mapping[CollectionName, tuple[str, ...]]
"""The aliases that each target gets."""


class TargetCheck:
    """Looks up the targets of a restore, and the aliases that they get.

    Args:
        gateway: Where they are made.
        options: What may happen to those that are there.
        made: What each target would be made as, where it must exist.

    Attributes:
        present: Collections that will be replaced or filled, by the target's name.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        options: RestoreOptions,
        made: Mapping[CollectionName, TargetCollection],
    ) -> None:
        self._gateway = gateway
        self._options = options
        self._made = made
        self._found: list[tuple[CollectionName, str, BackupError]] = []
        self.present: dict[CollectionName, PresentTarget] = {}

    async def check(
        self, targets: Mapping[CollectionName, str], aliases: Aliases, databases: set[str]
    ) -> Faults:
        """Return what stands in the way.

        Args:
            targets: The request's field of each target.
            aliases: Those that the backup knows of.
            databases: Those that are there.
        """

        async def check(target: CollectionName) -> None:
            await self._check_target(target, targets[target])

        fills = self._options.skip_create_collections
        there = [it for it in targets if it.database in databases or fills]
        await for_each(there, check, concurrent=_CALLS_AT_ONCE)
        await self._check_aliases(targets, aliases, databases)
        faults = Faults()
        for _, path, error in sorted(self._found, key=lambda item: item[0]):
            faults.add(error, path)
        return faults

    async def _check_target(self, target: CollectionName, path: str) -> None:
        fills = self._options.skip_create_collections
        if not await self._gateway.has_collection(target):
            if fills:
                self._found.append((target, path, CollectionNotFound(str(target))))
            return
        found = await self._describe(target)
        if found is not None and found.name != target:
            text = f"{target} is an alias of {found.name}"
            self._found.append((target, path, TargetAlreadyExists(str(target), text)))
        elif found is not None and fills:
            self.present[target] = PresentTarget(found.collection_id, found.aliases)
            await self._compare(found, path)
        elif found is None or not self._options.drop_existing_collections:
            self._found.append((target, path, TargetAlreadyExists(str(target))))
        else:
            self.present[target] = PresentTarget(found.collection_id, found.aliases)

    async def _compare(self, found: CollectionDescription, path: str) -> None:
        """Note why rows of the backup do not fit into a collection, or cannot go into it now."""
        target, made = found.name, self._made[found.name]
        indexes = await self._gateway.list_indexes(target)
        differences = [
            *schema_differences(made.schema, found.schema),
            *partition_differences(made, found),
        ]
        if not self._options.drop_existing_indexes:
            differences += index_differences(made, indexes)
        if await self._gateway.load_state(target) != _NOT_LOADED:
            differences.append("it is loaded, and Milvus imports into released collections only")
        for text in differences:
            error = TargetUnfit(f"{target} cannot be filled: {text}", subject=str(target))
            self._found.append((target, path, error))
        if made.loading is not None:
            kept = () if self._options.drop_existing_indexes else tuple(indexes)
            for field in not_indexed(replace(made, indexes=(*made.indexes, *kept))):
                self._found.append((target, "load", not_loadable(target, field)))

    async def _check_aliases(
        self, targets: Mapping[CollectionName, str], aliases: Aliases, databases: set[str]
    ) -> None:
        owners: dict[CollectionName, CollectionName] = {}
        for alias, owner, problem in _conflicts(targets, aliases, self.present):
            if problem:
                error = AliasAlreadyExists(str(alias), problem)
                self._found.append((owner, "aliases", error))
            else:
                owners[alias] = owner

        async def check(alias: CollectionName) -> None:
            await self._check_alias(alias, owners[alias])

        there = [alias for alias in owners if alias.database in databases]
        await for_each(there, check, concurrent=_CALLS_AT_ONCE)

    async def _check_alias(self, alias: CollectionName, owner: CollectionName) -> None:
        found = await self._describe(alias)
        if found is None or (found.name == owner and owner in self.present):
            return
        text = (
            f"{alias}, an alias of {owner} in the backup, is a collection"
            if found.name == alias
            else f"{alias}, an alias of {owner} in the backup, is one of {found.name}"
        )
        self._found.append((owner, "aliases", AliasAlreadyExists(str(alias), text)))

    async def _describe(self, name: CollectionName) -> CollectionDescription | None:
        try:
            return await self._gateway.describe_collection(name)
        except NotFound:
            return None


def _conflicts(
    targets: Mapping[CollectionName, str],
    aliases: Aliases,
    present: Mapping[CollectionName, PresentTarget],
) -> Iterator[tuple[CollectionName, CollectionName, str]]:
    """Yield each alias with its target, and what is wrong with it within the restore, if anything."""
    owners = {
        CollectionName(target.database, name): target
        for target, it in present.items()
        for name in it.aliases
    }
    for target in sorted(aliases):
        for name in aliases[target]:
            alias = CollectionName(target.database, name)
            owner = owners.setdefault(alias, target)
            problem = ""
            if alias in targets:
                problem = (
                    f"{alias}, an alias of {target} in the backup, is restored as a collection"
                )
            elif owner != target:
                problem = f"{owner} and {target} would both get the alias {alias}"
            yield alias, target, problem


def not_loadable(target: CollectionName, field: str) -> TargetUnfit:
    """Return the error for a collection that would have no index of one of its vectors."""
    return TargetUnfit(
        f"{target} could not be loaded: its field {field!r} would have no index, which Milvus needs; "
        "restore_indexes makes those that the backup has",
        subject=str(target),
        field_name=field,
    )
