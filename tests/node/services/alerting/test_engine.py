"""An alert's life on one node, by a clock that the test moves."""

from datetime import timedelta

import pytest

from nexa_node.contract.alerts import NewAck
from tests.alert_rig import AlertTown

RULES = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5
    for: 20s
    keep_firing_for: 20s
    labels: {severity: warning}
    annotations:
      summary: '{{ $value }} wait'
  - record: depth:double
    expr: depth * 2
"""


async def test_an_alert_goes_from_pending_to_firing_recovering_and_over() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(depth=3)
        assert alpha.alerts() == []

        await town.tick(depth=7)
        first = alpha.alert("Backlog")
        assert (first.state, first.value, first.group) == ("pending", 7, "queues")

        await town.tick(2, depth=8)
        fired = alpha.alert("Backlog")
        assert (fired.state, fired.times, fired.since) == ("firing", 1, first.since)
        assert fired.fired == first.since + timedelta(seconds=20)
        assert fired.annotations["summary"] == "8 wait"

        await town.tick(depth=1)
        assert alpha.states() == {"Backlog": "recovering"}

        await town.tick(2, depth=1)
        over = alpha.alert("Backlog")
        assert (over.state, over.unseen) == ("resolved", True)
        kinds = [kind for kind in alpha.journal.kinds() if kind.startswith("alert.")]
        assert kinds == ["alert.fired", "alert.resolved"]
        assert [line.change for line in town.store.alert_log.lines] == [
            "pending",
            "firing",
            "recovering",
            "resolved",
        ]


async def test_what_pended_and_went_leaves_nothing() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        await town.tick(depth=1)

        assert alpha.alerts() == []
        assert town.store.alerts.bucket.entries == {}
        assert alpha.changed()[-1][1] == "gone"


async def test_an_acknowledged_alert_leaves_the_board_when_it_is_over() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(3, depth=7)
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(note="mine"), by="ann")
        await town.tick(4, depth=1)
        assert alpha.alert("Backlog").unseen is False

        town.clock.jump(320)
        await town.pass_time(12)
        assert alpha.alerts() == []


async def test_what_a_rule_records_is_published_and_read_by_the_next_evaluation() -> (
    None
):
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(3, depth=7)

        told = {
            labels["__name__"]: value
            for points in alpha.samples.recorded.values()
            for labels, value in points
        }
        assert told["depth:double"] == 14
        assert told["ALERTS"] == 1


async def test_a_fault_of_ours_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nexa_node.core.alerting import evaluation

    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(3, depth=7)

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a fault of ours")

        with monkeypatch.context() as patched:
            patched.setattr(evaluation, "evaluate_group", broken)
            await town.tick(depth=1)
        assert alpha.states()["Backlog"] == "firing"
        failing = [one for one in alpha.alerts() if one.name == "NexaRuleFailing"]
        assert {one.labels["rule"] for one in failing} == {
            "queues/Backlog",
            "queues/depth:double",
        }
        assert "a fault of ours" in failing[0].annotations["description"]

        with monkeypatch.context() as patched:
            patched.setattr(alpha.engine._keeper, "settle", broken)
            await town.tick(depth=1)
        assert alpha.engine.figures.faults >= 1
        await town.tick(depth=1)
        assert alpha.states()["Backlog"] == "recovering"
