"""What a task may spend: told with progress or at the end, and held against its budget."""

from typing import Any

import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.contract.tasks import Budget, Explanation, RetryPolicy, Task, Usage
from nexa_node.core.explaining import explain
from nexa_node.core.usage import OVERSPENT
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

TEN = Budget(tokens=10)


class Told(list[tuple[str, int]]):
    """Whose attempts used how many tokens, as the ledger counts them."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        rig.ledger.on_spent(self._add)

    def _add(self, task: Task, agent: AgentId, usage: Usage) -> None:
        del task
        self.append((agent, usage.input_tokens + usage.output_tokens))


async def begin(rig: Rig, worker: FakeAgent, **fields: Any) -> Any:
    """Submit a task and have the agent take it; what every call on it says."""
    submitted = await rig.submit(**fields)
    await settle()
    taken = await worker.accept()
    return {"id": submitted.id, "claim_epoch": taken["claim_epoch"]}


def explained(rig: Rig, task_id: str) -> Explanation:
    task = rig.task(task_id)
    return explain(task, rig.directory.all_agents(), rig.dispatch.facts(task))


def used(tokens: int, cost_usd: float = 0.0) -> dict[str, Any]:
    return {"model": "m", "output_tokens": tokens, "cost_usd": cost_usd}


async def test_progress_over_the_budget_ends_the_task_and_stops_its_agent() -> None:
    async with Rig() as rig:
        told, worker = Told(rig), await rig.agent()
        claim = await begin(rig, worker, budget=TEN)
        await worker.call("task.progress", **claim, usage=used(4))
        exact = await worker.call("task.progress", **claim, usage=used(10))
        assert "result" in exact  # it may come to its budget
        over = await worker.call("task.progress", **claim, usage=used(11))
        again = await worker.call("task.progress", **claim, usage=used(12))
        late = await worker.call("task.complete", **claim, result="x")
        record = rig.task(claim["id"])

    for refused in (over, again, late):
        assert refused["error"]["data"]["reason"] == OVERSPENT
        assert refused["error"]["code"] == 1007
    assert record.status == "failed"
    assert record.error["reason"] == OVERSPENT
    assert "11 tokens" in record.error["message"]
    assert record.history[-1].outcome == OVERSPENT
    assert (
        record.usage == record.history[-1].usage == Usage(model="m", output_tokens=11)
    )
    assert told == [("wc-1", 11)]
    assert rig.custody.claims.count((DEFAULT_NAMESPACE, AgentId("wc-1"))) == 0


async def test_a_result_over_the_budget_is_kept_but_is_no_success() -> None:
    async with Rig() as rig:
        told, worker = Told(rig), await rig.agent()
        claim = await begin(rig, worker, budget=Budget(cost_usd=0.5))
        done = {**claim, "result": "dear", "usage": used(5, 0.75)}
        for _ in range(2):  # the answer was lost, and it says so again
            answer = await worker.call("task.complete", **done)
            assert "result" in answer
        record = rig.task(claim["id"])

    assert (record.status, record.result) == ("failed", "dear")
    assert record.error["details"] == {"member": "budget.cost_usd"}
    assert told == [("wc-1", 5)]


async def test_attempts_share_a_budget_and_none_follows_when_it_is_over() -> None:
    async with Rig() as rig:
        told, worker = Told(rig), await rig.agent()
        retry = RetryPolicy(max_attempts=5, backoff_ms=0)
        claim = await begin(rig, worker, budget=TEN, retry=retry)
        await worker.call("task.fail", **claim, usage=used(6), error="first")
        await settle()
        await worker.accept()
        claim["claim_epoch"] = 2
        await worker.call("task.progress", **claim, usage=used(3))
        await worker.call("task.fail", **claim, usage=used(5), error="second")
        record = rig.task(claim["id"])

    assert (record.status, record.attempts) == ("failed", 2)
    assert [each.outcome for each in record.history] == ["failed", OVERSPENT]
    assert record.history[-1].error == "second"
    assert record.error["reason"] == OVERSPENT
    assert told == [("wc-1", 6), ("wc-1", 5)]


async def test_what_a_lost_attempt_told_is_not_lost() -> None:
    async with Rig() as rig:
        told, worker = Told(rig), await rig.agent()
        claim = await begin(rig, worker, retry=RetryPolicy(max_attempts=2))
        await worker.call("task.progress", **claim, usage=used(7))
        await worker.call("session.bye")
        await settle()
        released = rig.task(claim["id"])
        other = await rig.agent("wc-2")
        await rig.clock.advance(2)
        taken = await other.accept()
        await other.call(
            "task.complete",
            id=claim["id"],
            claim_epoch=taken["claim_epoch"],
            usage=used(2),
        )
        record = rig.task(claim["id"])

    assert (released.status, released.attempts) == ("pending", 0)
    assert record.usage == Usage(model="m", output_tokens=9)
    assert told == [("wc-1", 7), ("wc-2", 2)]


async def test_a_task_is_explained_by_its_budget() -> None:
    async with Rig() as rig:
        worker = await rig.agent()
        claim = await begin(rig, worker, budget=Budget(tokens=10, cost_usd=1.0))
        await worker.call("task.progress", **claim, usage=used(4, 0.25))
        await rig.clock.advance(2)  # stored by then
        during = explained(rig, claim["id"])
        await worker.call("task.progress", **claim, usage=used(40, 0.25))
        after = explained(rig, claim["id"])

    assert "4 of 10 tokens and 0.2500 of 1.0000 USD" in during.verdict
    assert "budget_exceeded" in after.verdict
    assert "40 tokens" in after.verdict


@pytest.mark.parametrize("usage", [{"input_tokens": -1}, {"cost_usd": -0.1}])
async def test_nobody_earns_by_working(usage: dict[str, Any]) -> None:
    async with Rig() as rig:
        worker = await rig.agent()
        claim = await begin(rig, worker, budget=TEN)
        refused = await worker.call("task.progress", **claim, usage=usage)

    assert refused["error"]["code"] == Invalid.code
