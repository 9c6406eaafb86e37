"""What is counted where: destinations, reasons, types."""

import pytest

from nexa_node.contract.errors import (
    Invalid,
    NexaError,
    NoAgentAvailable,
    PayloadTooLarge,
    RateLimited,
)
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import Redrive, RetryPolicy
from nexa_node.core.exposition import Buckets, Counter, Family, Histogram
from nexa_node.core.history import TICK_MS
from nexa_node.core.sampling import samples_of
from nexa_node.ports import InboxMessage, TopicMessage
from nexa_node.services.metrics.keeping import Keeper
from nexa_node.services.metrics.meters import destination_of, model_of
from tests import builders
from tests.fakes import settle
from tests.node.services.metrics.moving import TO_AGENT, Rig
from tests.rig import Rig as Services

START = 1_760_000_400_000


def value(rig: Rig, name: str, **labels: str) -> float:
    family: Family = rig.families()[name]
    assert isinstance(family, Counter)
    (found,) = (one for one in family.samples if labels.items() <= one.labels.items())
    return found.value


@pytest.mark.parametrize(
    ("to", "place"),
    [
        (Address(agent=AgentId("wc-1")), "agent"),
        (Address(capability="wc"), "capability"),
        (Address(topic="reports.daily"), "topic"),
        (Address(broadcast=True), "broadcast"),
    ],
)
def test_an_address_is_of_a_kind(to: Address, place: str) -> None:
    assert destination_of(to) == place


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RateLimited("slower"), "rate_limit"),
        (RateLimited("full", details={"reason": "inbox_full"}), "inbox_full"),
        (PayloadTooLarge("large"), "too_large"),
        (NoAgentAvailable("nobody"), "no_receiver"),
        (Invalid("what"), "other"),
    ],
)
def test_a_message_is_dropped_for_a_reason(error: NexaError, reason: str) -> None:
    rig = Rig()
    rig.messages.refused(TO_AGENT, error)

    name = "nexa_messages_dropped_total"
    assert value(rig, name, destination="agent", reason=reason) == 1


def test_a_signal_without_room_and_a_message_by_rest_are_counted() -> None:
    rig = Rig()
    said = builders.message(to=Address(topic="reports"))
    rig.messages.missed(TopicMessage(DEFAULT_NAMESPACE, "reports", 0, said))
    one = builders.message(to=TO_AGENT.to)
    rig.messages.missed(InboxMessage(DEFAULT_NAMESPACE, AgentId("wc-1"), 0, one))
    rig.messages.taken(NewMessage(to=Address(topic="reports"), type="n"), "token:op")

    dropped = "nexa_messages_dropped_total"
    assert value(rig, dropped, destination="topic", reason="no_room") == 1
    assert value(rig, dropped, destination="agent", reason="no_room") == 1
    received = "nexa_messages_received_total"
    assert value(rig, received, transport="rest", destination="topic") == 1


def test_connections_end_for_a_reason() -> None:
    rig = Rig()
    for code in (1000, 1006, 4412, 9999):
        rig.connections.closed(code, 1.0)
    rig.connections.console_opened()
    rig.connections.console_closed("slow")

    name = "nexa_connections_closed_total"
    for reason in ("normal", "lost", "heartbeat", "other"):
        assert value(rig, name, kind="agent", reason=reason) == 1
    assert value(rig, name, kind="console", reason="slow") == 1
    assert value(rig, "nexa_connections_opened_total", kind="console") == 1


def test_an_agent_that_said_bye_before_is_counted_apart() -> None:
    rig = Rig()
    live = rig.live[0]
    rig.agents_seen.joined(live, restarted=True)
    rig.agents_seen.changed(live)
    rig.agents_seen.away(live)
    rig.agents_seen.left(live, in_order=True)
    rig.agents_seen.joined(live, restarted=True)

    name = "nexa_agent_restarts_total"
    assert value(rig, name, agent_type="wc", reason="stopped") == 1
    assert value(rig, name, agent_type="wc", reason="lost") == 0


def test_a_claim_is_waited_for_once_and_a_dead_letter_is_a_message_given_up() -> None:
    rig = Rig()
    claimed = builders.task(status="assigned", claim_epoch=1)
    rig.tasks.written(claimed)
    rig.tasks.written(claimed)
    rig.tasks.written(builders.task(status="dead_lettered"))

    waits = rig.families()["nexa_task_queue_wait_seconds"]
    assert isinstance(waits, Histogram)
    assert sum(sum(one.counts) for one in waits.series) == 1
    name = "nexa_messages_dead_lettered_total"
    assert value(rig, name, destination="task", reason="attempts") == 1


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("maker/model-1", ("maker", "model-1")),
        ("model-1", ("unknown", "model-1")),
        (None, ("unknown", "unknown")),
    ],
)
def test_a_model_has_a_provider(told: str | None, known: tuple[str, str]) -> None:
    assert model_of(told) == known


def test_a_histogram_becomes_the_series_prometheus_makes_of_it() -> None:
    told = Histogram("nexa_x_seconds", "X.", (Buckets((0.1, 1.0), (1, 2, 3), 9.5),))

    found = {
        (one.labels["__name__"], one.labels.get("le")): one.value
        for one in samples_of((told,), "alpha")
    }

    assert found == {
        ("up", None): 1.0,
        ("nexa_x_seconds_bucket", "0.1"): 1.0,
        ("nexa_x_seconds_bucket", "1.0"): 3.0,
        ("nexa_x_seconds_bucket", "+Inf"): 6.0,
        ("nexa_x_seconds_sum", None): 9.5,
        ("nexa_x_seconds_count", None): 6.0,
    }


def test_whose_series_were_forgotten_is_asked_for_its_numbers_again() -> None:
    far, near = Keeper("beta", "run"), Keeper("alpha", "run")
    told = far.tick(START, far.measured((), START))
    assert near.hear(told, START)
    near.commit(START, near.measured((), START), ("alpha", "beta"))

    near.forget(START + 48 * 3600 * 1000)
    later = START + TICK_MS
    assert not near.hear(far.tick(later, far.measured((), later)), later)
    near.understand("beta", far.snapshot())

    later += TICK_MS
    assert near.hear(far.tick(later, far.measured((), later)), later)


async def test_what_a_redriven_task_used_before_is_not_counted_again() -> None:
    rig = Rig()
    async with Services() as services:
        services.ledger.on_write(rig.tasks.written)
        services.ledger.on_spent(rig.tasks.spent)
        worker = await services.agent()
        one = await services.submit(retry=RetryPolicy(max_attempts=1))
        await settle()
        await worker.accept()
        used = {"model": "maker/model", "input_tokens": 3, "cost_usd": 0.5}
        first = {"id": one.id, "claim_epoch": 1, "usage": used}
        await worker.call("task.progress", **first)
        await worker.call("task.fail", **first)
        await services.dead_letters.redrive(Redrive(ids=(one.id,)), by="token:op1")
        await settle()
        await worker.accept()
        used = {"model": "other/model", "input_tokens": 4, "cost_usd": 0.25}
        await worker.call("task.complete", id=one.id, claim_epoch=2, usage=used)
        record = services.task(one.id)

    tokens, cost = "nexa_llm_tokens_total", "nexa_llm_cost_usd_total"
    assert value(rig, tokens, provider="maker", token_type="input") == 3
    assert value(rig, tokens, provider="other", token_type="input") == 4
    assert value(rig, cost, provider="maker") == 0.5
    assert value(rig, cost, provider="other") == 0.25
    assert record.usage is not None
    assert record.usage.input_tokens == 7
