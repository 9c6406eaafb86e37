"""New keys: every member does a step before anybody does the next one."""

from collections.abc import Sequence

import pytest

from nexa_node.contract.errors import Conflict, NexaError, Unavailable
from nexa_node.ports import Handler
from nexa_node.services.cluster.rotation import (
    HEARD_S,
    ROTATE,
    STEPS,
    Asked,
    Rotation,
    Successor,
)
from tests.fakes import FakeClock, RecordingJournal, settle

NAMES = ("alpha", "beta", "gamma")
SECRET = Successor(purpose="nodes", certificate="a certificate", key="a key")


class Keys:
    def __init__(self, name: str, did: list[tuple[str, str]]) -> None:
        self.name, self.did = name, did
        self.given: list[Asked] = []
        self.fails: NexaError | None = None

    async def successors(self) -> Sequence[Successor]:
        return (SECRET,)

    async def password(self) -> str:
        return "a password"

    async def take(self, asked: Asked) -> None:
        if self.fails is not None:
            raise self.fails
        self.given.append(asked)
        self.did.append((asked.step, self.name))


class Calls:
    """`ports.NodeCalls` in memory."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def serve(self, node: str, what: str, handler: Handler) -> None:
        assert what == ROTATE
        self.handlers[node] = handler

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        return await self.handlers[node](payload)


class Scene:
    def __init__(self) -> None:
        self.clock, self.journal = FakeClock(), RecordingJournal()
        self.calls, self.did = Calls(), list[tuple[str, str]]()
        self.keys = {name: Keys(name, self.did) for name in NAMES}
        self.living, self.whole = set(NAMES), True
        self.nodes = {name: self._node(name) for name in NAMES}
        for node in self.nodes.values():
            node.serve()

    def _node(self, name: str) -> Rotation:
        return Rotation(
            trust=self.keys[name],
            calls=self.calls,
            node=name,
            members=lambda: NAMES,
            living=lambda: self.living,
            whole=lambda: self.whole,
            clock=self.clock,
            journal=self.journal,
        )

    async def rotate(self, at: str = "beta") -> None:
        import asyncio

        work = asyncio.ensure_future(self.nodes[at].rotate(by="token:a"))
        for _ in range(400):
            await settle()
            if work.done():
                break
            await self.clock.advance(0.5)
        await work


async def test_all_do_each_step_before_anybody_does_the_next() -> None:
    scene = Scene()
    await scene.rotate()

    assert scene.did == [(step, name) for step in STEPS for name in NAMES]
    for keys in scene.keys.values():
        trust, promote, retire, password = keys.given
        assert trust.successors == (SECRET,)
        assert (promote.successors, retire.successors) == ((), ())
        assert password.password == "a password"
    assert scene.journal.kinds() == ["trust.rotated"]


async def test_a_member_that_is_away_would_be_shut_out_so_nothing_is_done() -> None:
    scene = Scene()
    scene.living.discard("gamma")

    with pytest.raises(Conflict, match="gamma would be shut out"):
        await scene.rotate()
    assert scene.did == []


async def test_what_broke_off_may_be_begun_anew() -> None:
    scene = Scene()
    scene.keys["gamma"].fails = Unavailable("the disk is full")
    with pytest.raises(Unavailable, match="gamma did not do its part") as failed:
        await scene.rotate()
    assert "the disk is full" in failed.value.message
    assert {step for step, _ in scene.did} == {"trust"}

    scene.keys["gamma"].fails = None
    await scene.rotate("alpha")
    assert scene.did[-1] == ("password", "gamma")


async def test_no_step_begins_while_somebody_is_not_heard() -> None:
    scene = Scene()
    scene.whole = False

    with pytest.raises(Unavailable, match="not all nodes are heard after alpha"):
        await scene.rotate()
    assert scene.did == [("trust", "alpha")]


async def test_one_change_at_a_time() -> None:
    import asyncio

    scene = Scene()
    first = asyncio.ensure_future(scene.nodes["beta"].rotate(by="a"))
    await settle()
    with pytest.raises(Conflict, match="already"):
        await scene.nodes["beta"].rotate(by="b")
    for _ in range(100):
        await scene.clock.advance(HEARD_S)
    await first


async def test_words_unknown_change_nothing_and_no_secret_is_shown() -> None:
    scene = Scene()
    with pytest.raises(NexaError, match="words unknown"):
        await scene.calls.ask("alpha", ROTATE, b"{}", timeout_s=1)

    assert scene.did == []
    shown = repr(Asked(step="trust", successors=(SECRET,), password="a password"))
    assert "a key" not in shown + repr(SECRET)
    assert "password=" not in shown
