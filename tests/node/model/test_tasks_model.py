"""Tasks, leases and watches against a reference model, in random stories.

Two nodes over one store, three workers and a submitter that watches. Agents come, are
lost, resume on either node and start anew; they accept, refuse, report, complete, fail,
release, with claims they have, had, or never had; operators cancel, redrive and purge;
nodes are killed; the store falls silent or loses its answers; time passes.

After every step no law of `task_laws.py` may be broken; every call was answered once, and
as the reference says; a watcher of a finished task was told its end. When the story is
over and all is well, every task that was promised comes to its end.

    pytest tests/node/model                              # 60 stories, the same each time
    NEXA_MODEL_EXAMPLES=2000 pytest tests/node/model --timeout=0     # chance, long stories
"""

import sys
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nexa_node.contract.errors import NexaError
from nexa_node.contract.tasks import FINISHED, NewTask, Redrive, RetryPolicy, Task
from tests.node.model.task_laws import CLAIMED, Laws, Seat, fenced, was
from tests.node.model.world import AILMENTS, LEASE_S, NODES, ModelAgent, World, profile

WORKERS = ("wc-0", "wc-1", "wc-2")
BOSS = "boss-1"
PATIENCE_S = 90
"""Longer than any delay, lease, hold of the queue and back-off together."""

SETTLED = ("pending", "failed", "dead_lettered")
"""A failure that is told again is known by its attempt, unless it came otherwise since."""

picks = st.integers(0, 11)
nodes = st.sampled_from(NODES)
workers = st.sampled_from(WORKERS)


class TasksMachine(RuleBasedStateMachine):
    """One story."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = sys.exc_info()[1]
        self.world = World()
        self.laws = Laws()
        self.news: list[NewTask] = []
        """Submissions that have a name, to be made again."""
        self.hands: dict[str, list[dict[str, Any]]] = {each: [] for each in WORKERS}
        """Every assignment an agent was told, the oldest first; answered or not."""
        self.watched: dict[str, tuple[str, str | None]] = {}
        """Of the boss' connection: watch → task, and what was told of it last."""
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self._listen()
        self.world.run(self._start())

    async def _start(self) -> None:
        for name in NODES:
            await self.world.start(name)
        for worker in WORKERS:
            self.world.agent(worker)
            self.laws.seats[worker] = Seat()
        await self.world.agent(BOSS).hello(capabilities=[])
        await self._join(self.world.agent(WORKERS[0]), NODES[0], 2)
        await self._join(self.world.agent(WORKERS[1]), NODES[1], 1)

    def _listen(self) -> None:
        """Have the laws see every write of a record as it happens."""
        bucket = self.world.store.tasks.bucket
        put, remove = bucket.set, bucket.remove
        clock = self.world.clock

        def written(key: str, task: Task) -> int:
            self.laws.written(task, clock.now(), clock.monotonic())
            return put(key, task)

        async def removed(key: str, *, revision: int | None = None) -> bool:
            there = key in bucket.entries
            try:
                return await remove(key, revision=revision)
            finally:
                if there and key not in bucket.entries:
                    self.laws.removed(key)

        bucket.set, bucket.remove = written, removed

    # -- submitting ------------------------------------------------------------

    @rule(
        node=nodes,
        kind=st.sampled_from(["plain", "id", "key", "delay", "deadline", "start_by"]),
        priority=st.sampled_from(["critical", "high", "normal", "low"]),
        attempts=st.integers(1, 3),
        by_boss=st.booleans(),
    )
    def submit(
        self, node: str, kind: str, priority: str, attempts: int, by_boss: bool
    ) -> None:
        self.count += 1
        now = self.world.now()
        more: dict[str, Any] = {
            "plain": {},
            "id": {"id": f"t-{self.count}"},
            "key": {"idempotency_key": f"key {self.count}"},
            "delay": {"delay_ms": 3000},
            "deadline": {"deadline": now + timedelta(seconds=12)},
            "start_by": {"start_by": now + timedelta(seconds=4)},
        }[kind]
        retry = RetryPolicy(max_attempts=attempts, backoff_ms=200, max_backoff_ms=1000)
        new = NewTask(
            type="wc", data=self.count, priority=priority, retry=retry, **more
        )
        if kind in ("id", "key"):
            self.news.append(new)
        self.laws.offered.add(self.count)
        self.world.run(self._submit(node, new, by_boss))

    @precondition(lambda self: self.news)
    @rule(node=nodes, pick=picks, other=st.booleans())
    def submit_again(self, node: str, pick: int, other: bool) -> None:
        """The same under its name, or another task under it."""
        new = _pick(self.news, pick)
        task_id = self._named(new)
        known = self.laws.record(task_id) if task_id else None
        if task_id in self.laws.purged or known is None:
            return
        told = self.world.run(self._submit_now(node, _other(new) if other else new))
        if self.world.is_healthy:
            expected = ("duplicate", None) if other else ("ok", True)
            assert told == expected, (told, known)

    def _named(self, new: NewTask) -> str | None:
        for each in self.laws.records():
            if each.id == new.id or (
                new.idempotency_key and each.idempotency_key == new.idempotency_key
            ):
                return each.id
        return None

    async def _submit(self, node: str, new: NewTask, by_boss: bool) -> None:
        boss = self.world.agent(BOSS)
        before = {each.id for each in self.laws.records()}
        if by_boss and boss.is_connected:
            told, result = await boss.say("task.submit", **_params(new))
            task_id = result["id"] if told == "ok" else None
        else:
            told, _ = await self._submit_now(node, new)
            fresh = [each.id for each in self.laws.records() if each.id not in before]
            task_id = fresh[0] if told == "ok" else None
        self._expect(told, "ok")
        if task_id is not None:
            assert self.laws.record(task_id) is not None, "promised, and not stored"
            self.laws.promised.add(task_id)

    async def _submit_now(self, node: str, new: NewTask) -> tuple[str, bool | None]:
        try:
            submitted = await self.world.rigs[node].tasks.submit("token:op1", new)
        except NexaError as error:
            return error.reason, None
        return "ok", submitted.duplicate

    # -- agents come and go ----------------------------------------------------

    @rule(
        id=workers,
        node=nodes,
        slots=st.integers(1, 3),
        how=st.sampled_from(["resume", "resume", "hello", "anew"]),
    )
    def connect(self, id: str, node: str, slots: int, how: str) -> None:
        """Connect: on the same node without losing the old connection first."""
        agent = self.world.agent(id)
        had = [
            each
            for each in self.laws.records()
            if each.status in CLAIMED
            and each.agent == id
            and ("work", each.id, each.claim_epoch) in self.laws.asked
        ]
        self.world.run(self._connect(agent, node, slots, how))
        if how == "anew" and self.world.steady_s() > LEASE_S:
            self._lost_by_restart(had)

    def _lost_by_restart(self, had: list[Task]) -> None:
        """What an older process worked on is not waited for."""
        for each in had:
            now = self.laws.record(each.id)
            still = now is not None and now.claim_epoch == each.claim_epoch
            assert not (still and now.status in CLAIMED), f"nobody works on {now}"

    async def _connect(
        self, agent: ModelAgent, node: str, slots: int, how: str
    ) -> None:
        here = self.world.where(agent)
        if here is not None and (here != node or not self.world.is_healthy):
            await self._lose(agent)  # or a refused hello would leave the old one open
        if how == "anew":
            agent.incarnation = str(next(agent.restarts))
            self.laws.seats[agent.id].born_at = self.world.clock.monotonic()
        await self._join(agent, node, slots, resume=how == "resume")

    async def _join(
        self, agent: ModelAgent, node: str, slots: int, *, resume: bool = False
    ) -> None:
        self._collect(agent)
        seat = self.laws.seats[agent.id]
        before = seat.slots
        seat.node, seat.slots, seat.is_open = node, max(slots, before), True
        agent.rig = self.world.rigs[node]
        if resume and agent.welcome is not None:
            welcome = agent.welcome
            answer = await agent.resume(slots=slots)
            if "result" in answer:
                assert answer["result"]["resumed"], answer
            agent.welcome = agent.welcome or welcome
        else:
            answer = await agent.hello(slots=slots)
        if "result" in answer:
            seat.slots = slots
        else:
            assert not self.world.is_healthy, answer
            seat.node = None

    @rule(id=workers)
    def lose(self, id: str) -> None:
        agent = self.world.agent(id)
        if agent.is_connected:
            self.world.run(self._lose(agent))

    async def _lose(self, agent: ModelAgent) -> None:
        self._collect(agent)
        await agent.lose()
        agent.connection = None
        self._gone(agent)

    def _gone(self, agent: ModelAgent) -> None:
        seat = self.laws.seats.get(agent.id)
        if seat is not None and seat.node is not None:
            seat.node, seat.lost_at = None, self.world.clock.monotonic()

    @rule(id=workers)
    def bye(self, id: str) -> None:
        agent = self.world.agent(id)
        if not agent.is_connected:
            return
        for each in self.laws.records():
            if each.agent == id and each.status in CLAIMED:
                self.laws.asked.add(("released", each.id, each.claim_epoch))
        told, _ = self.world.run(agent.say("session.bye"))
        assert told == "ok"
        assert agent.closed is not None
        agent.welcome = None
        self._gone(agent)

    @rule(id=workers, state=st.sampled_from(["draining", "idle", "idle"]))
    def report(self, id: str, state: str) -> None:
        agent = self.world.agent(id)
        if agent.is_connected:
            seat = self.laws.seats[id]
            seat.is_open = state == "idle"
            self.world.run(agent.say("agent.report", state=state))

    @rule(node=nodes)
    def boss_connects(self, node: str) -> None:
        boss = self.world.agent(BOSS)

        async def move() -> None:
            if boss.is_connected:
                await boss.lose()
                boss.connection = None
            self.watched.clear()
            boss.rig = self.world.rigs[node]
            await boss.hello(capabilities=[])

        self.world.run(move())

    # -- agents work -----------------------------------------------------------

    @precondition(lambda self: self._questions())
    @rule(pick=picks, how=st.sampled_from(["yes", "yes", "busy", "unable"]))
    def answer(self, pick: int, how: str) -> None:
        """Answer a question of the connection there is."""
        agent, told = _pick(self._questions(), pick)
        told["answered"] = how
        claim = (told["task"]["id"], told["claim_epoch"])
        frame: dict[str, Any] = {"id": told["number"]}
        if how == "yes":
            self._works(claim)
            frame["result"] = {"accepted": True}
        else:
            self.laws.asked.add(("rejected", *claim))
            data = {"reason": "rejected", "details": {"reason": how}}
            frame["error"] = {"code": 1013, "message": how, "data": data}
        self.world.run(agent.send(frame))

    def _questions(self) -> list[tuple[ModelAgent, dict[str, Any]]]:
        """What connected agents were asked and have not answered."""
        return [
            (agent, told)
            for agent in map(self.world.agent, WORKERS)
            if agent.is_connected
            for told in self._collect(agent)
            if told["connection"] is agent.connection and "answered" not in told
        ]

    @precondition(lambda self: self._claims())
    @rule(pick=picks)
    def progress(self, pick: int) -> None:
        who, claim = self._claim(pick)
        if fenced(self.laws.record(claim[0]), who, claim[1]) == "ok":
            self.laws.asked.add(("work", *claim))
        told = self._use(who, "task.progress", claim, pct=pick)
        if told == "ok":
            self._works(claim)

    @precondition(lambda self: self._claims())
    @rule(pick=picks, value=st.integers(0, 1))
    def complete(self, pick: int, value: int) -> None:
        who, claim = self._claim(pick)
        result = f"{who} {value}"
        before = self.laws.record(claim[0])
        again = (
            before is not None
            and before.status == "completed"
            and (before.agent, before.claim_epoch) == (who, claim[1])
            and before.result == result
        )
        if fenced(before, who, claim[1]) == "ok":
            self.laws.results.setdefault(claim, []).append(result)
        told = self._use(who, "task.complete", claim, again=again, result=result)
        if told == "ok":
            after = self.laws.record(claim[0])
            assert after is not None
            assert (after.status, after.result) == ("completed", result)

    @precondition(lambda self: self._claims())
    @rule(pick=picks, final=st.booleans())
    def fail(self, pick: int, final: bool) -> None:
        who, claim = self._claim(pick)
        before = self.laws.record(claim[0])
        again = was(before, who, claim[1], "failed")
        again = again and before is not None and before.status in SETTLED
        if fenced(before, who, claim[1]) == "ok":
            self.laws.asked.add(("failed", *claim))
            if final:
                self.laws.asked.add(("final", *claim))
        told = self._use(
            who, "task.fail", claim, again=again, error="no", retryable=not final
        )
        if told == "ok" and not again:
            self._ended_by(claim, who, "failed")

    @precondition(lambda self: self._claims())
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        who, claim = self._claim(pick)
        before = self.laws.record(claim[0])
        again = was(before, who, claim[1], "released")
        again = again and before is not None and before.status == "pending"
        if fenced(before, who, claim[1]) == "ok":
            self.laws.asked.add(("released", *claim))
        told = self._use(who, "task.release", claim, again=again)
        if told == "ok" and not again:
            self._ended_by(claim, who, "released")

    def _ended_by(self, claim: tuple[str, int], id: str, outcome: str) -> None:
        """What was answered yes is in the record's history."""
        after = self.laws.record(claim[0])
        assert after is not None
        ends = [(one.agent, one.claim_epoch, one.outcome) for one in after.history]
        assert (id, claim[1], outcome) in ends, after

    def _use(
        self,
        id: str,
        method: str,
        claim: tuple[str, int],
        *,
        again: bool = False,
        **params: Any,
    ) -> str:
        """Use a claim, and hold the answer against the reference's."""
        agent = self.world.agent(id)
        before = self.laws.record(claim[0])
        expected = "ok" if again else fenced(before, id, claim[1])
        told, error = self.world.run(
            agent.say(method, id=claim[0], claim_epoch=claim[1], **params)
        )
        self._expect(told, expected, (before, error))
        return told

    def _claims(self) -> list[tuple[str, tuple[str, int]]]:
        """Whoever is connected, with each claim it was told of; the newest first."""
        found: list[tuple[str, tuple[str, int]]] = []
        for worker in WORKERS:
            agent = self.world.agent(worker)
            if agent.is_connected:
                found += [
                    (worker, (told["task"]["id"], told["claim_epoch"]))
                    for told in self._collect(agent)
                ]
        return found[::-1]

    def _claim(self, pick: int) -> tuple[str, tuple[str, int]]:
        """Who uses which claim: mostly one that holds, now and then an old one, or one
        that is another's."""
        every = self._claims()
        holds = [
            (worker, claim)
            for worker, claim in every
            if fenced(self.laws.record(claim[0]), worker, claim[1]) == "ok"
        ]
        if pick <= 7 and holds:
            return _pick(holds, pick)
        worker, claim = _pick(every, pick)
        if pick == 11:
            worker = _pick(every[::-1], pick)[0]
        return worker, claim

    def _works(self, claim: tuple[str, int]) -> None:
        self.laws.asked.add(("work", *claim))
        self.laws.renewed[claim] = self.world.clock.monotonic()

    def _collect(self, agent: ModelAgent) -> list[dict[str, Any]]:
        """Take in what an agent was assigned."""
        hand = self.hands[agent.id]
        for frame in agent.fresh():
            if frame.get("method") == "task.assign":
                told = {**frame["params"], "number": frame["id"]}
                record = self.laws.record(told["task"]["id"])
                owners = {
                    each.agent
                    for each in self.laws.stories.get(told["task"]["id"], [])
                    if each.claim_epoch == told["claim_epoch"] and each.agent
                }
                assert record is None or owners == {agent.id}, (told, owners)
                hand.append({**told, "connection": agent.connection})
        return hand

    # -- operators and watchers ------------------------------------------------

    @precondition(lambda self: self.laws.records())
    @rule(node=nodes, pick=picks)
    def cancel(self, node: str, pick: int) -> None:
        before = _pick(self.laws.records()[::-1], pick)
        self.laws.asked.add(("cancel", before.id))
        done = before.status in FINISHED and before.status != "cancelled"
        told = self.world.run(self._cancel(node, before.id))
        self._expect(told, "conflict" if done else "ok", before)
        if told == "ok":
            after = self.laws.record(before.id)
            assert after is not None
            assert after.status == "cancelled"

    async def _cancel(self, node: str, task_id: Any) -> str:
        try:
            await self.world.rigs[node].tasks.cancel(task_id, by="token:op1")
        except NexaError as error:
            return error.reason
        return "ok"

    @precondition(lambda self: self._dead())
    @rule(node=nodes, pick=picks, purge=st.booleans())
    def bring_back_or_bury(self, node: str, pick: int, purge: bool) -> None:
        dead = _pick(self._dead(), pick)
        self.laws.asked.add(("purge" if purge else "redrive", dead.id))
        letters = self.world.rigs[node].dead_letters
        work = letters.purge if purge else letters.redrive
        told = self.world.run(work(Redrive(ids=(dead.id,)), by="token:op1"))
        late = dead.deadline is not None and self.world.now() >= dead.deadline
        if self.world.is_healthy and (purge or not late):
            assert told.done == (dead.id,), (told, dead)
        if told.done:
            after = self.laws.record(dead.id)
            assert (after is None) == purge, after

    def _dead(self) -> list[Task]:
        return [one for one in self.laws.records() if one.status == "dead_lettered"]

    @precondition(lambda self: self.laws.records())
    @rule(pick=picks)
    def watch(self, pick: int) -> None:
        boss = self.world.agent(BOSS)
        if not boss.is_connected:
            return
        before = _pick(self.laws.records()[::-1], pick)
        self._updates()
        told, result = self.world.run(boss.say("task.watch", id=before.id))
        self._expect(told, "ok")
        if told == "ok":
            status = result["task"]["status"]
            self.watched[result["watch"]] = (before.id, status)
            if status in FINISHED:
                assert status == before.status
        self._updates()

    def _updates(self) -> None:
        """Take in what the boss was told of what it watches."""
        for frame in self.world.agent(BOSS).fresh():
            if frame.get("method") != "task.update":
                continue
            watch, task = frame["params"]["watch"], frame["params"]["task"]
            known = self.watched.get(watch)
            assert known is not None, f"told of what nobody watches: {frame}"
            assert known[1] not in FINISHED, f"told after its end: {known} {task}"
            self.watched[watch] = (known[0], task["status"])

    # -- what befalls them -----------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 1.2, 1.2, 2.5, 6, 11]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(self.world.clock.advance(seconds))

    @rule(node=nodes, away_s=st.sampled_from([0, 1.5, 12]))
    def node_is_killed(self, node: str, away_s: float) -> None:
        self._updates()
        for worker in WORKERS:
            agent = self.world.agent(worker)
            if self.world.where(agent) == node:
                self._collect(agent)
                self._gone(agent)
        if self.world.where(self.world.agent(BOSS)) == node:
            self.watched.clear()
        self.world.run(self.world.crash(node, away_s))

    @rule(how=st.sampled_from(AILMENTS))
    def store_is(self, how: str) -> None:
        self.world.ail(how)

    # -- what holds after every step -------------------------------------------

    @invariant()
    def laws_hold(self) -> None:
        if not self.world.rigs:
            return
        for agent in self.world.agents.values():
            if agent.closed is not None and agent.id != BOSS:
                self._gone(agent)
        assert not self.laws.broken, "\n".join(self.laws.broken)
        self.world.check()

    @invariant()
    def no_promised_task_is_gone(self) -> None:
        stored = self.world.store.tasks.bucket.entries
        gone = self.laws.promised - set(stored) - self.laws.purged
        assert not gone, gone

    @invariant()
    def watchers_know_the_end(self) -> None:
        if BOSS not in self.world.agents:
            return
        self._updates()
        for watch, (task_id, told) in self.watched.items():
            story = self.laws.stories[task_id]
            ends = [one.status for one in story if one.status in FINISHED]
            if story and story[-1].status in FINISHED:
                assert told in ends, (watch, task_id, told, story[-1].status)

    # -- the end of the story --------------------------------------------------

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is self.outer and self.world.rigs:
                self.all_comes_to_its_end()
        finally:
            self.world.end()

    def all_comes_to_its_end(self) -> None:
        """All is well, and an able agent with room is there: nothing stays undone."""
        self.world.ail("well")
        self.laws.seats["steady"] = Seat(node="beta", slots=500)
        self.hands["steady"] = []
        self.world.run(self._finish())
        self.laws_hold()
        self.no_promised_task_is_gone()
        self.watchers_know_the_end()
        left = [one for one in self.laws.records() if one.status not in FINISHED]
        assert not left, f"never done: {left}"
        assert self.world.store.queue.entries == {}, "the queue was not emptied"
        for name, rig in self.world.rigs.items():
            assert rig.dispatch.in_hand() == 0, name

    async def _finish(self) -> None:
        world = self.world
        steady = world.agent("steady")
        steady.rig = world.rigs["beta"]
        await steady.hello(slots=500)
        for _ in range(PATIENCE_S):
            await world.clock.advance(1)
            for told in self._collect(steady):
                claim = (told["task"]["id"], told["claim_epoch"])
                if "done" not in told:
                    told["done"] = True
                    self.laws.results.setdefault(claim, []).append("steady")
                    await steady.say(
                        "task.complete",
                        id=claim[0],
                        claim_epoch=claim[1],
                        result="steady",
                    )
            if not self.world.store.queue.entries and all(
                one.status in FINISHED for one in self.laws.records()
            ):
                break

    def _expect(self, told: str, expected: str, why: Any = None) -> None:
        """The reference's answer; or that the store was silent, if it was."""
        allowed = (expected,) if self.world.is_healthy else (expected, "unavailable")
        assert told in allowed, (told, expected, why)


def _pick(things: list[Any], pick: int) -> Any:
    return things[pick % len(things)]


def _other(new: NewTask) -> NewTask:
    return NewTask(
        type=new.type, data="another", id=new.id, idempotency_key=new.idempotency_key
    )


def _params(new: NewTask) -> dict[str, Any]:
    return msgspec.to_builtins(new)


def test_tasks_keep_to_the_model() -> None:
    run_state_machine_as_test(TasksMachine, settings=profile(60))
