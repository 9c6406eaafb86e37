"""Credits, and what agents have in hand, against a reference model, in random stories.

Beside `tests/node/model`, which knows no credits. Two workers grant credits for tasks and
for their inboxes, on connections that come and go, while the store is slow to answer.

After every step: nobody was told more since the first grant of a connection than it
granted; what the node counts as an agent's tasks is exactly the claims it has in hand; no
two claims are of one task. When all is well, what was granted is used: credits neither
get lost nor hold back what they allow.

    pytest tests/model
    NEXA_MODEL_EXAMPLES=2000 pytest tests/model --timeout=0     # chance, long stories
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import FINISHED, NewTask, Task
from tests.node.model.world import ModelAgent, World, profile

NODE = "alpha"
WORKERS = ("wc-0", "wc-1")
SCOPES = {"tasks": "task.assign", "inbox": "message.deliver"}
PATIENCE_S = 90
"""Longer than any lease, hold of the queue and back-off together."""

TURNS = 100
"""Of the loop, for which a slow store keeps a record."""

picks = st.integers(0, 11)
workers = st.sampled_from(WORKERS)


@dataclass
class Purse:
    """The credits of one connection in one scope."""

    granted: int | None = None
    """None before the first grant: there is no limit."""
    told: int = 0
    """Since the first grant."""
    promised: int = 0
    """Claims that were being stored when the first grant came: they are told all the same."""

    def grant(self, number: int, promised: int = 0) -> None:
        if self.granted is None:
            self.promised = promised
        self.granted = (self.granted or 0) + number

    def spend(self) -> None:
        if self.granted is not None:
            self.told += 1

    @property
    def is_overdrawn(self) -> bool:
        return self.granted is not None and self.told > self.granted + self.promised


class CreditsMachine(RuleBasedStateMachine):
    """One story."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = sys.exc_info()[1]
        self.world = World()
        self.purses: dict[tuple[str, str], Purse] = {}
        """By agent and scope; of the connection there is."""
        self.hands: dict[str, list[dict[str, Any]]] = {name: [] for name in WORKERS}
        """What each was assigned on any connection, the oldest first."""
        self.letters: dict[str, int] = dict.fromkeys(WORKERS, 0)
        """How many were surely stored."""
        self.read: dict[str, set[int]] = {name: set() for name in WORKERS}
        """Positions that were told, ever."""
        self.count = 0
        self.is_healthy = True
        self.steady_since = self.world.clock.monotonic()

    @initialize(slow=st.booleans())
    def begin(self, slow: bool) -> None:
        if slow:
            self._slow_down()
        self.world.run(self.world.start(NODE))
        for name in WORKERS:
            self.world.run(self._join(self.world.agent(name), 3))

    def _slow_down(self) -> None:
        """Have a claim take longer to store than further tasks to be fetched."""
        update = self.world.store.tasks.update

        async def slowly(task: Task, *, revision: int) -> int:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return await update(task, revision=revision)

        self.world.store.tasks.update = slowly

    async def _join(self, agent: ModelAgent, slots: int) -> None:
        self._take(agent)
        agent.rig = self.world.rigs[NODE]
        for scope in SCOPES:
            self.purses[agent.id, scope] = Purse()
        answer = await agent.hello(slots=slots)
        assert "result" in answer or not self.is_healthy, answer

    # -- what is wanted --------------------------------------------------------

    @rule(number=st.integers(1, 4))
    def submit(self, number: int) -> None:
        """Several at once: the node places them side by side."""

        async def work() -> None:
            for _ in range(number):
                self.count += 1
                new = NewTask(type="wc", data=self.count)
                try:
                    await self.world.rigs[NODE].tasks.submit("token:op1", new)
                except Unavailable:
                    self._must_ail()

        self.world.run(work())

    @rule(to=workers, number=st.integers(1, 4))
    def send(self, to: str, number: int) -> None:
        async def work() -> None:
            for _ in range(number):
                self.count += 1
                where = Address(agent=AgentId(to))
                new = NewMessage(to=where, type="note", data=self.count)
                try:
                    await self.world.rigs[NODE].messages.send("token:op1", new)
                except Unavailable:
                    self._must_ail()
                else:
                    self.letters[to] += 1

        self.world.run(work())

    # -- what agents do --------------------------------------------------------

    @rule(id=workers, scope=st.sampled_from(list(SCOPES)), number=st.integers(1, 3))
    def grant(self, id: str, scope: str, number: int) -> None:
        agent = self.world.agent(id)
        if agent.is_connected:
            self._take(agent)
            self._pay(agent, scope, number)
            self.world.run(agent.notify("flow.credit", scope=scope, n=number))

    @rule(id=workers, pick=picks, how=st.sampled_from(["yes", "yes", "no"]))
    def answer(self, id: str, pick: int, how: str) -> None:
        agent = self.world.agent(id)
        self._take(agent)
        open_ = [
            told
            for told in self.hands[id]
            if told["connection"] is agent.connection and "answered" not in told
        ]
        if not (open_ and agent.is_connected):
            return
        told = open_[pick % len(open_)]
        told["answered"] = how
        frame: dict[str, Any] = {"id": told["number"]}
        if how == "yes":
            frame["result"] = {"accepted": True}
        else:
            data = {"reason": "rejected", "details": {"reason": "busy"}}
            frame["error"] = {"code": 1013, "message": "busy", "data": data}
        self.world.run(agent.send(frame))

    @rule(
        id=workers,
        pick=picks,
        method=st.sampled_from(["task.complete", "task.complete", "task.release"]),
    )
    def end(self, id: str, pick: int, method: str) -> None:
        """Use a claim it has, or had."""
        agent = self.world.agent(id)
        self._take(agent)
        mine = self.hands[id][::-1]
        if not (mine and agent.is_connected):
            return
        told = mine[pick % min(len(mine), 4)]
        more = {"result": None} if method == "task.complete" else {}
        said = {"id": told["task"]["id"], "claim_epoch": told["claim_epoch"], **more}
        reason, error = self.world.run(agent.say(method, **said))
        known = {"ok", "lease_lost"}
        if not self.is_healthy:
            known.add("unavailable")
        assert reason in known, error

    @rule(id=workers, slots=st.integers(1, 4))
    def connect(self, id: str, slots: int) -> None:
        """Anew, or over the connection there is."""
        agent = self.world.agent(id)
        if agent.is_connected and not self.is_healthy:
            return  # a refused hello would leave the old one open
        self.world.run(self._join(agent, slots))

    @rule(id=workers)
    def lose(self, id: str) -> None:
        agent = self.world.agent(id)
        if agent.is_connected:
            self._take(agent)
            self.world.run(agent.lose())
            agent.connection = None

    # -- what befalls them -----------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 0.6, 1.2, 2.5, 11]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(self.world.clock.advance(seconds))

    @rule(how=st.sampled_from(["well", "well", "silent", "loses answers"]))
    def store_is(self, how: str) -> None:
        self._ail(how)

    @rule()
    def node_is_killed(self) -> None:
        for name in WORKERS:
            self._take(self.world.agent(name))
        self.world.run(self.world.crash(NODE, 0))

    # -- what holds after every step -------------------------------------------

    @invariant()
    def nobody_is_told_more_than_it_granted(self) -> None:
        for name in WORKERS:
            if name in self.world.agents:
                self._take(self.world.agent(name))
        over = {who: it for who, it in self.purses.items() if it.is_overdrawn}
        assert not over, f"told more than was granted: {over}"

    @invariant()
    def inflight_is_what_is_in_hand(self) -> None:
        for rig in self.world.rigs.values():
            held = list(rig.custody.claims)
            assert len({one.id for one in held}) == len(held), held
            for key, agent in rig.custody.agents.items():
                mine = [one.id for one in held if one.agent == key]
                assert agent.seat.inflight == len(mine), (key, agent.seat, mine)
        if self.world.rigs:
            self.world.check()

    @invariant()
    def granted_letters_are_told(self) -> None:
        """Once the store has been well for a while, credit and letters do not wait."""
        if (
            not self.world.rigs
            or self.world.clock.monotonic() < self.steady_since + 1.5
        ):
            return
        for name in WORKERS:
            agent, purse = self.world.agent(name), self.purses[name, "inbox"]
            self._take(agent)
            if not agent.is_connected or agent.welcome is None:
                continue
            spent = purse.granted is not None and purse.told >= purse.granted
            known = len(self.read[name])
            assert spent or known >= self.letters[name], (name, purse, known)

    # -- the end of the story --------------------------------------------------

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is self.outer and self.world.rigs:
                self._ail("well")
                self.world.run(self._finish())
                self.nobody_is_told_more_than_it_granted()
                self.inflight_is_what_is_in_hand()
                self._all_is_done()
        finally:
            self.world.end()

    async def _finish(self) -> None:
        """One credit at a time is enough to get everything done."""
        steady = self.world.agent(WORKERS[0])
        if not steady.is_connected or steady.welcome is None:
            await self._join(steady, 1)
        other = self.world.agent(WORKERS[1])
        if other.is_connected:
            await other.lose()
            other.connection = None
        for _ in range(PATIENCE_S + 4 * self.count):
            self._take(steady)
            for told in self.hands[steady.id]:
                if "done" not in told and told["connection"] is steady.connection:
                    told["done"] = True
                    await steady.say(
                        "task.complete",
                        id=told["task"]["id"],
                        claim_epoch=told["claim_epoch"],
                        result=None,
                    )
            if not self._left() and not self.world.store.queue.entries:
                return  # what a killed node had of the queue comes again, later
            self._take(steady)
            purse = self.purses[steady.id, "tasks"]
            if purse.granted is None or purse.told >= purse.granted:
                self._pay(steady, "tasks", 1)
                await steady.notify("flow.credit", scope="tasks", n=1)
            await self.world.clock.advance(1)

    def _left(self) -> list[Any]:
        records = self.world.store.tasks.bucket.entries.values()
        return [one.value for one in records if one.value.status not in FINISHED]

    def _all_is_done(self) -> None:
        assert not self._left(), f"never done: {self._left()}"
        assert self.world.store.queue.entries == {}, "the queue was not emptied"
        assert self.world.rigs[NODE].dispatch.in_hand() == 0

    # -- helpers ---------------------------------------------------------------

    def _pay(self, agent: ModelAgent, scope: str, number: int) -> None:
        promised = [
            one
            for one in agent.rig.custody.claims
            if scope == "tasks" and one.agent == ("default", agent.id) and not one.epoch
        ]
        self.purses[agent.id, scope].grant(number, len(promised))

    def _ail(self, how: str) -> None:
        store, was = self.world.store, self.is_healthy
        store.available = how != "silent"
        store.lose_answers = how == "loses answers"
        self.is_healthy = how == "well"
        if self.is_healthy and not was:
            self.steady_since = self.world.clock.monotonic()

    def _must_ail(self) -> None:
        assert not self.is_healthy, "unavailable, and the store is well"

    def _take(self, agent: ModelAgent) -> None:
        """Take in what an agent was told, and what it cost."""
        for frame in agent.fresh():
            for scope, method in SCOPES.items():
                if frame.get("method") == method:
                    self.purses[agent.id, scope].spend()
            if frame.get("method") == "task.assign":
                told = {**frame["params"], "number": frame["id"]}
                self.hands[agent.id].append({**told, "connection": agent.connection})
            elif frame.get("method") == "message.deliver":
                self.read[agent.id].add(frame["params"]["seq"])


def test_credits_and_claims_keep_to_the_model() -> None:
    run_state_machine_as_test(CreditsMachine, settings=profile(60))
