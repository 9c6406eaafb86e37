import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nexa_node.contract.access import NewToken, RoleName, Scope
from nexa_node.contract.errors import (
    Forbidden,
    Invalid,
    NexaError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from nexa_node.core.access import make_token
from nexa_node.services.access.access import Access
from nexa_node.services.access.issuing import DAY_S, NAME_MAX
from tests.builders import identity
from tests.fakes import (
    CountingEntropy,
    FakeClock,
    MemoryStore,
    RecordingJournal,
    settle,
)

ADMIN = identity("admin")
FIRST = make_token(bytes(40)).text


class Scene:
    """An `Access` over a store in memory, its loops running."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.clock = store.clock if store else FakeClock()
        self.store = store or MemoryStore(self.clock)
        self.journal = RecordingJournal()
        self.ended: list[tuple[str, str]] = []
        self.access = Access(
            tokens=self.store.tokens,
            clock=self.clock,
            journal=self.journal,
            entropy=CountingEntropy(),
        )
        self.access.on_ended(lambda who, why: self.ended.append((who, why)))

    async def token(self, role: RoleName = "operator", **wanted: object) -> str:
        made = await self.access.create(NewToken(role=role, **wanted), by=ADMIN)
        return made.token

    def refusal(self, token: str | None, address: str = "10.0.0.1") -> Unauthorized:
        with pytest.raises(Unauthorized) as caught:
            self.access.authenticate(token, address=address)
        return caught.value


@asynccontextmanager
async def scene(store: MemoryStore | None = None) -> AsyncIterator[Scene]:
    made = Scene(store)
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(made.access.watch()),
            group.create_task(made.access.expire()),
        ]
        await settle()
        yield made
        for loop in loops:
            loop.cancel()


async def test_a_token_opens_the_node_as_what_it_is() -> None:
    async with scene() as it:
        token = await it.token("viewer", name="ann")

        found = it.access.authenticate(token, address="10.0.0.1")

        assert (found.role, found.name) == ("viewer", "ann")
        assert found.id == f"token:{token.split('_')[1]}"
        assert it.journal.last("token.created").data["by"] == ADMIN.id


async def test_only_the_hash_of_a_token_is_kept_and_no_journal_tells_it() -> None:
    async with scene() as it:
        token = await it.token()

        kept = repr(it.store.tokens.bucket.entries) + repr(it.journal.records)
        assert token not in kept
        assert token.split("_")[2] not in kept


async def test_a_token_opens_another_node_of_the_cluster_too() -> None:
    async with scene() as one, scene(one.store) as other:
        token = await one.token()
        await settle()

        assert other.access.authenticate(token, address="10.0.0.1").role == "operator"


@pytest.mark.parametrize(("token", "words"), [
    (None, "no token was given"),
    ("", "no token was given"),
    ("nxa_abc_def", "cut off or mistyped"),
    (make_token(b"\x07" * 40).text, "not known here"),
])  # fmt: skip
async def test_who_is_not_known_is_told_so_and_how_to_get_in(
    token: str | None, words: str
) -> None:
    async with scene() as it:
        refusal = it.refusal(token)

        assert words in refusal.message
        assert "nexa token create" in refusal.remedy


async def test_a_wrong_secret_is_told_no_more_than_an_unknown_id() -> None:
    async with scene() as it:
        token = await it.token()
        same_id = CountingEntropy()(40)[:8]
        forged = make_token(same_id + b"\x01" * 32)
        assert forged.id == token.split("_")[1]

        unknown = it.refusal(make_token(b"\x09" * 40).text)
        assert it.refusal(forged.text).message == unknown.message


async def test_an_expired_token_is_told_when_and_for_which_role_to_ask() -> None:
    async with scene() as it:
        token = await it.token("agent", expires_s=60)
        await it.clock.advance(60)

        refusal = it.refusal(token)

        assert "expired at 2026-03-01 12:01" in refusal.message
        assert "nexa token create --role agent" in refusal.remedy


async def test_what_is_connected_ends_with_its_token() -> None:
    async with scene() as it:
        token = await it.token("agent", expires_s=60)
        who = it.access.authenticate(token, address="10.0.0.1")
        await it.clock.advance(58)
        assert it.ended == []
        assert it.access.still_valid(who)

        await it.clock.advance(5)

        assert it.ended == [(who.id, "the token expired")]
        assert not it.access.still_valid(who)
        assert it.journal.kinds().count("token.expired") == 1


async def test_tokens_end_by_default_and_agents_later() -> None:
    async with scene() as it:
        now = it.clock.now()
        for role, days in (
            ("viewer", 30),
            ("operator", 30),
            ("admin", 30),
            ("agent", 90),
        ):
            made = await it.access.create(NewToken(role=role), by=ADMIN)

            assert made.expires == now + timedelta(seconds=days * DAY_S)


@pytest.mark.parametrize("wanted", [
    NewToken(role="king"),
    NewToken(role="viewer", name="x" * (NAME_MAX + 1)),
    NewToken(role="viewer", expires_s=0),
    NewToken(role="viewer", expires_s=-5),
    NewToken(role="viewer", expires_s=10**12),
])  # fmt: skip
async def test_a_token_that_makes_no_sense_is_refused(wanted: NewToken) -> None:
    async with scene() as it:
        with pytest.raises(Invalid):
            await it.access.create(wanted, by=ADMIN)
        assert it.store.tokens.bucket.entries == {}


async def test_a_revoked_token_is_over_here_and_on_every_node() -> None:
    async with scene() as one, scene(one.store) as other:
        token = await one.token()
        await settle()
        token_id = token.split("_")[1]

        await one.access.revoke(token_id, by=ADMIN)
        await settle()

        assert one.ended == [(f"token:{token_id}", "the token was revoked")]
        assert other.ended == one.ended
        assert "revoked" in one.refusal(token).message
        assert "revoked" in other.refusal(token).message
        assert one.journal.last("token.revoked").subject == f"token/{token_id}"


async def test_a_token_that_is_not_there_can_not_be_revoked() -> None:
    async with scene() as it:
        with pytest.raises(NotFound):
            await it.access.revoke("nobody", by=ADMIN)


async def test_a_token_is_not_ended_while_the_store_is_away() -> None:
    async with scene() as it:
        token = await it.token()
        it.store.available = False

        with pytest.raises(Unavailable):
            await it.access.revoke(token.split("_")[1], by=ADMIN)
        assert it.access.authenticate(token, address="10.0.0.1")
        assert it.ended == []


async def test_a_token_the_store_did_not_take_is_none() -> None:
    async with scene() as it:
        it.store.available = False
        with pytest.raises(Unavailable):
            await it.access.create(NewToken(role="viewer"), by=ADMIN)

        assert it.access.views() == ()


async def test_views_are_newest_first_and_tell_no_secret() -> None:
    async with scene() as it:
        first = await it.token(name="first")
        await it.clock.advance(1)
        await it.token(name="second")

        views = it.access.views()

        assert [view.name for view in views] == ["second", "first"]
        assert first not in repr(views)


async def test_guessing_is_limited_by_address_and_never_hits_a_good_token() -> None:
    async with scene() as it:
        token = await it.token()
        for _ in range(20):
            it.refusal("wrong")

        with pytest.raises(RateLimited) as caught:
            it.access.authenticate("wrong", address="10.0.0.1")

        assert 0 < caught.value.retry_after_ms <= 60_000
        assert "10.0.0.1" in caught.value.message
        assert it.access.authenticate(token, address="10.0.0.1")
        it.refusal("wrong", address="10.0.0.2")
        await it.clock.advance(61)
        it.refusal("wrong")
        assert it.access.failures["malformed"] == 23
        assert it.access.limited == 1


async def test_nobody_is_called_unknown_before_the_records_are_read() -> None:
    unread = Scene()

    with pytest.raises(Unavailable):
        unread.access.authenticate(FIRST, address="10.0.0.1")
    with pytest.raises(Unavailable):
        await unread.access.ensure("admin", name="first", token=FIRST)


async def test_the_first_token_opens_the_node_for_ever() -> None:
    async with scene() as it:
        assert await it.access.ensure("admin", name="first", token=FIRST)
        assert await it.access.ensure("admin", name="first", token=FIRST)

        found = it.access.authenticate(FIRST, address="10.0.0.1")
        assert (found.role, found.expires) == ("admin", None)


async def test_a_lost_first_token_is_replaced() -> None:
    async with scene() as it:
        await it.access.ensure("admin", name="first", token=FIRST)
        new = make_token(b"\x05" * 40).text
        await settle()

        assert await it.access.ensure("admin", name="first", token=new)

        assert it.access.authenticate(new, address="10.0.0.1").role == "admin"
        it.refusal(FIRST)
        assert it.ended[0][1] == "it was replaced: its file was lost"


async def test_a_first_token_that_was_revoked_stays_so_while_there_is_an_admin() -> (
    None
):
    async with scene() as it:
        await it.access.ensure("admin", name="first", token=FIRST)
        await it.token("admin", name="ann")
        await it.access.revoke(FIRST.split("_")[1], by=ADMIN)
        await settle()

        assert not await it.access.ensure("admin", name="first", token=FIRST)
        it.refusal(FIRST)


async def test_a_changed_token_file_is_named() -> None:
    async with scene() as it:
        with pytest.raises(Invalid, match="file was changed"):
            await it.access.ensure("admin", name="first", token="nxa_x")


async def test_a_first_token_whose_secret_is_another_does_not_open_the_node() -> None:
    async with scene() as it:
        await it.access.ensure("admin", name="first", token=FIRST)
        other = make_token(bytes(8) + b"\x01" * 32).text

        assert not await it.access.ensure("admin", name="first", token=other)


async def test_the_first_token_of_a_node_that_joined_stands_beside_the_others() -> None:
    async with scene() as it:
        await it.access.ensure("admin", name="first", token=FIRST)
        other = make_token(bytes(range(40))).text

        assert await it.access.ensure(
            "admin", name="first of beta", token=other, admitted=True
        )

        names = {view.name for view in it.access.views()}
        assert names == {"first", "first of beta"}


async def test_a_watch_that_starts_again_forgets_what_went_meanwhile() -> None:
    it = Scene()
    watching = asyncio.ensure_future(it.access.watch())
    await settle()
    token = await it.token()
    await settle()
    watching.cancel()
    await settle()
    await it.store.tokens.delete(token.split("_")[1])

    watching = asyncio.ensure_future(it.access.watch())
    await settle()

    it.refusal(token)
    assert it.ended
    watching.cancel()
    await settle()


async def test_calls_without_a_token_limit_nobody() -> None:
    async with scene() as it:
        for _ in range(50):
            refused = it.refusal(None)

        assert type(refused) is Unauthorized
        assert it.access.failures["missing"] == 50


async def test_a_rotated_token_opens_with_both_secrets_until_the_overlap_ends() -> None:
    async with scene() as it:
        retired: list[tuple[str, int]] = []
        it.access.on_retired(lambda who, below, why: retired.append((who, below)))
        old = await it.token("agent", name="a", scope=Scope(namespaces=("team-a",)))
        first = it.access.authenticate(old, address="10.0.0.1")
        await settle()
        made = await it.access.rotate(
            first.id.removeprefix("token:"), overlap_s=60, by=ADMIN
        )

        now = it.access.authenticate(made.token, address="10.0.0.1")
        assert (now.id, now.scope, now.generation) == (first.id, first.scope, 1)
        assert it.access.authenticate(old, address="10.0.0.1").generation == 0
        assert retired == []

        await it.clock.advance(61)
        assert "not known" in it.refusal(old).message
        assert retired == [(first.id, 1)]


async def test_without_an_overlap_the_old_secret_is_over_at_once() -> None:
    async with scene() as it:
        old = await it.token()
        who = it.access.authenticate(old, address="10.0.0.1")
        await settle()
        await it.access.rotate(who.id.removeprefix("token:"), overlap_s=0, by=ADMIN)
        it.refusal(old)


async def test_nobody_gets_a_secret_that_may_more_than_he() -> None:
    async with scene() as it:
        token = await it.token("admin")
        who = it.access.authenticate(token, address="10.0.0.1")
        await settle()
        with pytest.raises(Forbidden):
            await it.access.rotate(
                who.id.removeprefix("token:"), overlap_s=0, by=identity("operator")
            )


async def test_the_last_use_is_kept_in_the_store() -> None:
    async with scene() as it:
        token = await it.token()
        who = it.access.authenticate(token, address="10.0.0.1")
        await it.clock.advance(2)
        kept = it.store.tokens.bucket.entries[who.id.removeprefix("token:")].value
        assert kept.last_used is not None


async def test_a_flood_is_noted_once_a_minute_and_shuts_no_right_token_out() -> None:
    async with scene() as it:
        good = await it.token()
        parts = good.split("_")
        wrong = make_token(bytes(40), token_id=parts[1]).text
        for _ in range(40):
            with pytest.raises(NexaError):
                it.access.authenticate(wrong, address="10.0.0.9")
        assert it.journal.kinds().count("access.login_flood") == 1
        it.access.authenticate(good, address="10.0.0.1")
        it.access.authenticate(good, address="10.0.0.9")


@pytest.mark.parametrize(
    "wanted",
    [
        Scope(namespaces=("No Slug",)),
        Scope(may_send=("orders",)),
        Scope(may_send=("broadcast:x",)),
        Scope(may_submit=("topic:a",)),
        Scope(may_receive=("topic:a.>.b",)),
    ],
)
async def test_a_scope_that_means_nothing_is_refused(wanted: Scope) -> None:
    async with scene() as it:
        with pytest.raises(Invalid):
            await it.token("agent", scope=wanted)
