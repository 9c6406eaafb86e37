"""The cluster's own roles, beside the built-in ones: kept in the store, read in memory."""

from collections.abc import Callable, Iterable

from nexa_node.contract.access import ROLES, Identity, NewRole, Permission, Role
from nexa_node.contract.errors import Conflict, Forbidden, Invalid, NotFound
from nexa_node.contract.ids import is_slug
from nexa_node.core.access import ACTIONS, PUBLIC, ROLE_GRANTS
from nexa_node.core.authorization import exceeds
from nexa_node.core.topics import check_pattern
from nexa_node.ports import Caught, Removed, RoleRecords
from nexa_node.services.api import Journal

PERMISSIONS_MAX = 100
KNOWN = frozenset(each for each in ACTIONS.values() if each != PUBLIC)
"""All permissions there are."""


class RoleBook:
    """What each role may do, on every node the same within moments."""

    def __init__(self, *, roles: RoleRecords, journal: Journal) -> None:
        """Know the built-in roles; `watch` reads the others."""
        self._roles = roles
        self._journal = journal
        self._custom: dict[str, Role] = {}
        self._changed: list[Callable[[str], object]] = []

    def on_changed(self, listener: Callable[[str], object]) -> None:
        """Have `listener` told the name of each role that means something else now."""
        self._changed.append(listener)

    async def watch(self) -> None:
        """Keep the roles in memory, for ever. A service's loop."""
        seen: set[str] = set()
        async for told in self._roles.watch():
            if isinstance(told, Caught):
                for gone in self._custom.keys() - seen:
                    self._take(gone, None)
            elif isinstance(told, Removed):
                self._take(told.key, None)
            else:
                seen.add(told.value.name)
                self._take(told.value.name, told.value)

    def permissions(self, role: str) -> tuple[Permission, ...] | None:
        """What a custom role may do: nothing if it is gone; None of a built-in one."""
        if role in ROLES:
            return None
        known = self._custom.get(role)
        return () if known is None else known.permissions

    def find(self, name: str) -> Role:
        """One role; NotFound if there is none."""
        for role in self.all():
            if role.name == name:
                return role
        raise NotFound(f"no role {name[:80]!r}", remedy="nexa role list")

    def all(self) -> tuple[Role, ...]:
        """The built-in roles, then the cluster's own by name."""
        built_in = (
            Role(name=name, permissions=ROLE_GRANTS[name], built_in=True)
            for name in ROLES
        )
        return (*built_in, *(self._custom[each] for each in sorted(self._custom)))

    async def put(self, wanted: NewRole, *, by: Identity) -> Role:
        """Make or replace a role; it holds here as soon as this returns.

        Raises:
            Invalid: The name or a permission makes no sense.
            Conflict: It is a built-in role.
            Forbidden: It may what its maker may not, or it did so far.
            Unavailable: The store did not take it.
        """
        if wanted.name in ROLES:
            raise Conflict(
                f"{wanted.name} is a built-in role", remedy="choose another name"
            )
        _check(wanted)
        known = self._custom.get(wanted.name)
        # Who has it would lose by another's word what that one could not give.
        before = () if known is None else known.permissions
        beyond = exceeds((*wanted.permissions, *before), by)
        if beyond is not None:
            raise Forbidden(
                f"{by.id} can't hand on {beyond.allow} on {beyond.on}: {by.role} lacks it"
            )
        role = Role(name=wanted.name, permissions=wanted.permissions)
        await self._roles.put(role)
        self._take(role.name, role)
        self._note("role.changed", role.name, f"{by.id} wrote the role {role.name}", by)
        return role

    async def delete(self, name: str, *, by: Identity, held: Iterable[str]) -> None:
        """Forget a role that nobody has.

        Args:
            name: Which.
            by: Who asks.
            held: Ids of the tokens that have it.

        Raises:
            Conflict: It is built in, or tokens have it.
            NotFound: There is none.
            Unavailable: The store did not take it.
        """
        if self.find(name).built_in:
            raise Conflict(f"{name} is a built-in role and stays")
        holders = list(held)
        if holders:
            raise Conflict(
                f"{len(holders)} tokens have the role {name}",
                remedy=f"revoke them first: nexa token revoke {holders[0]}",
            )
        await self._roles.delete(name)
        self._take(name, None)
        self._note("role.deleted", name, f"{by.id} deleted the role {name}", by)

    def _take(self, name: str, role: Role | None) -> None:
        if self._custom.get(name) == role:
            return
        if role is None:
            del self._custom[name]
        else:
            self._custom[name] = role
        for listener in self._changed:
            listener(name)

    def _note(self, kind: str, name: str, message: str, by: Identity) -> None:
        self._journal.record(
            kind,
            subject=f"role/{name}",
            message=message,
            severity="warning",
            data={"by": by.id},
        )


def _check(wanted: NewRole) -> None:
    if not is_slug(wanted.name):
        raise Invalid(
            f"{wanted.name[:80]!r} is no name of a role",
            remedy="lower-case letters, digits, - and _, at most 63",
            details={"field": "name"},
        )
    if not 0 < len(wanted.permissions) <= PERMISSIONS_MAX:
        raise Invalid(
            f"a role has 1 to {PERMISSIONS_MAX} permissions,"
            f" not {len(wanted.permissions)}",
            details={"field": "permissions"},
        )
    for one in wanted.permissions:
        resource, colon, verb = one.allow.partition(":")
        if not colon or not any(
            resource in ("*", known.partition(":")[0])
            and verb in ("*", known.partition(":")[2])
            for known in KNOWN
        ):
            raise Invalid(
                f"there is no permission {one.allow[:80]!r}",
                remedy="nexa role show admin names all of them",
                details={"field": "permissions"},
            )
        check_pattern("on", one.on)
