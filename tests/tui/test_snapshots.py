"""Layout: every scene as it stands, in the sizes and themes that matter.

Behaviour is tested elsewhere; what a picture can't show (colours off, escapes, signals)
in a real terminal. After a wanted change: `pytest --snapshot-update`, and look.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.tui.scenes import SCENES, console, play

SMALL, USUAL, LARGE = (80, 24), (120, 40), (200, 60)
SCREENS = (
    "splash-pass",
    "overview",
    "nodes-seven",
    "agents",
    "tasks",
    "messages",
    "alerts",
    "metrics",
    "logs",
    "audit",
)
"""What there is a key for, in every size and theme; the rest where it may not fit."""
SMALL_TOO = (
    "splash-fail",
    "overview-lost",
    "overview-degraded",
    "overview-alerts",
    "task",
    "help",
    "nodes-one",
    "nodes-lost",
    "nodes-no-quorum",
    "nodes-cut",
    "nodes-fifty",
    "alert",
    "alert-ack",
    "silences",
    "settings",
    "tokens",
)
CASES = dict.fromkeys(
    (
        *((name, USUAL, "nexa-dark") for name in SCENES),
        *(
            (name, size, theme)
            for name in SCREENS
            for size in (SMALL, USUAL, LARGE)
            for theme in ("nexa-dark", "nexa-light", "monochrome")
        ),
        *((name, SMALL, "nexa-dark") for name in SMALL_TOO),
        *(
            (name, USUAL, theme)
            for name in ("task", "alert")
            for theme in ("nexa-light", "monochrome")
        ),
        *((name, LARGE, "nexa-dark") for name in ("alert", "nodes-fifty")),
        *((name, USUAL, "ansi-16") for name in ("overview", "nodes-seven")),
        *((name, (40, 12), "nexa-dark") for name in ("overview", "nodes-seven")),
    )
)


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
