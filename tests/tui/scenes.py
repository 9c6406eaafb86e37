"""Named states of the console: fixed clock, ids, host. Snapshots and screenshots are
made of these, so that what is shown is what is tested.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from textual.pilot import Pilot

from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import Unauthorized
from nexa_node.contract.events import Event, Snapshot
from nexa_node.contract.ids import AgentId
from nexa_node.contract.nodes import Cluster, HostSample, TaskCounts
from nexa_node.contract.tasks import Task, TaskSummary
from nexa_tui.actions import Keymap
from nexa_tui.app.console import Console
from nexa_tui.client.api import FeedNews, Lost, Received, Refused
from nexa_tui.client.clock import FixedClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.replay import Recorded, Replay
from nexa_tui.screens.dashboard import Dashboard
from nexa_tui.screens.session import Doors, Session
from nexa_tui.screens.splash import Splash
from nexa_tui.settings import ConsoleOptions, ConsoleSettings
from nexa_tui.theming import Terminal
from tests.builders import (
    NOW,
    agent,
    capability,
    check,
    cluster,
    event,
    node,
    node_status,
    sample,
    selftest,
    snapshot,
    summary,
    task,
)
from tests.tui import alarms, clusters, figures, traffic

URL = "http://127.0.0.1:6392"
TARGET = Target(url=URL, token="t", name="alpha", source="a scene", pid=4242)
AT = 1000.0
_QUESTIONS = frozenset(("metrics", "asked", "detail"))
Run = Callable[[Pilot[Any]], Awaitable[None]]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def history(count: int = 240) -> tuple[HostSample, ...]:
    """Eight minutes of a machine with something to do."""
    return tuple(_sample(n, ago(2 * (count - 1 - n))) for n in range(count))


def _sample(n: int, at: datetime) -> HostSample:
    wave = 0.42 + 0.22 * math.sin(n / 17) + 0.09 * math.sin(n / 3.1)
    burst = 0.25 if 170 < n < 196 else 0.0
    rate = 38 + 22 * math.sin(n / 13) + 8 * math.sin(n / 2.3) + 60 * burst
    return sample(
        time=at,
        cpu=min(0.98, wave + burst),
        memory=0.58,
        memory_bytes=9_900_000_000,
        memory_total_bytes=16_900_000_000,
        disk=0.41,
        disk_free_bytes=58_000_000_000,
        load_1m=0.82,
        net_rx_bytes_s=48_300.0,
        net_tx_bytes_s=121_900.0,
        rss_bytes=94_400_000,
        agents=12,
        tasks_pending=5,
        tasks_running=9,
        tasks_completed_s=max(0.0, rate),
        tasks_failed_s=0.0,
        messages_s=3.2,
        task_p50_ms=24.0,
        task_p99_ms=310.0,
    )


def idle(one: HostSample) -> HostSample:
    """The same machine with nothing to do."""
    return msgspec.structs.replace(
        one, cpu=0.03, tasks_completed_s=0.0, task_p50_ms=None, task_p99_ms=None
    )


def agents() -> tuple[Agent, ...]:
    kinds = ("wc", "grep", "sha256", "translate")
    made: list[Agent] = []
    for n in range(12):
        kind = kinds[n % 4]
        slots = 1 + n % 3
        inflight = (0, slots, 1, slots)[n % 4] if n != 7 else 0
        state = "idle" if not inflight else "busy" if inflight >= slots else "active"
        made.append(
            agent(
                f"{kind}-{1 + n // 4}",
                state=state,
                slots=slots,
                inflight=min(inflight, slots),
                capabilities=(capability(kind),),
                completed=40 * (n + 3) % 977,
                failed=n % 5 if n > 8 else 0,
                load=0.1 + 0.07 * n,
                version="1.4.2",
                since=ago(3600 + 61 * n),
            )
        )
    return tuple(made)


def tasks() -> tuple[TaskSummary, ...]:
    made: list[TaskSummary] = []
    texts = {"wc": "1482", "grep": "17 matches", "sha256": "9f86d081884c7d65",
             "translate": "Guten Morgen"}  # fmt: skip
    for n in range(40):
        kind = ("wc", "grep", "sha256", "translate")[n % 4]
        status = "completed"
        more: dict[str, Any] = {}
        if n < 5:
            status = "pending"
        elif n < 14:
            status = "running"
            more = {"note": f"file {n} of 40", "pct": n * 6.0}
        elif n in {17, 29}:
            status = "failed"
            more = {"error": {"message": "exit status 2: no such file"}}
        if status == "completed":
            more = {"result": texts[kind]}
        if status != "pending":
            more |= {
                "agent": AgentId(f"{kind}-{1 + n % 3}"),
                "started": ago(1.2 * n + 0.4),
                "attempts": 2 if n in {9, 29} else 1,
            }
        if status in {"completed", "failed"}:
            more["finished"] = ago(1.2 * n - 1)
        task_id = f"01jn8qk{(40 - n) * 7919 % 99991:05d}0000000{n:02d}kx{n:02d}"
        made.append(
            summary(
                task_id,
                type=kind,
                status=status,
                submitted=ago(1.3 * n + 0.8),
                priority="high" if n % 7 == 0 else "normal",
                **more,
            )
        )
    return tuple(made)


def happened() -> tuple[Event, ...]:
    told = (
        (3600, "node.started", "info", "node/alpha", "alpha started, store on disk"),
        (3540, "selftest.passed", "info", "node/alpha", "17 checks passed"),
        (3500, "agent.joined", "info", "agent/wc-1", "wc-1 joined with wc"),
        (3400, "agent.joined", "info", "agent/grep-1", "grep-1 joined with grep"),
        (900, "agent.lost", "warning", "agent/wc-2", "wc-2 is gone: no word for 12 s"),
        (899, "task.requeued", "warning", "task/01jn8qk0kx09",
         "task …kx09 back in the queue: its agent is gone"),
        (890, "agent.joined", "info", "agent/wc-2", "wc-2 joined with wc"),
        (34, "task.failed", "warning", "task/01jn8qk0kx29",
         "task …kx29 failed after 2 attempts: exit status 2: no such file"),
        (20, "task.failed", "warning", "task/01jn8qk0kx17",
         "task …kx17 failed: exit status 2: no such file"),
        (6, "task.completed", "info", "task/01jn8qk0kx14", "task …kx14 done by sha256-3"),
        (2, "task.completed", "info", "task/01jn8qk0kx15", "task …kx15 done by wc-1"),
    )  # fmt: skip
    return tuple(
        event(f"e{n:02d}", time=ago(s), kind=kind, severity=severity,
              subject=subject, message=message)
        for n, (s, kind, severity, subject, message) in enumerate(told)
    )  # fmt: skip


CHECKS: tuple[CheckResult, ...] = (
    check("machine.python", title="Python", detail="3.11.7, 64 bit", duration_ms=0.2),
    check("machine.cores", title="cores", detail="4 usable", duration_ms=0.1),
    check("machine.memory", title="memory", detail="6.9 GiB free of 15.7", duration_ms=0.3),
    check("machine.disk", title="disk space", detail="54.0 GiB free", duration_ms=0.2),
    check("machine.fsync", title="disk fsync", detail="0.3 ms median of 20",
          duration_ms=18.0),
    check("machine.clock", title="clock", detail="2026-03-01 12:00:00 UTC, synchronised",
          duration_ms=201.0),
    check("machine.locale", title="locale", detail="UTF-8, TERM=xterm-256color",
          duration_ms=0.1),
    check("machine.port", title="port", detail="127.0.0.1:6392 is free", duration_ms=0.2),
    check("machine.modes", title="file modes", detail="12 files, for this user alone",
          duration_ms=0.8),
    check("configuration.settings", title="settings",
          detail="nexa.toml: 4 set there, the rest default", duration_ms=0.1),
    check("node.binary", title="nats-server", detail="2.15.1, as it was shipped",
          duration_ms=9.0),
    check("node.start", title="starts", detail="a trial node, in a throw-away folder",
          duration_ms=412.0),
    check("node.store", title="store round trip",
          detail="synced write 1.9 ms, read 0.4 ms, compare-and-set 1.2 ms",
          duration_ms=12.0),
    check("node.rest", title="REST round trip", detail="3 calls in 9 ms",
          duration_ms=14.0),
    check("node.agents", title="agent WebSocket",
          detail="nexa.v1.json, round trip 0.8 ms", duration_ms=11.0),
    check("connectivity.api", title="api (http)", detail="200, TLS for 61 more days",
          duration_ms=38.0),
    check("connectivity.orders", title="orders (postgres)", detail="PostgreSQL 16.4",
          duration_ms=7.0),
    check("cluster.peers", title="peers", status="skipped", duration_ms=0.1,
          detail="one node: complete, and without fault tolerance"),
)  # fmt: skip
TIMEOUT = check(
    "connectivity.api", title="api (http)", status="fail", duration_ms=3000.0,
    detail="no answer within 3 s",
    cause="api.internal:443 accepts the connection and never answers",
    remedy="curl -v https://api.internal/health; or raise timeout_ms of [[check]] api",
)  # fmt: skip

REFUSED = check(
    "connectivity.orders", title="orders (postgres)", status="fail", duration_ms=19.0,
    detail=None, cause="connection refused: nothing listens on 10.0.0.7:5432",
    remedy="systemctl start postgresql there; or correct target of [[check]] orders",
)  # fmt: skip
BROKEN = tuple(
    {TIMEOUT.id: TIMEOUT, REFUSED.id: REFUSED}.get(one.id, one) for one in CHECKS
)


def picture(**overrides: Any) -> Snapshot:
    """A cluster at work."""
    counts = TaskCounts(
        pending=5, assigned=0, running=9, completed=18_204, failed=2, cancelled=1
    )
    fields: dict[str, Any] = {
        "node": node_status(started=ago(11_520), agents=12),
        "cluster": cluster(nodes=(node(started=ago(11_520), agents=12,
                                       host=history()[-1], rtt_ms=0.4),)),
        "agents": agents(),
        "tasks": tasks(),
        "counts": counts,
        "events": happened(),
        "history": history(),
        "selftest": selftest(*CHECKS, duration_ms=640.0),
    }  # fmt: skip
    return snapshot(**{**fields, **overrides})


def clustered(told: Cluster) -> Snapshot:
    """A cluster at work, its agents spread over the nodes that are there."""
    homes = [one for one in told.nodes if one.state == "running"]
    spread = [(one, homes[n % len(homes)].name) for n, one in enumerate(agents())]
    counts = Counter(home for _, home in spread)
    return picture(
        cluster=msgspec.structs.replace(
            told,
            nodes=tuple(
                msgspec.structs.replace(one, agents=counts[one.name])
                for one in told.nodes
            ),
        ),
        agents=tuple(msgspec.structs.replace(one, node=home) for one, home in spread),
        events=(*happened(), *shaped()),
    )


def shaped() -> tuple[Event, ...]:
    """What happened to the nodes of a cluster."""
    told = (
        (410, "node.joined", "info", "node/gamma", "gamma joined: 3 nodes, 3 copies"),
        (300, "controller.changed", "info", "node/beta", "beta is the controller"),
        (41, "node.suspect", "warning", "node/gamma", "gamma: no word for 1.5 s"),
    )
    return tuple(
        event(f"s{n:02d}", time=ago(s), kind=kind, severity=severity,
              subject=subject, message=message)
        for n, (s, kind, severity, subject, message) in enumerate(told)
    )  # fmt: skip


def whole_task(told: TaskSummary) -> Task:
    """The task that a detail view asks for."""
    more = {"labels": {"file": "README.md"}, "data": "@README.md", "agent": told.agent}
    return task(
        told.id, type=told.type, status=told.status, started=told.started,
        finished=told.finished, submitted=told.submitted, **more,
    )  # fmt: skip


EMPTY = picture(
    agents=(),
    tasks=(),
    counts=TaskCounts(),
    events=happened()[:2],
    history=tuple(idle(one) for one in history(3)),
)
DEGRADED = picture(
    cluster=cluster(
        verdict="degraded",
        reasons=(
            (
                "alpha: connectivity.api: api.internal:443 accepts the connection and"
                " never answers"
            ),
            (
                "alpha: connectivity.orders: connection refused: nothing listens on"
                " 10.0.0.7:5432"
            ),
            "alpha: 812 MiB are free on the disk of the state folder",
        ),
        nodes=(node(health="degraded", reasons=("812 MiB are free",),
                    started=ago(11_520), host=history()[-1]),),
    ),
    selftest=selftest(*BROKEN, status="fail"),
)  # fmt: skip
EVIL = "\x1b]52;c;eA==\x07\u202eevil[/bold]\x1b[2J"
HOSTILE = picture(
    agents=(
        agent(EVIL, name=EVIL, capabilities=(Capability(name=EVIL),)),
        agent("[link=file:///x]", version="\x9b31m"),
    ),
    tasks=(summary(EVIL, type=EVIL, status="running", note=EVIL),),
    events=(event(message=EVIL, kind=EVIL),),
)


@dataclass(frozen=True)
class Scene:
    """What is known, how it came, and what was pressed."""

    news: tuple[FeedNews, ...] = ()
    checks: tuple[CheckResult, ...] = CHECKS
    splash: bool = False
    node: bool = True
    keys: tuple[str, ...] = ()
    age_s: float = 0.4
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    hold_checks: bool = False
    home: str = "/nonexistent"


def heard(told: Snapshot) -> tuple[FeedNews, ...]:
    return (Received(told, AT),)


LOST = Lost(
    "nothing listens there any more (connection refused)", "nexa node start",
    AT + 17.0, 3,
)  # fmt: skip
HALF = (
    *(check(c.id, title=c.title, detail=c.detail, duration_ms=c.duration_ms)
      for c in CHECKS[:10]),
    check("node.binary", title="nats-server", status="running", duration_ms=None,
          detail=None),
    *(check(c.id, title=c.title, status="pending", duration_ms=None, detail=None)
      for c in CHECKS[11:]),
)  # fmt: skip

SCENES: Mapping[str, Scene] = {
    "splash-running": Scene(splash=True, node=False, checks=HALF, hold_checks=True),
    "splash-pass": Scene(splash=True, node=False),
    "splash-fail": Scene(
        splash=True, node=False,
        checks=BROKEN,
    ),
    "overview": Scene(heard(picture())),
    "overview-alerts": Scene(heard(picture(alerts=alarms.ALERTS))),
    "overview-empty": Scene(heard(EMPTY)),
    "overview-no-node": Scene(node=False),
    "overview-degraded": Scene(heard(DEGRADED)),
    "attach": Scene(node=False, keys=("a", *"box:7005", "enter", *"secret")),
    "overview-lost": Scene((*heard(picture()), LOST), age_s=12.0),
    "overview-stale": Scene(heard(picture()), age_s=9.0),
    "overview-refused": Scene(
        (Refused(Unauthorized("the token is unknown or has expired",
                              remedy="nexa login, or set NEXA_TOKEN_FILE")),)
    ),
    "overview-maximised": Scene(heard(picture()), keys=("z",)),
    "nodes": Scene(heard(clustered(clusters.THREE)), keys=("2", "j")),
    "nodes-one": Scene(heard(clustered(clusters.ONE)), keys=("2",)),
    "nodes-two": Scene(heard(clustered(clusters.TWO)), keys=("2",)),
    "nodes-lost": Scene(heard(clustered(clusters.LOST)), keys=("2", "G")),
    "nodes-no-quorum": Scene(heard(clustered(clusters.NO_QUORUM)), keys=("2",)),
    "nodes-seven": Scene(heard(clustered(clusters.SEVEN)), keys=("2", "G")),
    "nodes-cut": Scene(heard(clustered(clusters.CUT)), keys=("2",)),
    "nodes-fifty": Scene(heard(clustered(clusters.FIFTY)), keys=("2",)),
    "node": Scene(heard(clustered(clusters.SEVEN)), keys=("2", "j", "j", "enter")),
    "agents": Scene(heard(picture()), keys=("3",)),
    "agents-filtered": Scene(
        heard(picture()), keys=("3", "slash", *"wc !busy", "enter")
    ),
    "agents-lost": Scene((*heard(picture()), LOST), keys=("3",), age_s=12.0),
    "tasks": Scene(heard(picture()), keys=("4",)),
    "tasks-problems": Scene(heard(picture()), keys=("4", "exclamation_mark")),
    "task": Scene(heard(picture()), keys=("4", "down", *"jjjjjjjjjjjjjjjj", "enter")),
    "agent": Scene(heard(picture()), keys=("3", "enter")),
    "events": Scene(heard(picture()), keys=("8", "right_square_bracket")),
    "messages": Scene(heard(picture()), keys=("5",)),
    "message": Scene(heard(picture()), keys=("5", "enter")),
    "message-send": Scene(heard(picture()), keys=("5", "n")),
    "dead-letters": Scene(heard(picture()), keys=("5", "left_square_bracket")),
    "redrive": Scene(heard(picture()), keys=("5", "left_square_bracket", "r")),
    "topics": Scene(heard(picture()), keys=("5", "right_square_bracket")),
    "logs": Scene(heard(picture()), keys=("8",)),
    "logs-problems": Scene(heard(picture()), keys=("8", "exclamation_mark")),
    "log-line": Scene(heard(picture()), keys=("8", "exclamation_mark", "g", "enter")),
    "columns": Scene(heard(picture()), keys=("3", "c")),
    "alerts": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6",)),
    "alerts-none": Scene(heard(picture()), keys=("6",)),
    "alert": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", "enter")),
    "alert-ack": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", "a")),
    "alert-silence": Scene(
        heard(picture(alerts=alarms.ALERTS)),
        keys=("6", "m", "enter", "enter", *"planned", "enter"),
    ),
    "silences": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", "right_square_bracket")),
    "alert-history": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", *("right_square_bracket",) * 2)),
    "rules": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", "left_square_bracket")),
    "rule": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("6", "left_square_bracket", "enter")),
    "audit": Scene(heard(picture()), keys=("9",)),
    "tokens": Scene(heard(picture()), keys=("9", "right_square_bracket")),
    "roles": Scene(heard(picture()), keys=("9", *("right_square_bracket",) * 2)),
    "namespaces": Scene(heard(picture()), keys=("9", "left_square_bracket")),
    "settings": Scene(heard(picture()), keys=("f2",)),
    "clusters-none": Scene(heard(picture()), keys=("0",)),
    "metrics": Scene(heard(picture(alerts=alarms.ALERTS)), keys=("7",)),
    "metrics-hair": Scene(
        heard(picture(alerts=alarms.ALERTS)), keys=("7", "j", "j", "z", *("left",) * 30)
    ),
    "metrics-ask": Scene(heard(picture()), keys=("7", "slash")),
    "help": Scene(heard(picture()), keys=("4", "question_mark")),
    "palette": Scene(heard(picture()), keys=("colon", *"task")),
    "themes": Scene(heard(picture()), keys=("t",)),
    "quit": Scene(heard(picture()), keys=("q",)),
    "cancel": Scene(heard(picture()), keys=("4", *"jjjjjjj", "X")),
    "hostile": Scene(heard(HOSTILE), keys=("3",)),
    "read-only": Scene(heard(picture()), keys=("4",), options={"read_only": True}),
}  # fmt: skip


def console(
    name: str | Scene, *, theme: str = "nexa-dark", ascii_only: bool = False
) -> Console:
    """Make the console of a scene, without a terminal and without a node."""
    scene = SCENES[name] if isinstance(name, str) else name
    clock = FixedClock(NOW, monotonic=AT + (scene.age_s if scene.node else 0.0))

    async def check_here(_only: str | None) -> AsyncIterator[CheckResult]:
        for one in scene.checks:
            yield one
        while scene.hold_checks:
            import asyncio

            await asyncio.sleep(3600)

    whole = tuple(whole_task(one) for one in tasks())
    doors = Doors(
        clock,
        lambda target: Replay(
            target,
            news=scene.news,
            recorded=Recorded(
                checks=scene.checks,
                tasks=whole,
                alerts=alarms.RECORDED,
                silences=alarms.SILENCES,
                rules=alarms.RULES,
                audit=alarms.AUDIT,
                tokens=alarms.TOKENS,
                roles=alarms.ROLES,
                namespaces=alarms.NAMESPACES,
                logs=traffic.LOGS,
                posted=traffic.POSTED,
                dead=traffic.DEAD,
                series=figures.RECORDED,
            ),
        ),
        check_here,
    )
    options = ConsoleOptions(
        remembers=False,
        environ={"NEXA_HOME": scene.home},
        theme=theme,
        no_splash=not scene.splash,
        **scene.options,
    )
    session = Session(options, doors, Keymap())
    if scene.node:
        session.attach(TARGET)
    return Console(session, ConsoleSettings(), terminal=Terminal(ascii_only=ascii_only))


async def play(pilot: Pilot[Any], name: str) -> None:
    """Let the scene come to where it stands still."""
    await pilot.pause()
    await pilot.pause()
    await _rest(pilot)
    for key in SCENES[name].keys:
        await pilot.press(key)
        await _rest(pilot)


async def _rest(pilot: Pilot[Any]) -> None:
    """Wait until nothing moves: a layout, or a question, may follow from what was drawn."""
    before, now = None, _drawn(pilot)
    while now != before or _asks(pilot):
        for screen in pilot.app.screen_stack:
            if isinstance(screen, Splash | Dashboard):
                screen.refresh_view()
        await pilot.pause()
        before, now = now, _drawn(pilot)


def _asks(pilot: Pilot[Any]) -> bool:
    return any(
        one.group in _QUESTIONS and not one.is_finished for one in pilot.app.workers
    )


def _drawn(pilot: Pilot[Any]) -> list[str]:
    strips = pilot.app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]  no public way
    return [strip.text for strip in strips]
