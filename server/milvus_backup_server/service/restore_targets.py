"""What is under the names that a restore gives: compared with what the request wants, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from milvus_backup_server.domain.errors import (
    AliasAlreadyExists,
    BackupError,
    NotFound,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.milvus import CollectionDescription, CollectionName
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.domain.targets import PresentTarget
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each

_CALLS_AT_ONCE = 16

Aliases = Mapping[CollectionName, tuple[str, ...]]
"""The aliases that each target gets."""


class TargetCheck:
    """Looks up the targets of a restore, and the aliases that they get.

    Args:
        gateway: Where they are made.
        options: What may happen to those that are there.

    Attributes:
        present: Collections that will be replaced, by the target's name.
    """

    def __init__(self, gateway: MilvusGateway, options: RestoreOptions) -> None:
        self._gateway = gateway
        self._options = options
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

        there = [target for target in targets if target.database in databases]
        await for_each(there, check, concurrent=_CALLS_AT_ONCE)
        await self._check_aliases(targets, aliases, databases)
        faults = Faults()
        for _, path, error in sorted(self._found, key=lambda item: item[0]):
            faults.add(error, path)
        return faults

    async def _check_target(self, target: CollectionName, path: str) -> None:
        if not await self._gateway.has_collection(target):
            return
        found = await self._describe(target)
        if found is not None and found.name != target:
            text = f"{target} is an alias of {found.name}"
            self._found.append((target, path, TargetAlreadyExists(str(target), text)))
        elif found is None or not self._options.drop_existing_collections:
            self._found.append((target, path, TargetAlreadyExists(str(target))))
        else:
            self.present[target] = PresentTarget(found.collection_id, found.aliases)

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
