"""What is frozen when an alert fires, and what is added later."""

from datetime import timedelta

from nexa_node.contract.alerts import EvidenceLine
from tests import builders
from tests.alert_rig import AlertTown

RULES = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5 and on (queue) workers < 2
    labels: {severity: warning}
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
"""


async def fire(town: AlertTown) -> None:
    await town.pass_time(10)
    town.series('depth{queue="wc"}', *range(1, 8))
    town.series('depth{queue="sum"}', *[1.0] * 7)
    town.series('workers{queue="wc"}', *[1.0] * 7)
    for node in town.nodes.values():
        node.samples.tick(town.now_ms)
    await town.rest()


async def test_series_lines_tasks_and_a_profile_are_frozen_at_firing() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        now = town.clock.now()
        alpha.sight.events = (
            builders.event(kind="agent.lost", time=now + timedelta(seconds=5)),
            builders.event(kind="agent.old", time=now - timedelta(seconds=90)),
        )
        alpha.witness.lines = (
            EvidenceLine(time=now, severity="info", node="alpha", text="said"),
        )
        alpha.sight.tasks = (
            builders.summary("t-wait", status="pending"),
            builders.summary("t-bad", status="failed", finished=now),
            builders.summary("t-fine", status="completed", finished=now),
        )
        await fire(town)
        key = alpha.alert("Backlog").fingerprint
        found = (await alpha.desk.detail(key)).evidence

        assert found is not None
        assert not found.complete
        assert {one.labels["__name__"] for one in found.series} == {"depth", "workers"}
        assert {one.labels["queue"] for one in found.series} == {"wc"}
        depth = next(one for one in found.series if one.labels["__name__"] == "depth")
        assert depth.values == (1, 2, 3, 4, 5, 6, 7)
        texts = [line.text for line in found.lines]
        assert "said" in texts
        assert any("agent.lost" in text for text in texts)
        assert not any("agent.old" in text for text in texts)
        assert found.tasks == ("t-bad", "t-wait")
        assert found.profile == ("idle 100 %",)


async def test_a_quarter_of_an_hour_later_what_came_after_is_added_once() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await fire(town)
        key = alpha.alert("Backlog").fingerprint
        await alpha.evidences.complete(alpha.board.records())
        first = await alpha.evidences.of(key)
        assert first is not None
        assert not first.complete

        town.clock.jump(901)
        town.series('depth{queue="wc"}', *[9.0] * 90)
        await alpha.evidences.complete(alpha.board.records())
        whole = await alpha.evidences.of(key)
        assert whole is not None
        assert whole.complete
        (depth,) = [one for one in whole.series if "depth" in one.labels.values()]
        assert depth.values[:7] == (1, 2, 3, 4, 5, 6, 7)
        assert set(depth.values[7:]) == {9.0}
        assert list(depth.times) == sorted(set(depth.times))


async def test_the_node_that_an_alert_names_is_asked_what_it_saw() -> None:
    town = AlertTown(RULES.replace("depth > 5 and on (queue) workers < 2", "hot > 0"))
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        beta.witness.lines = (
            EvidenceLine(
                time=town.clock.now() + timedelta(seconds=9),
                severity="info",
                node="beta",
                text="beta said",
            ),
        )
        await town.pass_time(10)
        town.series('hot{instance="beta"}', 1)
        alpha.samples.tick(town.now_ms)
        await town.rest()
        found = await alpha.evidences.of(alpha.alert("Backlog").fingerprint)
        assert found is not None
        assert [line.text for line in found.lines] == ["beta said"]


async def test_the_watchdog_needs_no_evidence_and_a_store_that_is_away_breaks_nothing() -> (
    None
):
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await fire(town)
        assert set(town.store.evidence.bucket.entries) == {
            alpha.alert("Backlog").fingerprint
        }
        town.store.door.available = False
        detail = await alpha.desk.detail(alpha.alert("Backlog").fingerprint)
        assert detail.evidence is None
        assert detail.runbook == "# Backlog\n"
        town.store.door.available = True
