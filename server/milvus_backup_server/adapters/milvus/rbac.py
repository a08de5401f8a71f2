"""Users, roles, grants and privilege groups between Milvus's messages and the Go tool's records."""

from __future__ import annotations

from collections.abc import Iterable

from milvus_backup_server.adapters.milvus.stubs import Message, milvus_pb2
from milvus_backup_server.domain.rbac import name_of
from milvus_backup_server.domain.records import (
    Grantor,
    Named,
    PrivilegeGroup,
    RbacGrant,
    RbacMeta,
    RbacUser,
)


def rbac_meta(message: Message) -> RbacMeta:
    """Return what BackupRBAC answers."""
    return RbacMeta(
        users=tuple(
            RbacUser(user=item.user, password=item.password, roles=_names(item.roles))
            for item in message.users
        ),
        roles=_names(message.roles),
        grants=tuple(map(_grant, message.grants)),
        privilege_groups=tuple(
            PrivilegeGroup(group_name=item.group_name, privileges=_names(item.privileges))
            for item in message.privilege_groups
        ),
    )


def rbac_message(meta: RbacMeta) -> Message:
    """Return what RestoreRBAC is given."""
    return milvus_pb2.RBACMeta(
        users=[
            milvus_pb2.UserInfo(user=it.user, password=it.password, roles=_roles(it.roles))
            for it in meta.users
        ],
        roles=_roles(meta.roles),
        grants=map(_grant_message, meta.grants),
        privilege_groups=[
            milvus_pb2.PrivilegeGroupInfo(
                group_name=it.group_name,
                privileges=[milvus_pb2.PrivilegeEntity(name=one.name) for one in it.privileges],
            )
            for it in meta.privilege_groups
        ],
    )


def _names(messages: Iterable[Message]) -> tuple[Named, ...]:
    return tuple(Named(name=item.name) for item in messages)


def _roles(roles: Iterable[Named]) -> list[Message]:
    return [milvus_pb2.RoleEntity(name=item.name) for item in roles]


def _grant(message: Message) -> RbacGrant:
    """Return a grant as the Go tool writes it: its parts are there also without a name."""
    return RbacGrant(
        role=Named(name=message.role.name),
        object=Named(name=message.object.name),
        object_name=message.object_name,
        grantor=Grantor(
            user=Named(name=message.grantor.user.name),
            privilege=Named(name=message.grantor.privilege.name),
        ),
        db_name=message.db_name,
    )


def _grant_message(grant: RbacGrant) -> Message:
    grantor = grant.grantor or Grantor()
    return milvus_pb2.GrantEntity(
        role=milvus_pb2.RoleEntity(name=name_of(grant.role)),
        object=milvus_pb2.ObjectEntity(name=name_of(grant.object)),
        object_name=grant.object_name,
        grantor=milvus_pb2.GrantorEntity(
            user=milvus_pb2.UserEntity(name=name_of(grantor.user)),
            privilege=milvus_pb2.PrivilegeEntity(name=name_of(grantor.privilege)),
        ),
        db_name=grant.db_name,
    )
