"""Reigns are read from nodes' logs, and end where a fault took the node away."""

import json
from pathlib import Path

from tests.system.chaos.controllers import Reign, read_log, reigns
from tests.system.chaos.windows import Struck


def log(path: Path, *lines: tuple[int, str, str]) -> Path:
    node = path.stem
    told = [
        json.dumps(
            {
                "time": f"1970-01-01T00:00:{second:02}Z",
                "event": event,
                "node": node,
                "message": f"{node} {words}",
            }
        )
        for second, event, words in lines
    ]
    path.write_text("\n".join([*told, '{"event":"controller.ch']))
    return path


def struck(kind: str, whom: str, began: float) -> Struck:
    return Struck(kind, whom, began, healed=began + 5, settled=began + 9)


def test_a_reign_ends_when_it_is_lost_or_the_node_begins_anew(tmp_path: Path) -> None:
    alpha = log(
        tmp_path / "alpha",
        (1, "controller.changed", "is the controller (fence 1)"),
        (5, "controller.lost", "is not the controller any more"),
        (6, "task.completed", "whatever"),
        (20, "controller.changed", "is the controller after beta (fence 12)"),
        (30, "node_running", ""),
    )
    beta = log(
        tmp_path / "beta", (8, "controller.changed", "is the controller (fence 7)")
    )

    found = reigns([read_log(alpha), read_log(beta)], [], 0.0)

    assert found == [
        Reign("alpha", 1, 1.0, 5.0),
        Reign("beta", 7, 8.0, float("inf")),
        Reign("alpha", 12, 20.0, 30.0),
    ]


def test_a_reign_ends_when_a_fault_takes_the_node_away(tmp_path: Path) -> None:
    beta = log(tmp_path / "beta", (8, "controller.changed", "is it (fence 7)"))
    faults = [
        struck("kill-node", "beta", 1),
        struck("cut", "beta", 2),
        struck("kill-both", "alpha", 3),
        struck("stop-node", "beta", 9),
    ]

    [found] = reigns([read_log(beta)], faults, ahead_s=5.0)

    assert found.ended == 14.0
    [stormy] = reigns([read_log(beta)], [struck("storm", "all", 6)], ahead_s=5.0)
    assert stormy.ended == 11.0


def test_a_node_without_a_log_was_never_one(tmp_path: Path) -> None:
    assert reigns([read_log(tmp_path / "nobody")], [], 0.0) == []
