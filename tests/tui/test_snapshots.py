"""Layout: every scene as it stands, in the sizes and themes that matter.

Behaviour is tested elsewhere; what a picture can't show (colours off, escapes, signals)
in a real terminal. After a wanted change: `pytest --snapshot-update`, and look.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.tui.scenes import SCENES, console, play

SMALL, USUAL, LARGE = (80, 24), (120, 40), (200, 60)
ELSEWHERE = (
    "splash-fail",
    "overview",
    "overview-lost",
    "overview-degraded",
    "agents",
    "tasks",
    "task",
    "help",
    "nodes",
    "nodes-one",
    "nodes-lost",
    "nodes-no-quorum",
    "nodes-cut",
    "nodes-fifty",
    "alerts",
    "alert",
    "alert-ack",
    "silences",
    "metrics",
    "audit",
    "overview-alerts",
)
CASES = [
    *((name, USUAL, "nexa-dark") for name in SCENES),
    *((name, SMALL, "nexa-dark") for name in ELSEWHERE),
    *((name, USUAL, "nexa-light") for name in ("splash-pass", "overview", "task")),
    ("overview", LARGE, "nexa-dark"),
    ("overview", (40, 12), "nexa-dark"),
    ("overview", USUAL, "ansi-16"),
    ("overview", USUAL, "monochrome"),
    *(("nodes-seven", size, "nexa-dark") for size in (LARGE, (40, 12))),
    ("nodes-fifty", LARGE, "nexa-dark"),
    *((name, LARGE, "nexa-dark") for name in ("alerts", "alert", "metrics", "audit")),
    *(
        (name, USUAL, theme)
        for name in ("alerts", "alert", "metrics")
        for theme in ("nexa-light", "monochrome")
    ),
    *(("nodes-seven", USUAL, one) for one in ("nexa-light", "ansi-16", "monochrome")),
    *(
        (name, size, theme)
        for name in ("messages", "logs")
        for size in (SMALL, USUAL, LARGE)
        for theme in ("nexa-dark", "nexa-light", "monochrome")
        if (size, theme) != (USUAL, "nexa-dark")
    ),
]


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    CASES,
    ids=[f"{name}-{size[0]}x{size[1]}-{theme}" for name, size, theme in CASES],
)
def test_scene(
    name: str, size: tuple[int, int], theme: str, snap_compare: Callable[..., bool]
) -> None:
    async def come_to_rest(pilot: Any) -> None:
        await play(pilot, name)

    app = console(name, theme=theme)

    assert snap_compare(app, terminal_size=size, run_before=come_to_rest)
