from datetime import datetime
from typing import Any

import pytest

from nexa_node.contract import frames
from nexa_node.contract.agents import Capability
from nexa_node.contract.errors import Invalid, PayloadTooLarge
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import RetryPolicy, Usage
from nexa_node.core import intake
from tests.builders import NOW, new_task

TO = Address(agent=AgentId("a"))
WC1 = frames.AgentInfo(id=AgentId("wc-1"))


def hello(**fields: Any) -> frames.Hello:
    return frames.Hello(**{"protocol": "1.0", "agent": WC1, **fields})


@pytest.mark.parametrize(
    "params",
    [
        new_task(),
        new_task(
            deadline=NOW, start_by=NOW, est_seconds=1.5, hops=3, labels={"a": "b"}
        ),
        NewMessage(to=TO, type="t", id="a-1/x", ttl_ms=1),
        NewMessage(to=Address(topic="a.b.c"), type="t"),
        NewMessage(to=Address(broadcast=True), type="t"),
        hello(slots=0, capabilities=(Capability(name="a"), Capability(name="b"))),
        frames.Empty(),
        frames.Ack(upto=5),
        new_task(not_before=NOW),
        new_task(delay_ms=1000),
        frames.Watch(id=TaskId("t")),
        frames.Watch(type="wc", parent=TaskId("p"), status="completed"),
        frames.Unwatch(watch="w.1"),
    ],
)
def test_what_makes_sense_passes(params: Any) -> None:
    intake.check(params)


@pytest.mark.parametrize(
    ("params", "member"),
    [
        (new_task(deadline=datetime(2026, 1, 1)), "deadline"),  # noqa: DTZ001 - the point
        (new_task(start_by=datetime(2026, 1, 1)), "start_by"),  # noqa: DTZ001 - the point
        (new_task(est_seconds=float("nan")), "est_seconds"),
        (new_task(est_seconds=-1.0), "est_seconds"),
        (new_task(hops=17), "hops"),
        (new_task(labels={str(n): "" for n in range(65)}), "labels"),
        (new_task(labels={"": ""}), "labels"),
        (new_task(labels={"a": "x" * 257}), "labels.'a'"),
        (new_task(retry=RetryPolicy(max_attempts=0)), "retry.max_attempts"),
        (new_task(retry=RetryPolicy(backoff_ms=10**30)), "retry.backoff_ms"),
        (new_task(retry=RetryPolicy(max_backoff_ms=-1)), "retry.max_backoff_ms"),
        (new_task(fairness_key="x" * 300), "fairness_key"),
        (new_task(parent="a b"), "parent"),
        (new_task(not_before=datetime(2026, 1, 1)), "not_before"),  # noqa: DTZ001 - the point
        (new_task(not_before=NOW, delay_ms=1), "not_before"),
        (new_task(delay_ms=-1), "delay_ms"),
        (new_task(delay_ms=366 * 24 * 3600 * 1000), "delay_ms"),
        (frames.TaskQuery(parent=TaskId("a b")), "parent"),
        (frames.Watch(), "either an id"),
        (frames.Watch(id=TaskId("t"), type="wc"), "either an id"),
        (frames.Watch(id=TaskId("t t")), "id"),
        (frames.Watch(type="w c"), "type"),
        (frames.Watch(parent=TaskId("p p")), "parent"),
        (frames.Unwatch(watch=""), "watch"),
        (
            frames.Fail(id=TaskId("t"), claim_epoch=1, usage=Usage(input_tokens=-1)),
            "usage.input_tokens",
        ),
        (NewMessage(to=TO, type=""), "type"),
        (NewMessage(to=TO, type="t", ttl_ms=0), "ttl_ms"),
        (NewMessage(to=TO, type="t", id=""), "id"),
        (NewMessage(to=TO, type="t", id="a\u2028b"), "id"),
        (NewMessage(to=Address(broadcast=False), type="t"), "to"),
        (NewMessage(to=Address(topic="a.*"), type="t"), "to.topic"),
        (hello(slots=-1), "slots"),
        (hello(namespace="A"), "namespace"),
        (hello(capabilities=(Capability(name="a"),) * 2), "capabilities"),
        (hello(capabilities=(Capability(name="a", weight=0),)), "weight"),
        (hello(capabilities=(Capability(name="a", weight=float("inf")),)), "weight"),
        (
            hello(capabilities=tuple(Capability(name=f"a{n}") for n in range(65))),
            "capabilities",
        ),
        (
            hello(agent=frames.AgentInfo(id=AgentId("a"), incarnation="x" * 300)),
            "agent.incarnation",
        ),
        (
            hello(resume=frames.Resume(session="s", token="t", epoch="e", last_seq=-1)),
            "resume.last_seq",
        ),
        (frames.Report(load=-0.1), "load"),
        (frames.Report(slots=10**9), "slots"),
        (frames.Report(usage=Usage(input_tokens=-1)), "usage.input_tokens"),
        (frames.Find(limit=0), "limit"),
        (frames.TaskQuery(limit=10**6), "limit"),
        (frames.Ack(), "inbox.ack"),
        (frames.Ack(seq=1, upto=1), "inbox.ack"),
        (frames.Credit(scope="inbox", n=-1), "n"),
        (frames.Progress(id=TaskId("t"), claim_epoch=1, pct=101), "pct"),
        (frames.Progress(id=TaskId("t"), claim_epoch=1, note="x" * 2000), "note"),
        (frames.Fail(id=TaskId("t t"), claim_epoch=1), "id"),
        (
            frames.Complete(
                id=TaskId("t"), claim_epoch=1, usage=Usage(cost_usd=float("inf"))
            ),
            "usage.cost_usd",
        ),
    ],
)
def test_what_makes_none_is_invalid_and_named(params: Any, member: str) -> None:
    with pytest.raises(Invalid) as raised:
        intake.check(params)

    assert member in raised.value.message


def test_a_payload_is_measured_as_json() -> None:
    intake.check_size("data", "é" * 4, 10)

    with pytest.raises(PayloadTooLarge) as raised:
        intake.check_size("data", "é" * 5, 10)
    assert raised.value.details == {"size": 12, "limit": 10}
    assert raised.value.remedy is not None


def test_a_payload_json_cannot_hold_is_invalid() -> None:
    with pytest.raises(Invalid):
        intake.check_size("data", {(1, 2): 3}, 100)
