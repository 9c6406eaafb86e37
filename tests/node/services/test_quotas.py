"""The ledger of budgets on several nodes: nothing lost, nothing counted twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from nexa_node.contract.errors import Invalid, NotFound, RateLimited
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.quotas import Allowance, Limits, Quota
from nexa_node.contract.tasks import Redrive, RetryPolicy, Usage
from nexa_node.services.quotas import WRITE_S, Quotas
from tests import builders
from tests.fakes import Door, FakeClock, MemoryQuotas, RecordingJournal, settle
from tests.rig import Rig

A = Namespace("a")
BY = builders.identity("admin")


class Scene:
    """Nodes over one store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.door = Door()
        self.records = MemoryQuotas(self.door)
        self.journal = RecordingJournal()

    def made(self, node: str) -> Quotas:
        """A node's book that has read nothing yet."""
        return Quotas(
            records=self.records, clock=self.clock, journal=self.journal, node=node
        )

    @asynccontextmanager
    async def node(
        self, name: str, book: Quotas | None = None
    ) -> AsyncGenerator[Quotas]:
        """A node that runs; left, it was killed."""
        book = self.made(name) if book is None else book
        loops = [asyncio.create_task(loop()) for loop in (book.watch, book.keep)]
        await settle()
        try:
            yield book
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def stored(self) -> None:
        """Let what was counted reach the store, and the other nodes."""
        await self.clock.advance(2 * WRITE_S)


def spend(book: Quotas, tokens: int, agent: str = "x", cost_usd: float = 0.0) -> None:
    used = Usage(model="m", input_tokens=tokens, output_tokens=0, cost_usd=cost_usd)
    book.spent(A, AgentId(agent), used)


def tokens(book: Quotas) -> int:
    view = book.budget(A)
    assert view is not None
    return view.spent.tokens


async def test_what_one_node_counts_holds_tasks_back_on_another() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha, scene.node("beta") as beta:
        await alpha.put(Quota(name=A, budget=Allowance(tokens=100)), by=BY)
        await settle()
        spend(alpha, 60)
        spend(beta, 40)
        await scene.stored()

        assert tokens(alpha) == tokens(beta) == 100
        assert beta.held_s(builders.task(namespace=A)) > 0
        assert "resets at" in (beta.why_held(A) or "")
        assert alpha.held_s(builders.task(namespace=Namespace("b"))) == 0


async def test_a_node_that_starts_again_goes_on_where_it_was() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha:
        await alpha.put(Quota(name=A, budget=Allowance(tokens=1000)), by=BY)
        spend(alpha, 60)
        await scene.stored()
    again = scene.made("alpha")
    spend(again, 5)  # an agent is faster than the store's answer
    async with scene.node("alpha", again), scene.node("beta") as beta:
        await scene.stored()

        assert tokens(again) == tokens(beta) == 65
        spend(again, 1)
        await scene.stored()
        assert tokens(again) == tokens(beta) == 66


async def test_what_a_dead_node_counted_stays_counted() -> None:
    scene = Scene()
    async with scene.node("beta") as beta:
        async with scene.node("alpha") as alpha:
            await alpha.put(Quota(name=A, budget=Allowance(tokens=100)), by=BY)
            spend(alpha, 60)
            await scene.stored()
        spend(beta, 40)

        assert tokens(beta) == 100
        assert beta.why_held(A) is not None


@pytest.mark.parametrize("first", ["hour", "day"])
async def test_another_period_counts_from_the_change_on(first: str) -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha, scene.node("beta") as beta:
        before = Allowance(tokens=100, period=first)  # pyright: ignore[reportArgumentType]  # a period's name
        await alpha.put(Quota(name=A, budget=before), by=BY)
        spend(alpha, 60)
        await scene.stored()
        await alpha.put(
            Quota(name=A, budget=Allowance(tokens=100, period="month")), by=BY
        )
        spend(alpha, 7)
        await scene.stored()

        assert tokens(alpha) == tokens(beta) == 7


async def test_a_store_that_is_away_gets_it_later() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha, scene.node("beta") as beta:
        await alpha.put(Quota(name=A, budget=Allowance(tokens=100)), by=BY)
        await settle()
        scene.door.available = False
        spend(alpha, 60)
        await scene.stored()
        assert (tokens(alpha), tokens(beta)) == (60, 0)

        scene.door.available = True
        await scene.stored()
        assert tokens(beta) == 60


async def test_a_new_period_begins_at_nothing() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha:
        await alpha.put(
            Quota(name=A, budget=Allowance(tokens=10, period="hour")), by=BY
        )
        spend(alpha, 10)
        assert alpha.why_held(A) is not None

        await scene.clock.advance(3600)
        assert alpha.why_held(A) is None
        spend(alpha, 3)
        await scene.stored()
        assert tokens(alpha) == 3


async def test_soft_and_hard_limits_are_told_once_each() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha:
        allowance = Allowance(tokens=100, agent_tokens=90, warn_at=0.5)
        await alpha.put(Quota(name=A, budget=allowance), by=BY)
        for _ in range(10):
            spend(alpha, 10)
        told = [kind for kind in scene.journal.kinds() if kind.startswith("budget.")]

        assert told == ["budget.low", "budget.agent_spent", "budget.spent"]
        assert alpha.out(A) == ("x",)


async def test_each_attempt_counts_once_even_if_the_task_is_redriven() -> None:
    told: list[tuple[str, int]] = []
    async with Rig() as rig:
        rig.ledger.on_spent(
            lambda _, agent, used: told.append((agent, used.input_tokens))
        )
        worker = await rig.agent()
        submitted = await rig.submit(retry=RetryPolicy(max_attempts=1))
        await settle()
        await worker.accept()
        failed = {"id": submitted.id, "claim_epoch": 1, "usage": {"input_tokens": 3}}
        for _ in range(2):  # the answer was lost, and it says so again
            await worker.call("task.fail", **failed)
        assert told == [("wc-1", 3)]

        await rig.dead_letters.redrive(Redrive(ids=(submitted.id,)), by="token:op1")
        await settle()
        await worker.accept()
        done = {"id": submitted.id, "claim_epoch": 2, "usage": {"input_tokens": 4}}
        for _ in range(2):
            await worker.call("task.complete", **done)

    assert told == [("wc-1", 3), ("wc-1", 4)]


async def test_nothing_is_given_away_before_the_budgets_are_known() -> None:
    scene = Scene()
    book = scene.made("alpha")
    assert book.held_s(builders.task(namespace=A)) > 0
    async with scene.node("alpha", book):
        assert book.held_s(builders.task(namespace=A)) == 0


async def test_limits_are_for_their_namespace_and_end_with_it() -> None:
    scene = Scene()
    async with scene.node("alpha") as alpha, scene.node("beta") as beta:
        await alpha.put(
            Quota(name=A, limits=Limits(waiting=1, agents=1, tasks_per_s=1)), by=BY
        )
        await settle()
        beta.waiting = beta.connected = lambda _: 1
        with pytest.raises(RateLimited, match="1 tasks wait"):
            beta.check_submit(A)
        with pytest.raises(RateLimited, match="1 agents are connected"):
            beta.check_join(A)
        alpha.check_submit(A)
        with pytest.raises(RateLimited, match="more than 1 submissions") as refused:
            alpha.check_submit(A)
        assert 0 < (refused.value.retry_after_ms or 0) <= 1000
        beta.check_submit("b")
        beta.check_send(A)

        await alpha.delete(A, by=BY)
        await settle()
        beta.check_submit(A)
        beta.check_join(A)
        assert beta.rejections["namespace_waiting"] == 1
        with pytest.raises(NotFound):
            await alpha.delete(A, by=BY)


@pytest.mark.parametrize(
    "wanted",
    [
        Quota(name="No Slug"),
        Quota(name=A, limits=Limits(agents=-1)),
        Quota(name=A, limits=Limits(messages_per_s=0)),
        Quota(name=A, budget=Allowance(cost_usd=float("nan"))),
        Quota(name=A, budget=Allowance(warn_at=1.5)),
    ],
)
async def test_what_makes_no_sense_is_not_stored(wanted: Quota) -> None:
    scene = Scene()
    with pytest.raises(Invalid):
        await scene.made("alpha").put(wanted, by=BY)
    assert scene.records.bucket.entries == {}
