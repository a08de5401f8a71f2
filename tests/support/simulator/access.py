"""Users, roles, grants and privilege groups of a simulated Milvus."""

from milvus_backup_server.adapters.milvus.stubs import Message
from tests.support.simulator.model import Fault, SimulatedMilvus


def add_access(milvus: SimulatedMilvus, given: Message) -> None:
    """Add users and so on; refused, all of it, if one of them is there."""
    if milvus.refuse_access:
        raise Fault(65535, milvus.refuse_access)
    roles = {"admin", "public", *(role.name for role in milvus.access.roles)}
    added = {role.name for role in given.roles}
    for name in sorted(roles & added):
        raise Fault(65535, f"role [{name}] already exists")
    users = {"root", *(item.user for item in milvus.access.users)}
    for user in given.users:
        if user.user in users:
            raise Fault(65535, f"user [{user.user}] already exists")
        for name in sorted({role.name for role in user.roles} - roles - added):
            raise Fault(65535, f"role [{name}] does not exist")
    milvus.access.MergeFrom(given)
