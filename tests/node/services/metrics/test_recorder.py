"""What nodes measure: each knows it all, a dead one's past stays, nothing is invented."""

import asyncio

import msgspec
import pytest

from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.core.exposition import Gauge, Sample as Told
from nexa_node.core.history import TICK_MS, Sample
from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import Budget, Source
from nexa_node.core.promql.vectors import Vector
from nexa_node.services.metrics import recorder as module
from nexa_node.services.metrics.keeping import SPARE
from tests.fakes import settle
from tests.node.services.metrics.recorders import File, Net, Place

START = 1_760_000_400_000


def asked(source: Source, text: str, at_ms: int) -> dict[str, float]:
    """Values by `instance`, or by all labels."""
    found = evaluate(parse(text), source, steps_of(at_ms, at_ms, 1), Budget())
    assert isinstance(found, Vector)
    return {
        labels.get("instance", str(dict(labels))): float(row[0])
        for labels, row, there in zip(
            found.labels, found.values, found.present, strict=True
        )
        if there[0]
    }


async def tick(net: Net, at_ms: int, *names: str) -> None:
    """All nodes, or some, measure at the same moment; time for the grace passes."""
    net.clock.jump(at_ms / 1000 - net.clock.now().timestamp())
    places = [net.nodes[name] for name in names or net.nodes]
    tasks = [asyncio.ensure_future(one.recorder.tick(at_ms)) for one in places]
    await settle()
    if not all(task.done() for task in tasks):
        await net.clock.advance(2.0)
    await asyncio.gather(*tasks)


async def cluster(*names: str) -> Net:
    net = Net()
    for name in names:
        await Place(net, name).recorder.begin()
    return net


async def test_a_node_alone_records_what_it_reads() -> None:
    net = await cluster("alpha")
    for number in range(4):
        await tick(net, START + number * TICK_MS)
    it, now = net.nodes["alpha"], START + 3 * TICK_MS

    assert asked(it.recorder.local, "nexa_read_total", now) == {"alpha": 4.0}
    assert asked(it.recorder.cluster, 'up{job="nexa"}', now) == {"alpha": 1.0}
    assert it.times == [START + number * TICK_MS for number in range(4)]
    assert it.recorder.newest_ms == now
    assert it.recorder.series == 3


async def test_every_node_knows_what_all_measured() -> None:
    net = await cluster("alpha", "beta", "gamma")
    for number in range(4):
        await tick(net, START + number * TICK_MS)
    now = START + 3 * TICK_MS

    for place in net.nodes.values():
        found = asked(place.recorder.cluster, "nexa_read_total", now)
        assert found == {"alpha": 4.0, "beta": 4.0, "gamma": 4.0}
        assert asked(place.recorder.cluster, "sum(up)", now) == {"{}": 3.0}
        assert asked(place.recorder.local, "nexa_read_total", now) == {place.name: 4.0}


async def test_a_silent_node_is_down_and_its_past_is_still_there() -> None:
    net = await cluster("alpha", "beta")
    for number in range(3):
        await tick(net, START + number * TICK_MS)
    net.cut.add("beta")
    await tick(net, START + 3 * TICK_MS, "alpha")
    it, now = net.nodes["alpha"].recorder, START + 3 * TICK_MS

    assert asked(it.cluster, "up", now) == {"alpha": 1.0, "beta": 0.0}
    assert asked(it.cluster, "nexa_read_total", now) == {"alpha": 4.0}
    before = asked(it.cluster, "max_over_time(nexa_read_total[1m])", now)
    assert before == {"alpha": 4.0, "beta": 3.0}


async def test_one_whose_word_came_late_is_not_down() -> None:
    net = await cluster("alpha", "beta")
    await tick(net, START)
    await tick(net, START + TICK_MS, "alpha")
    it = net.nodes["alpha"].recorder
    assert asked(it.cluster, "up", START + TICK_MS) == {"alpha": 1.0, "beta": 0.0}

    await tick(net, START + TICK_MS, "beta")

    assert asked(it.cluster, "up", START + TICK_MS) == {"alpha": 1.0, "beta": 1.0}
    found = asked(it.cluster, "nexa_read_total", START + TICK_MS)
    assert found == {"alpha": 2.0, "beta": 2.0}


async def test_a_newcomer_asks_for_what_it_did_not_hear() -> None:
    net = await cluster("alpha")
    for number in range(40):
        await tick(net, START + number * TICK_MS)
    await Place(net, "beta").recorder.begin()
    await tick(net, START + 40 * TICK_MS)
    it = net.nodes["beta"].recorder

    await it.catch_up()
    await tick(net, START + 41 * TICK_MS)

    now = START + 41 * TICK_MS
    count = asked(it.cluster, "count_over_time(nexa_read_total[10m])", now)
    assert count == {"alpha": 42.0, "beta": 2.0}
    assert asked(it.cluster, "nexa_read_total", now) == {"alpha": 42.0, "beta": 2.0}


async def test_a_large_past_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 100)
    net = await cluster("alpha")
    await tick(net, START)
    await tick(net, START + TICK_MS)
    await Place(net, "beta").recorder.begin()
    await tick(net, START + 2 * TICK_MS)
    it = net.nodes["beta"].recorder

    await it.catch_up()

    found = asked(it.cluster, "nexa_read_total", START + TICK_MS)
    assert found == {"alpha": 2.0}


async def test_a_question_between_nodes_that_is_none_is_refused() -> None:
    net = await cluster("alpha")
    answer = net.nodes["alpha"].handlers[module.CALL]

    with pytest.raises(Invalid):
        await answer(b"?")
    with pytest.raises(Unavailable, match="newer"):
        await answer(msgspec.msgpack.encode({"tag": "older", "offset": 0}))


async def test_new_series_and_those_that_ended_are_told_on() -> None:
    net = await cluster("alpha", "beta")
    far, near = net.nodes["alpha"], net.nodes["beta"].recorder
    await tick(net, START)
    far.more = (Gauge("nexa_new", "New.", (Told(7),)),)
    await tick(net, START + TICK_MS)
    assert asked(near.cluster, "nexa_new", START + TICK_MS) == {"alpha": 7.0}

    far.more = ()
    await tick(net, START + 2 * TICK_MS)

    assert asked(near.cluster, "nexa_new", START + 2 * TICK_MS) == {}


async def test_a_node_whose_series_come_and_go_numbers_them_anew() -> None:
    net = await cluster("alpha", "beta")
    far, near = net.nodes["alpha"], net.nodes["beta"].recorder
    ticks = SPARE // 50 + 5
    for number in range(ticks):
        names = (Told(1, {"it": f"{number}-{one}"}) for one in range(50))
        far.more = (Gauge("nexa_churn", "Churn.", tuple(names)),)
        await tick(net, START + number * TICK_MS)
        await near.catch_up()
    now = START + (ticks - 1) * TICK_MS

    assert asked(near.cluster, "count(nexa_churn)", now) == {"{}": 50.0}
    assert asked(near.cluster, "nexa_read_total", now)["alpha"] == ticks


async def test_what_was_computed_is_seen_by_the_next_evaluation_and_by_others() -> None:
    net = await cluster("alpha", "beta")
    it, far = net.nodes["alpha"].recorder, net.nodes["beta"].recorder
    alert = {"__name__": "ALERTS", "alertname": "X", "alertstate": "firing"}
    await tick(net, START)
    it.record("group/x", [Sample(alert, 1.0, "gauge")], at_ms=START)
    assert len(asked(it.cluster, "ALERTS", START)) == 1

    await tick(net, START + TICK_MS)

    for one in (it, far):
        assert len(asked(one.cluster, "ALERTS", START + TICK_MS)) == 1
    assert asked(far.local, "ALERTS", START + TICK_MS) == {}
    it.record("group/x", [], at_ms=START + TICK_MS)
    assert asked(it.local, "ALERTS", START + TICK_MS) == {}


async def test_an_evaluator_that_is_gone_says_nothing_after_five_minutes() -> None:
    net = await cluster("alpha")
    it = net.nodes["alpha"].recorder
    alert = {"__name__": "ALERTS", "alertname": "X"}
    await tick(net, START)
    it.record("group/x", [Sample(alert, 1.0, "gauge")], at_ms=START)

    for number in range(1, 33):
        await tick(net, START + number * TICK_MS)

    assert asked(it.cluster, "ALERTS", START + 30 * TICK_MS)
    assert not asked(it.cluster, "ALERTS", START + 31 * TICK_MS)


async def test_what_several_record_alike_is_one_series() -> None:
    net = await cluster("alpha", "beta")
    alert = {"__name__": "ALERTS", "alertname": "NexaWatchdog"}
    for number in range(3):
        await tick(net, START + number * TICK_MS)
        for place in net.nodes.values():
            place.recorder.record(
                "group/self",
                [Sample(alert, 1.0, "gauge")],
                at_ms=START + number * TICK_MS,
            )

    found = asked(net.nodes["alpha"].recorder.cluster, "ALERTS", START + 2 * TICK_MS)
    assert list(found.values()) == [1.0]


async def test_history_outlives_the_process() -> None:
    net, file = Net(), File()
    before = Place(net, "alpha", file)
    await before.recorder.begin()
    for number in range(40):
        await tick(net, START + number * TICK_MS)
    await before.recorder.stop()

    after = Place(net, "alpha", file)
    await after.recorder.begin()
    await tick(net, START + 40 * TICK_MS)

    now = START + 40 * TICK_MS
    count = asked(after.recorder.local, "count_over_time(nexa_read_total[10m])", now)
    assert count == {"alpha": 41.0}
    resets = asked(after.recorder.local, "resets(nexa_read_total[10m])", now)
    assert resets == {"alpha": 1.0}


async def test_a_damaged_history_is_told_and_begun_anew() -> None:
    net, file = Net(), File()
    file.content = b"nexa-history\x01what is this"
    it = Place(net, "alpha", file)

    await it.recorder.begin()
    await tick(net, START)

    assert asked(it.recorder.local, "nexa_read_total", START) == {"alpha": 1.0}
    assert file.aside is not None
    assert [one.kind for one in it.journal.records] == ["metrics.history_lost"]


async def test_a_full_disk_is_told() -> None:
    net, file = Net(), File()
    it = Place(net, "alpha", file)
    await it.recorder.begin()
    await tick(net, START)
    file.full = True

    await it.recorder.stop()

    assert [one.kind for one in it.journal.records] == ["metrics.unsaved"]


async def test_the_offset_of_a_clock_is_that_to_the_median() -> None:
    net = await cluster("alpha", "beta", "gamma")
    it = net.nodes["alpha"].recorder
    await tick(net, START)
    now = net.clock.now().timestamp()
    told = it.clock_offset_s
    for name, sent in (("beta", now - 3), ("gamma", now - 3)):
        far = await tick_of(net, name)
        it.hear(msgspec.structs.replace(far, sent=sent))

    assert told == 0.0
    assert it.clock_offset_s == pytest.approx(3.0)


async def tick_of(net: Net, name: str) -> module.Tick:
    keeper = await net.nodes[name].recorder.keeper()
    return keeper.tick(START, keeper.measured((), START))


async def test_a_node_whose_clock_is_wrong_is_written_down_at_our_time() -> None:
    net = await cluster("alpha", "beta")
    it = net.nodes["alpha"].recorder
    now_ms = START + TICK_MS
    await tick(net, START)
    net.clock.jump(10)
    told = await tick_of(net, "beta")
    it.hear(msgspec.structs.replace(told, at_ms=now_ms + 86_400_000))
    net.cut.add("beta")

    await tick(net, now_ms, "alpha")

    assert asked(it.cluster, "up", now_ms) == {"alpha": 1.0, "beta": 1.0}


async def test_nothing_can_be_asked_before_anything_was_measured() -> None:
    it = Place(Net(), "alpha").recorder

    with pytest.raises(Unavailable, match="not measured"):
        await it.keeper()
    assert (it.series, it.newest_ms, it.dropped) == (0, None, 0)


async def test_the_loop_ticks_at_whole_moments_and_saves() -> None:
    net = Net()
    it = Place(net, "alpha")
    await it.recorder.begin()
    it.arrivals = nothing_arrives  # type: ignore[method-assign]
    loop = asyncio.ensure_future(it.recorder.run())
    await settle()
    await net.clock.advance(35)
    loop.cancel()

    assert len(it.times) >= 3
    assert all(at % TICK_MS == 0 for at in it.times)


async def nothing_arrives():  # type: ignore[no-untyped-def]
    await asyncio.get_running_loop().create_future()
    yield
