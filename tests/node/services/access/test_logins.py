"""Logging in by an Ed25519 key: over REST, and in session.hello."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexa_node.contract.access import NewToken, Scope, TokenCreated
from nexa_node.contract.errors import (
    Forbidden,
    Invalid,
    NexaError,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.login import Challenge, KeyProof, NewLogin, login_words
from nexa_node.services.access.access import Access
from nexa_node.services.access.logins import SESSION_S, Logins
from nexa_node.services.access.making import SESSIONS_MAX
from tests.builders import identity
from tests.fakes import CountingEntropy, MemoryStore, RecordingJournal, settle
from tests.rig import FakeAgent, Rig

ADMIN = identity("admin")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
HERE = "10.0.0.1"


def signed(
    challenge: Challenge, token_id: str, *, key: Any = KEY, purpose: Any = "login"
) -> KeyProof:
    words = login_words(challenge, purpose=purpose, token_id=token_id)
    return KeyProof(
        id=token_id,
        nonce=challenge.nonce,
        signature=base64.b64encode(key.sign(words)).decode(),
    )


class Town:
    """A node that lets people in by keys."""

    def __init__(self, store: MemoryStore, node: str = "id-alpha") -> None:
        self.store, self.clock = store, store.clock
        entropy = CountingEntropy()
        self.access = Access(
            tokens=store.tokens,
            clock=store.clock,
            journal=RecordingJournal(),
            entropy=entropy,
        )
        self.logins = Logins(
            self.access,
            clock=store.clock,
            entropy=entropy,
            node=node,
            cluster=lambda: "nexa",
        )

    async def key_token(self, **wanted: Any) -> TokenCreated:
        fields = {"role": "agent", "name": "wc", "public_key": PUBLIC, **wanted}
        made = await self.access.create(NewToken(**fields), by=ADMIN)
        await settle()
        return made

    async def login(self, token_id: str) -> TokenCreated:
        proof = signed(self.logins.challenge(token_id), token_id)
        made = (await self.logins.login(NewLogin(key=proof), address=HERE))[1]
        await settle()
        return made

    def refusal(self, proof: KeyProof, purpose: Any = "login") -> NexaError:
        with pytest.raises(NexaError) as caught:
            self.logins.prove(proof, purpose=purpose, address=HERE)
        return caught.value


@asynccontextmanager
async def town(
    store: MemoryStore | None = None, node: str = "a"
) -> AsyncIterator[Town]:
    made = Town(store or MemoryStore(), node)
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(made.access.watch()),
            group.create_task(made.access.expire()),
        ]
        await settle()
        yield made
        for loop in loops:
            loop.cancel()


async def test_a_signature_gets_a_short_lived_token_of_the_same_holder() -> None:
    async with town() as it:
        mine = await it.key_token(scope=Scope(namespaces=("team-a",)))
        short = await it.login(mine.id)

        who = it.access.authenticate(short.token, address=HERE)
        assert (who.id, who.role, who.name) == (f"token:{mine.id}", "agent", "wc")
        assert who.scope.namespaces == ("team-a",)
        assert who.session == f"token:{short.id}"
        assert short.expires is not None
        assert (short.expires - it.clock.now()).total_seconds() == SESSION_S
        assert {one.of for one in it.access.views()} == {"", mine.id}


async def test_a_signature_is_good_once_for_one_purpose_one_node_and_a_minute() -> None:
    async with town() as it, town(it.store, "b") as other:
        mine = await it.key_token()
        challenge = it.logins.challenge(mine.id)
        proof = signed(challenge, mine.id)

        assert isinstance(it.refusal(proof, "session"), Unauthorized)
        assert isinstance(other.refusal(proof), Unauthorized)
        it.logins.prove(proof, purpose="login", address=HERE)
        assert "used before" in it.refusal(proof).message

        late = signed(it.logins.challenge(mine.id), mine.id)
        await it.clock.advance(61)
        assert "challenge is over" in it.refusal(late).message
        bent = msgspec.structs.replace(
            signed(it.logins.challenge(mine.id), mine.id), nonce="bm9uY2U="
        )
        assert isinstance(it.refusal(bent), Unauthorized)


async def test_another_key_another_id_and_a_nonce_of_another_are_refused() -> None:
    async with town() as it:
        mine, theirs = await it.key_token(), await it.key_token(name="other")
        eve = Ed25519PrivateKey.generate()

        wrong = it.refusal(signed(it.logins.challenge(mine.id), mine.id, key=eve))
        assert "nobody's" in wrong.message
        crossed = signed(it.logins.challenge(theirs.id), mine.id)
        assert isinstance(it.refusal(crossed), Unauthorized)


async def test_t19_an_id_that_does_not_exist_is_answered_as_one_that_does() -> None:
    async with town() as it:
        mine = await it.key_token()
        plain = await it.access.create(NewToken(role="agent"), by=ADMIN)
        eve = Ed25519PrivateKey.generate()

        told = [
            it.refusal(signed(it.logins.challenge(each), each, key=eve))
            for each in (mine.id, plain.id, "nobody1")
        ]
        assert len({(one.message, one.reason, one.remedy) for one in told}) == 1


async def test_guessing_is_limited_and_a_good_signature_passes() -> None:
    async with town() as it:
        mine = await it.key_token()
        eve = Ed25519PrivateKey.generate()
        for _ in range(6):
            last = it.refusal(signed(it.logins.challenge(mine.id), mine.id, key=eve))

        assert isinstance(last, RateLimited)
        assert (await it.login(mine.id)).token


async def test_t8_what_is_logged_in_ends_with_the_token_it_is_for() -> None:
    async with town() as it:
        ended: list[str] = []
        it.access.on_ended(lambda who, why: ended.append(who))
        mine = await it.key_token()
        short = await it.login(mine.id)

        await it.access.revoke(mine.id, by=ADMIN)
        await settle()

        with pytest.raises(Unauthorized):
            it.access.authenticate(short.token, address=HERE)
        assert f"token:{mine.id}" in ended


async def test_a_short_lived_token_ends_is_told_and_goes_from_the_store() -> None:
    async with town() as it:
        ended: list[str] = []
        it.access.on_ended(lambda who, why: ended.append(who))
        mine = await it.key_token()
        short = await it.login(mine.id)
        who = it.access.authenticate(short.token, address=HERE)
        assert it.access.still_valid(who)

        await it.clock.advance(SESSION_S + 1)
        assert f"token:{short.id}" in ended
        assert not it.access.still_valid(who)
        await it.clock.advance(61)
        await settle()

        assert [one.id for one in it.access.views()] == [mine.id]


async def test_no_key_fills_the_store() -> None:
    async with town() as it:
        mine = await it.key_token()
        for _ in range(SESSIONS_MAX):
            await it.login(mine.id)

        with pytest.raises(RateLimited, match="short-lived"):
            await it.login(mine.id)


@pytest.mark.parametrize(
    "wanted",
    [NewLogin(), NewLogin(oidc="x"), NewLogin(oidc="x", key=KeyProof(id="a", nonce="", signature=""))],
)  # fmt: skip
async def test_a_login_that_makes_no_sense_here_is_told(wanted: NewLogin) -> None:
    async with town() as it:
        with pytest.raises(Invalid):
            await it.logins.login(wanted, address=HERE)
        assert it.logins.ways().oidc is None


async def test_before_the_tokens_are_read_nobody_is_refused() -> None:
    it = Town(MemoryStore())
    with pytest.raises(Unavailable):
        it.logins.prove(
            KeyProof(id="a", nonce="", signature=""), purpose="login", address=HERE
        )


async def hello(rig: Rig, it: Town, token_id: str, **change: Any) -> FakeAgent:
    agent = FakeAgent(rig, "wc-1")
    agent.open(stranger=True)
    asked = await agent.call("session.challenge", id=token_id)
    challenge = msgspec.convert(asked["result"], Challenge)
    proof = signed(challenge, token_id, purpose=change.pop("purpose", "session"))
    answer = await agent.call(
        "session.hello",
        protocol="1.0",
        agent={"id": "wc-1"},
        auth={"key": msgspec.to_builtins(proof)},
        **change,
    )
    agent.welcome = answer.get("result")
    return agent


async def test_an_agent_says_hello_by_a_key() -> None:
    async with town() as it, Rig(store=it.store) as rig:
        rig.door.proofs = it.logins
        mine = await it.key_token()

        agent = await hello(rig, it, mine.id)

        assert agent.welcome is not None
        live = rig.sessions.everybody()[0]
        assert live.identity.id == f"token:{mine.id}"
        rig.sessions.revoked(f"token:{mine.id}", "the token was revoked")
        await settle()
        assert agent.closed is not None
        assert agent.closed.code == 4505


async def test_a_signature_for_a_token_opens_no_session_and_a_viewer_has_none() -> None:
    async with town() as it, Rig(store=it.store) as rig:
        rig.door.proofs = it.logins
        mine = await it.key_token()
        looker = await it.key_token(role="viewer")

        agent = await hello(rig, it, mine.id, purpose="login")
        assert agent.closed is not None
        assert agent.closed.code == 4501
        agent = await hello(rig, it, looker.id)
        assert agent.closed is not None
        assert agent.closed.code == 4502


async def test_challenges_are_counted_and_come_before_hello() -> None:
    async with town() as it, Rig(store=it.store) as rig:
        rig.door.proofs = it.logins
        agent = FakeAgent(rig, "wc-1")
        agent.open(stranger=True)
        for _ in range(3):
            assert "result" in await agent.call("session.challenge", id="x1")
        refused = await agent.call("session.challenge", id="x1")
        assert refused["error"]["data"]["reason"] == "rate_limited"
        assert agent.closed is not None

        inside = await rig.agent("wc-2")
        late = await inside.call("session.challenge", id="x1")
        assert late["error"]["data"]["reason"] == "invalid"


async def test_a_node_without_logins_by_key_says_so() -> None:
    async with Rig() as rig:
        agent = FakeAgent(rig, "wc-1")
        agent.open(stranger=True)
        told = await agent.call("session.challenge", id="x1")

    assert told["error"]["data"]["reason"] == "unavailable"


async def test_a_limited_admin_makes_no_wider_key_token() -> None:
    async with town() as it:
        narrow = identity("admin", scope=Scope(may_send=("topic:a.>",)))
        with pytest.raises(Forbidden):
            await it.access.create(NewToken(role="agent", public_key=PUBLIC), by=narrow)
