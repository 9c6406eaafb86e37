"""T13: whatever somebody does who is no admin, he may no more than before."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.access import (
    Identity,
    NewRole,
    NewToken,
    Permission,
    Scope,
)
from nexa_node.contract.errors import Conflict, Forbidden, Invalid, NexaError
from nexa_node.core.access import API_ACTIONS, ROLE_GRANTS
from nexa_node.core.authorization import authorize
from nexa_node.core.delegation import beyond, granted_to
from nexa_node.services.access.access import Access
from nexa_node.services.access.roles import RoleBook
from tests.builders import identity
from tests.fakes import CountingEntropy, MemoryStore, RecordingJournal, settle

GOVERN = ("tokens:create", "tokens:revoke", "tokens:rotate", "roles:write")
ALLOWS = st.sampled_from((*GOVERN, "tasks:read", "tasks:*", "*:*", "audit:read"))
ONS = st.sampled_from((">", "team-a.>", "*.wc"))
PERMISSIONS = st.lists(
    st.builds(lambda allow, on: Permission(allow=allow, on=on), ALLOWS, ONS),
    min_size=1,
    max_size=3,
).map(tuple)
SCOPES = st.sampled_from(
    (Scope(), Scope(namespaces=("team-a",)), Scope(may_send=("topic:a.>",)))
)
NAMES = st.sampled_from(("desk", "other", "third"))
ROLES = st.sampled_from((*ROLE_GRANTS, "desk", "other", "third"))
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("token"), ROLES, SCOPES),
        st.tuples(st.just("role"), NAMES, PERMISSIONS),
        st.tuples(st.just("unrole"), NAMES, st.none()),
        st.tuples(st.just("rotate"), st.integers(0, 9), st.none()),
        st.tuples(st.just("revoke"), st.integers(0, 9), st.none()),
    ),
    max_size=12,
)


class Town:
    """Tokens and roles of a cluster, an admin, and somebody who is none."""

    def __init__(self) -> None:
        store = MemoryStore()
        journal = RecordingJournal()
        self.roles = RoleBook(roles=store.roles, journal=journal)
        self.access = Access(
            tokens=store.tokens,
            clock=store.clock,
            journal=journal,
            entropy=CountingEntropy(),
            rights=self.roles.permissions,
        )
        self.clock = store.clock
        self.held: list[str] = []
        """Secrets the climber got hold of."""

    async def begin(self, permissions: tuple[Permission, ...], scope: Scope) -> None:
        root = identity("admin")
        self.admin = await self.access.create(NewToken(role="admin"), by=root)
        await self.access.create(NewToken(role="auditor"), by=root)
        await self.roles.put(
            NewRole(name="desk", permissions=(*permissions, *_own())), by=root
        )
        made = await self.access.create(NewToken(role="desk", scope=scope), by=root)
        self.held.append(made.token)
        await settle()

    def who(self, token: str) -> Identity | None:
        try:
            return self.access.authenticate(token, address="10.0.0.1")
        except NexaError:
            return None

    async def do(self, deed: tuple[str, Any, Any]) -> None:
        by = next(filter(None, map(self.who, self.held)), None)
        if by is None:
            return
        what, first, second = deed
        needs = {
            "token": "create_token",
            "role": "create_role",
            "unrole": "delete_role",
            "rotate": "rotate_token",
            "revoke": "revoke_token",
        }
        if not authorize(by, needs[what]).allowed:
            return
        ids = sorted(one.id for one in self.access.views())
        try:
            if what == "token":
                wanted = NewToken(role=first, scope=second)
                self.held.append((await self.access.create(wanted, by=by)).token)
            elif what == "role":
                await self.roles.put(NewRole(name=first, permissions=second), by=by)
            elif what == "unrole":
                held = self.access.holders(first)
                await self.roles.delete(first, by=by, held=held)
            elif what == "rotate" and first < len(ids):
                made = await self.access.rotate(ids[first], overlap_s=0, by=by)
                self.held.append(made.token)
            elif what == "revoke" and first < len(ids):
                await self.access.revoke(ids[first], by=by)
        except NexaError:
            pass
        await settle()


def _own() -> tuple[Permission, ...]:
    return tuple(Permission(allow=each) for each in GOVERN)


@settings(max_examples=40, deadline=None)
@given(
    PERMISSIONS.filter(lambda all_: all(p.allow != "*:*" for p in all_)), SCOPES, DEEDS
)
def test_no_sequence_of_deeds_raises_the_rights_of_who_is_no_admin(
    permissions: tuple[Permission, ...], scope: Scope, deeds: list[Any]
) -> None:
    async def story() -> None:
        town = Town()
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(town.access.watch()),
                group.create_task(town.roles.watch()),
            ]
            await settle()
            await town.begin(permissions, scope)
            first = town.who(town.held[0])
            assert first is not None
            for deed in deeds:
                await town.do(deed)
            for token in town.held:
                now = town.who(token)
                if now is None:
                    continue
                granted = granted_to(now.role, now.permissions)
                assert beyond(granted, now.scope, first) is None
                for action in API_ACTIONS:
                    if authorize(now, action).allowed:
                        assert authorize(first, action).allowed, action
            assert town.who(town.admin.token) is not None
            for loop in loops:
                loop.cancel()

    asyncio.run(story())


async def _town() -> Town:
    town = Town()
    await town.begin((), Scope())
    return town


async def test_a_role_that_makes_tokens_makes_no_admin() -> None:
    town = await _town()
    by = town.who(town.held[0])
    assert by is not None

    for role in ("admin", "operator", "viewer"):
        with pytest.raises(Forbidden, match="can't hand on"):
            await town.access.create(NewToken(role=role), by=by)


async def test_nobody_gets_the_secret_of_a_wider_token_or_ends_it() -> None:
    town = await _town()
    by = town.who(town.held[0])
    assert by is not None

    with pytest.raises(Forbidden, match="secret of"):
        await town.access.rotate(town.admin.id, overlap_s=0, by=by)
    with pytest.raises(Forbidden, match="can't revoke"):
        await town.access.revoke(town.admin.id, by=by)


async def test_a_role_that_may_more_is_not_rewritten_by_who_may_less() -> None:
    town = await _town()
    by = town.who(town.held[0])
    assert by is not None
    wide = NewRole(name="wide", permissions=(Permission(allow="tasks:*"),))
    await town.roles.put(wide, by=identity("admin"))

    with pytest.raises(Forbidden):
        await town.roles.put(
            NewRole(name="wide", permissions=(Permission(allow="roles:write"),)), by=by
        )


async def test_the_last_admin_stays_until_there_is_another() -> None:
    town = await _town()
    root = town.who(town.admin.token)
    assert root is not None

    with pytest.raises(Conflict, match="last admin") as refused:
        await town.access.revoke(town.admin.id, by=root)
    assert "nexa token create --role admin" in (refused.value.remedy or "")

    confined = NewToken(role="admin", scope=Scope(namespaces=("a",)))
    await town.access.create(confined, by=root)
    with pytest.raises(Conflict):
        await town.access.revoke(town.admin.id, by=root)

    other = await town.access.create(NewToken(role="admin"), by=root)
    await town.access.revoke(town.admin.id, by=root)
    assert town.who(other.token) is not None
    assert town.who(town.admin.token) is None


async def test_an_admin_whose_token_ended_keeps_nobody() -> None:
    town = await _town()
    root = town.who(town.admin.token)
    assert root is not None
    brief = await town.access.create(NewToken(role="admin", expires_s=60), by=root)
    await town.clock.advance(61)

    with pytest.raises(Conflict):
        await town.access.revoke(town.admin.id, by=root)
    await town.access.revoke(brief.id, by=root)


async def test_anybody_gives_up_his_own_token() -> None:
    town = await _town()
    by = town.who(town.held[0])
    assert by is not None

    await town.access.revoke(by.id.removeprefix("token:"), by=by)

    assert town.who(town.held[0]) is None


async def test_the_end_of_the_last_admin_is_told_in_time() -> None:
    store, journal = MemoryStore(), RecordingJournal()
    access = Access(
        tokens=store.tokens,
        clock=store.clock,
        journal=journal,
        entropy=CountingEntropy(),
    )
    await access.create(
        NewToken(role="admin", expires_s=14 * 86400 + 5), by=identity("admin")
    )
    async with asyncio.TaskGroup() as group:
        loops = [group.create_task(access.watch()), group.create_task(access.expire())]
        await settle()
        kinds = [one.kind for one in journal.records]
        assert "token.last_admin_ends" not in kinds
        await store.clock.advance(10)
        await settle()
        for loop in loops:
            loop.cancel()

    told = [one for one in journal.records if one.kind == "token.last_admin_ends"]
    assert len(told) == 1
    assert "nexa token rotate" in told[0].message


async def test_a_key_token_has_no_secret_to_rotate() -> None:
    town = await _town()
    root = town.who(town.admin.token)
    assert root is not None
    key = "A" * 43 + "="
    made = await town.access.create(NewToken(role="agent", public_key=key), by=root)

    assert made.token == ""
    with pytest.raises(Invalid, match="public key"):
        await town.access.rotate(made.id, overlap_s=0, by=root)
    with pytest.raises(Invalid, match="no Ed25519"):
        await town.access.create(NewToken(role="agent", public_key="AAAA"), by=root)
