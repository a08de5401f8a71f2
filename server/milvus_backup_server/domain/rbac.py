"""Users, roles, grants and privilege groups: what a restore adds to those that a Milvus has.

Source of the rules: the Go tool. What is there stays as it is, by its name: an existing user keeps its
password and its roles, an existing privilege group its privileges. A grant is the same if everything
about it is. Milvus's own user and roles are in every Milvus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from milvus_backup_server.domain.record_codec import Record, json_key
from milvus_backup_server.domain.records import (
    Named,
    PrivilegeGroup,
    RbacGrant,
    RbacMeta,
    RbacUser,
)

OWN_USERS: Final = frozenset({"root"})
OWN_ROLES: Final = frozenset({"admin", "public"})
"""Those that every Milvus has from its first start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacCounts(Record):
    """How many there are, as our manifest tells it."""

    users: int = json_key("users", 0)
    roles: int = json_key("roles", 0)
    grants: int = json_key("grants", 0)
    privilege_groups: int = json_key("privilege_groups", 0)

    @classmethod
    def of(cls, meta: RbacMeta) -> RbacCounts:
        """Count."""
        return cls(
            users=len(meta.users),
            roles=len(meta.roles),
            grants=len(meta.grants),
            privilege_groups=len(meta.privilege_groups),
        )

    def plus(self, other: RbacCounts) -> RbacCounts:
        """Return the sum."""
        return RbacCounts(
            users=self.users + other.users,
            roles=self.roles + other.roles,
            grants=self.grants + other.grants,
            privilege_groups=self.privilege_groups + other.privilege_groups,
        )

    def minus(self, other: RbacCounts) -> RbacCounts:
        """Return the difference, 0 where the other has more."""
        return RbacCounts(
            users=max(self.users - other.users, 0),
            roles=max(self.roles - other.roles, 0),
            grants=max(self.grants - other.grants, 0),
            privilege_groups=max(self.privilege_groups - other.privilege_groups, 0),
        )


@dataclass(frozen=True, slots=True)
class RbacPart:
    """What becomes of things of one kind, by name; grants as ``grant_title`` tells them."""

    new: tuple[str, ...] = ()
    present: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RbacPlan:
    """What a restore would add, and what is there already."""

    users: RbacPart = RbacPart()
    roles: RbacPart = RbacPart()
    grants: RbacPart = RbacPart()
    privilege_groups: RbacPart = RbacPart()


def missing(wanted: RbacMeta, there: RbacMeta) -> RbacMeta:
    """Return what of a backup a Milvus does not have."""
    users = OWN_USERS | {item.user for item in there.users}
    roles = OWN_ROLES | {item.name for item in there.roles}
    groups = {item.group_name for item in there.privilege_groups}
    grants = {_identity(item) for item in there.grants}
    return RbacMeta(
        users=tuple(item for item in wanted.users if item.user not in users),
        roles=tuple(item for item in wanted.roles if item.name not in roles),
        grants=tuple(item for item in wanted.grants if _identity(item) not in grants),
        privilege_groups=tuple(
            item for item in wanted.privilege_groups if item.group_name not in groups
        ),
    )


def is_nothing(meta: RbacMeta) -> bool:
    """Tell whether there is neither a user nor anything else."""
    return RbacCounts.of(meta) == RbacCounts()


def rbac_plan(wanted: RbacMeta, there: RbacMeta) -> RbacPlan:
    """Return what adding a backup's users and all that to a Milvus would do."""
    new = missing(wanted, there)
    return RbacPlan(
        users=_part(map(_user, wanted.users), map(_user, new.users)),
        roles=_part(map(name_of, wanted.roles), map(name_of, new.roles)),
        grants=_part(map(grant_title, wanted.grants), map(grant_title, new.grants)),
        privilege_groups=_part(
            map(_group, wanted.privilege_groups), map(_group, new.privilege_groups)
        ),
    )


def grant_title(grant: RbacGrant) -> str:
    """Return a grant as people read it, such as ``reader: Search on Collection shop.orders``."""
    name = f"{grant.db_name}.{grant.object_name}" if grant.db_name else grant.object_name
    kind = name_of(grant.object)
    return f"{name_of(grant.role)}: {_privilege(grant)} on {kind} {name}".strip()


def name_of(item: Named | None) -> str:
    """Return a name; empty for nothing."""
    return item.name if item is not None else ""


def _part(wanted: Iterable[str], new: Iterable[str]) -> RbacPart:
    added = dict.fromkeys(new)
    return RbacPart(tuple(added), tuple(name for name in wanted if name not in added))


def _identity(grant: RbacGrant) -> tuple[str, ...]:
    grantor = grant.grantor.user if grant.grantor is not None else None
    kind, role = name_of(grant.object), name_of(grant.role)
    privilege = _privilege(grant)
    return kind, grant.object_name, role, name_of(grantor), privilege, grant.db_name


def _privilege(grant: RbacGrant) -> str:
    return name_of(grant.grantor.privilege) if grant.grantor is not None else ""


def _user(item: RbacUser) -> str:
    return item.user


def _group(item: PrivilegeGroup) -> str:
    return item.group_name
