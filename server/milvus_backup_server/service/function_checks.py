"""Milvus's check of the functions of a collection: off while a restore builds it, and put back afterwards.

The check calls the services that functions use. A collection is restored whether they answer or not:
what functions made is in the backup.
"""

from __future__ import annotations

from dataclasses import replace

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import KeyValue
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.ports.milvus import MilvusGateway

_OFF = "disable_func_runtime_check"


class FunctionChecks:
    """Switches the check.

    It is off from the beginning of a collection on, so a restore that is interrupted at any time
    puts it back when it is resumed, before the collection counts as whole.

    Args:
        gateway: The target.
        switchable: Whether this version has the switch.
    """

    def __init__(self, gateway: MilvusGateway, *, switchable: bool) -> None:
        self._gateway = gateway
        self._switchable = switchable

    def without(self, wanted: TargetCollection) -> TargetCollection:
        """Return a collection as it is made: without the check, if it has functions."""
        if not self._concerns(wanted):
            return wanted
        others = (pair for pair in wanted.properties if pair.key != _OFF)
        return replace(wanted, properties=(*others, KeyValue(key=_OFF, value="true")))

    async def put_back(self, made: CollectionName, wanted: TargetCollection) -> None:
        """Give a collection that was made without the check the property that it had."""
        if not self._concerns(wanted):
            return
        had = [pair for pair in wanted.properties if pair.key == _OFF]
        await self._gateway.alter_properties(made, had, [] if had else [_OFF])

    def _concerns(self, wanted: TargetCollection) -> bool:
        return self._switchable and bool(wanted.schema.functions)
