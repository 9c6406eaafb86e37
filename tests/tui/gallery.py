"""Every widget on one page, to be looked at.

python tests/tui/gallery.py OUT_FOLDER [theme …]      SVG pictures in several sizes
python tests/tui/gallery.py                           to walk around in
"""

import asyncio
import math
import os
import sys
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parents[2]))

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from nexa_tui.state.severity import mark
from nexa_tui.theming import Terminal
from nexa_tui.widgets.chart import Chart
from nexa_tui.widgets.checks import CheckLine, Checks
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.confirm import Confirm
from nexa_tui.widgets.dressed import DressedApp
from nexa_tui.widgets.filterbar import FilterBar
from nexa_tui.widgets.loglines import LogLine, LogLines
from nexa_tui.widgets.meter import Meter
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.statusbar import KeyBar, KeyHint, Standing, TopBar
from nexa_tui.widgets.table import Row, Table

AGENT_COLUMNS = (
    Column("state", "state", 13),
    Column("id", "agent", 14, flexible=2),
    Column("can", "can do", 12, flexible=2),
    Column("slots", "slots", 6, "right"),
    Column("done", "done", 6, "right"),
    Column("failed", "failed", 6, "right", priority=1),
    Column("load", "load", 5, "right", priority=2),
    Column("since", "since", 7, "right", priority=1),
    Column("node", "node", 10, priority=2),
    Column("version", "version", 9, priority=3),
)
STATES = ("error", "draining", "busy", "active", "idle", "idle", "offline")
KEYS = (
    KeyHint("enter", "details"), KeyHint("/", "filter"), KeyHint("s", "sort"),
    KeyHint("!", "problems"), KeyHint("x", "actions"), KeyHint(":", "command"),
    KeyHint("?", "help"),
)  # fmt: skip
STANDING = Standing(
    cluster="prod", node="alpha", identity="token:k3v9", role="operator",
    read_only=True, feed="live", age_s=1.2, alerts=(("critical", 2), ("warning", 5)),
)  # fmt: skip
CHECKS = (
    CheckLine("a", "this machine", "Python", "pass", 0.4, "3.11.7, cpython"),
    CheckLine("b", "this machine", "disk", "pass", 3.1, "41.2 GiB free, fsync 0.3 ms"),
    CheckLine("c", "this machine", "clock", "warn", 12, "1.4 s ahead of its peers",
              "The clock of this machine runs ahead of beta's by 1.4 s; ages are wrong "
              "by as much.", "timedatectl set-ntp true"),
    CheckLine("d", "configuration", "settings", "pass", 1.9, "defaults, 2 from file"),
    CheckLine("e", "node", "nats-server", "pass", 44, "2.15.1, hash matches"),
    CheckLine("f", "node", "store round trip", "pass", 12, "replicated, fsync 0.3 ms"),
    CheckLine("g", "node", "agent WebSocket", "running", 2300, ""),
    CheckLine("h", "connectivity", "postgres orders", "fail", 5000, "time-out",
              "No answer from db.internal:5432 within 5 s.",
              "nexa config show check.orders; then check the firewall"),
    CheckLine("i", "connectivity", "tls example.org", "skipped", None, "not asked for"),
    CheckLine("j", "cluster", "quorum margin", "pending"),
)  # fmt: skip


def agent_row(number: int, *, ascii_only: bool = False) -> Row:
    state = STATES[number * 7 % 13 % len(STATES)]
    shown = mark("agent", state, ascii_only=ascii_only)
    failed = number * 3 % 5
    return Row(
        f"wc-{number}",
        (
            (shown.text, shown.style),
            (f"wc-{number}", "strong"),
            ("wc, translate" if number % 3 else "结果分析, résumé", "text"),
            (f"{number % 5}/4", "accent" if number % 5 == 4 else "text"),
            (f"{number * 37 % 1999}", "text"),
            (f"{failed}", "warn" if failed > 3 else "muted"),
            (f"{number * 13 % 100}%", "text"),
            (f"{number % 60}m{number * 7 % 60:02}s", "muted"),
            (("alpha", "beta", "gamma")[number % 3], "muted"),
            ("1.4.2", "muted"),
        ),
    )


def log_line(number: int) -> LogLine:
    severity = ("info", "info", "debug", "warning", "info", "critical")[number % 6]
    shown = mark("event", severity)
    words = {
        "info": "task 01jabc completed in 41 ms",
        "debug": "sampled",
        "warning": "agent wc-7 missed two beats",
        "critical": "node gamma is unreachable: connection refused",
    }[severity]
    return LogLine(
        str(number), f"14:03:{number % 60:02}", shown.glyph, shown.style,
        f"agent/wc-{number}", words,
    )  # fmt: skip


class Gallery(DressedApp[None]):
    BINDINGS: ClassVar = [
        ("t", "next_theme", "Theme"),
        ("c", "ask", "Ask"),
        ("f", "find", "Find"),
        ("q", "quit", "Quit"),
    ]
    CSS = """
    #left { width: 3fr; }
    #right { width: 2fr; }
    #meters { height: 6; }
    #agents { height: 2fr; }
    #flow { height: 9; }
    .-low #flow, .-narrow #flow { height: 5; }
    """

    def compose(self) -> ComposeResult:
        yield TopBar()
        with Horizontal():
            with Vertical(id="left"):
                with Panel(title="Agents", key="3", id="agents"):
                    yield Table(AGENT_COLUMNS, id="table")
                    yield FilterBar(keys=("state", "agent"))
                with Panel(title="Events", key="5"):
                    yield LogLines()
            with Vertical(id="right"):
                with Panel(title="alpha", key="2", id="meters"):
                    for label in ("cpu", "memory", "disk", "loop"):
                        yield Meter(label, note_width=15, id=f"m-{label}")
                with Panel(title="Throughput", id="flow"):
                    yield Chart(id="chart")
                with Panel(title="Self-test", key="1"):
                    yield Checks()
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(TopBar).show(STANDING)
        self.query_one(KeyBar).show(KEYS)
        self.fill()
        self.query_one(Table).focus()

    def fill(self) -> None:
        ascii_only = self.terminal.ascii_only
        table = self.query_one(Table)
        rows = [agent_row(n, ascii_only=ascii_only) for n in range(1, 120)]
        table.update_rows(rows)
        table.sorted_by("state")
        self.query_one("#agents", Panel).say(
            count="119", info=[("by state", "muted"), ("2s", "muted")],
            note=[("/wc", "accent"), ("12 of 119", "muted")],
        )  # fmt: skip
        self.query_one(LogLines).update_lines([log_line(n) for n in range(40)])
        notes = (
            ("cpu", 0.42, "load 0.82"), ("memory", 0.71, "9.3 of 15.6 GiB"),
            ("disk", 0.93, "12.1 GiB free"), ("loop", 0.02, "0.8 ms late"),
        )  # fmt: skip
        for label, value, note in notes:
            self.query_one(f"#m-{label}", Meter).show(value, note)
        samples = [
            None if 70 < n < 76 else 40 + 30 * math.sin(n / 9) + 14 * math.sin(n / 2.3)
            for n in range(240)
        ]
        self.query_one("#chart", Chart).show(samples, [(s or 0) / 2 for s in samples])
        self.query_one("#flow", Panel).say(info=[("62.0/s", "strong"), ("in", "muted")])
        self.query_one(Checks).update_checks(CHECKS)
        self.query_one(Checks).focus_check("h")

    def action_next_theme(self) -> None:
        names = self.themes.names()
        self.wear(names[(names.index(self.theme) + 1) % len(names)])

    def action_find(self) -> None:
        self.query_one(FilterBar).open()

    def action_ask(self) -> None:
        self.push_screen(
            Confirm(
                title="Stop a node", target="node alpha of cluster prod",
                effects=(
                    "3 tasks in flight are given to other agents.",
                    "Quorum: 2 of 3 stay. Lose one more and writes stop.",
                ),
                verb="Stop alpha", type_name="alpha",
            )
        )  # fmt: skip


async def picture(
    folder: Path, name: str, theme: str, size: tuple[int, int], keys: str, **how: object
) -> None:
    app = Gallery(theme=theme, terminal=Terminal(**how))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        if keys:
            await pilot.press(*keys.split())
            await pilot.pause()
        app.save_screenshot(f"{name}.svg", path=str(folder))


async def pictures(folder: Path, themes: list[str]) -> None:
    for theme in themes:
        await picture(folder, f"{theme}-80x24", theme, (80, 24), "j j")
        await picture(folder, f"{theme}-120x40", theme, (120, 40), "j j")
    if themes:
        await picture(folder, "ask", themes[0], (80, 24), "c")
        await picture(folder, "filter", themes[0], (80, 24), "f w c space r e : [")
        await picture(folder, "ascii", themes[0], (100, 30), "j", ascii_only=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        target = Path(sys.argv[1])
        target.mkdir(parents=True, exist_ok=True)
        no_colour = bool(os.environ.get("NO_COLOR"))
        asyncio.run(pictures(target, sys.argv[2:] or list(Gallery().themes.names())))
    else:
        Gallery().run()
