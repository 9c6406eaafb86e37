"""The board's rows: what waits for somebody, and what only says that it works."""

from nexa_node.contract.alerts import urgency
from nexa_tui.state.alerts import ALERTS, firing, handling, is_problem
from nexa_tui.state.listing import Look
from nexa_tui.state.store import ClusterState, apply
from tests.builders import NOW, snapshot
from tests.tui.alarms import ALERTS as BOARD, FIRING, alert

WATCHDOG = alert("NexaWatchdog", severity="none")
LOOK = Look(now=NOW)


def test_a_watchdog_asks_for_nothing_and_stands_last() -> None:
    assert not is_problem(WATCHDOG)
    assert handling(WATCHDOG, LOOK) == ("-", "muted")
    assert max([*BOARD, WATCHDOG], key=urgency) == WATCHDOG
    assert ALERTS.columns[0].cell(WATCHDOG, LOOK).text == "✓ firing"


def test_what_fires_is_counted_by_severity_without_what_is_silenced() -> None:
    state = apply(ClusterState(), snapshot(alerts=(*BOARD, WATCHDOG)), at=1.0)

    assert firing(state) == (
        ("critical", 1),
        ("error", 1),
        ("warning", 1),
        ("info", 1),
    )


def test_who_minds_it_is_told_with_how_long_they_will() -> None:
    words = {one.name: handling(one, LOOK)[0] for one in BOARD}

    assert words[FIRING.name] == "open"
    assert words["NexaTaskErrorRate"] == "ada 1h40m"
    assert words["NexaDiskAlmostFull"] == "unseen"
    assert words["NexaTaskQueueBacklog"] == "escalated"
    assert words["NexaStoreSlow"] == "silenced"
