"""Coming back to a console: what changed meanwhile."""

from datetime import timedelta
from pathlib import Path

from nexa_node.contract.events import AlertChanged
from nexa_tui.client.api import Received
from nexa_tui.client.seen import keep_seen, read_seen
from nexa_tui.screens.returning import IDLE_S, KEEP_S
from nexa_tui.state.away import Seen
from tests.builders import NOW
from tests.tui.alarms import FIRING
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import Stage


def name_of(stage: Stage) -> str:
    known = stage.session.state.cluster
    assert known is not None
    return known.name


async def test_the_first_time_nothing_is_told_and_the_end_keeps_what_was_seen(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.until(lambda: stage.session.state.cluster)
        await hand.press("w")
        await hand.until_told("for the first time")
        name = name_of(stage)

    (kept,) = read_seen({"NEXA_HOME": str(tmp_path)}, name, list[Seen]) or [None]
    assert kept is not None
    assert kept.nodes


async def test_who_comes_back_is_told_in_one_sentence_and_w_tells_all(
    tmp_path: Path,
) -> None:
    stage = Stage(Received(picture(alerts=(FIRING,)), AT), home=tmp_path)
    shown = picture()
    ids = tuple(str(one.id) for one in shown.cluster.nodes)
    before = Seen(NOW - timedelta(hours=9), nodes=("alpha", "lost-1"), ids=ids)
    namesake = Seen(NOW - timedelta(hours=2), nodes=("else-1",), ids=("other",))
    environ = {"NEXA_HOME": str(tmp_path)}
    keep_seen(environ, shown.cluster.name, [namesake, before])
    async with stage.open() as hand:
        await hand.until_told("1 new alert")
        assert any("1 node gone" in one for one in hand.told())

        await hand.press("w")
        await hand.until_seen("While you were away", FIRING.name, "gone: lost-1")
        await hand.press("escape")
        assert hand.top == "Dashboard"

    kept = read_seen(environ, shown.cluster.name, list[Seen]) or []
    assert [one.ids for one in kept] == [ids, ("other",)]
    assert kept[0].time > before.time


async def test_a_cluster_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    stage = Stage(Received(picture(alerts=(FIRING,)), AT), home=tmp_path)
    namesake = Seen(NOW - timedelta(hours=2), nodes=("else-1",), ids=("other",))
    name = picture().cluster.name
    keep_seen({"NEXA_HOME": str(tmp_path)}, name, [namesake])
    async with stage.open() as hand:
        await hand.press("w")
        await hand.until_told("for the first time")


async def test_who_only_sat_there_is_told_at_the_next_key(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        stage.tell(AlertChanged(seq=2, time=NOW, alert=FIRING))
        await hand.until(lambda: FIRING.fingerprint in stage.session.state.alerts)
        assert not any("away" in one for one in hand.told())

        stage.clock.seconds += IDLE_S + 1
        await hand.press("1")
        await hand.until_told("1 new alert")


async def test_what_is_seen_is_written_while_somebody_works(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        stage.clock.seconds += KEEP_S + 1
        await hand.until(
            lambda: read_seen({"NEXA_HOME": str(tmp_path)}, name_of(stage), list[Seen])
        )


async def test_a_replay_is_nobodys_memory(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, replay=tmp_path / "incident.nexarec")
    async with stage.open() as hand:
        await hand.press("3")

    assert not list(tmp_path.rglob("seen/*"))
