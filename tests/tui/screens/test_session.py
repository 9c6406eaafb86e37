"""The console's work without a terminal: attach, hear, check, pause, refuse."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import Forbidden, NexaError, Unauthorized
from nexa_node.contract.events import AgentChanged
from nexa_tui.actions import BY_ID, Keymap
from nexa_tui.client.api import Connecting, FeedNews, Lost, Received, Refused
from nexa_tui.client.clock import FixedClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.replay import Recorded, Replay
from nexa_tui.screens.session import Doors, Session
from nexa_tui.settings import ConsoleOptions
from nexa_tui.state.store import Denied, Gone, Live, NoNode, Opening
from tests.builders import NOW, agent, check, node_status, selftest, snapshot

TARGET = Target(url="http://127.0.0.1:6392", token="t", name="alpha", source="a test")


class Forbidding(Replay):
    async def selftest(self, *, only: str | None = None) -> AsyncIterator[CheckResult]:
        raise Forbidden("auditors may not run it")
        yield check()


def session(
    *news: FeedNews, replay: type[Replay] = Replay, options: Any = None, **told: Any
) -> Session:
    async def here(only: str | None) -> AsyncIterator[CheckResult]:
        yield check("machine.disk", status="running", duration_ms=None)
        yield check("machine.disk")
        if only == "broken":
            raise NexaError("the self-test could not run: no python")

    clock = FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    doors = Doors(clock, lambda target: replay(target, news=news, **told), here)
    return Session(options or ConsoleOptions(environ={}), doors, Keymap())


async def heard(one: Session, condition: Any) -> Session:
    one.attach(TARGET)
    task = asyncio.ensure_future(one.watch())
    async with asyncio.timeout(5):
        while not condition(one):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return one


def live(one: Session) -> bool:
    return isinstance(one.state.link, Live)


async def test_the_first_frame_is_seen_at_once_a_burst_waits() -> None:
    seen: list[int] = []
    frames = [
        Received(AgentChanged(seq=n, time=NOW, agent=agent(f"a-{n}")), 1.0)
        for n in range(1, 4)
    ]
    one = session(Received(snapshot(), 1.0), *frames)
    one.on_news = lambda: seen.append(len(one.state.agents))
    await heard(one, lambda it: len(it._pending) == 3)

    assert seen == [1]
    one.take_in()
    assert len(one.state.agents) == 4


async def test_news_of_the_connection_become_its_link() -> None:
    lost = Lost("broke", "nexa node start", 1010.0, 1)
    one = await heard(
        session(Connecting(TARGET, 0), Received(snapshot(), 1.0), lost),
        lambda it: isinstance(it.state.link, Gone),
    )

    assert one.state.cluster is not None
    one.detach()
    assert isinstance(one.state.link, NoNode)
    assert one.target is None
    await one.watch()


async def test_a_refusal_ends_the_watch_and_is_kept() -> None:
    one = await heard(
        session(Refused(Unauthorized("wrong token"))),
        lambda it: isinstance(it.state.link, Denied),
    )

    assert isinstance(one.state.link, Denied)


async def test_turning_to_another_node_forgets_the_first() -> None:
    one = await heard(session(Received(snapshot(), 1.0)), live)
    one.pause()
    one.attach(TARGET)

    assert isinstance(one.state.link, Opening)
    assert not one.paused
    assert one.state.empty


async def test_the_connections_to_a_node_that_was_left_are_closed() -> None:
    made: list[Replay] = []
    one = session(Received(snapshot(), 1.0))
    connect = one._doors.connect
    one._doors.connect = lambda target: made.append(connect(target)) or made[-1]  # type: ignore[func-returns-value,return-value]  # append answers None
    await heard(one, live)
    one.attach(TARGET)
    assert [node.closed for node in made] == [False, False]

    await heard(one, live)
    assert [node.closed for node in made] == [True, True, False]
    one.detach()
    await one.close()
    assert all(node.closed for node in made)


async def test_a_check_of_a_node_that_was_left_says_nothing_about_the_next() -> None:
    one = session(Received(snapshot(), 1.0))
    checking = one.check()
    task = asyncio.ensure_future(checking)
    while not one.run.checks:
        await asyncio.sleep(0)
    one.attach(TARGET)
    before = one.run
    await task

    assert one.run is before
    await one.check()
    assert one.run.where == "alpha"
    assert not one.run.checks


async def test_a_pause_holds_the_picture_while_data_goes_on() -> None:
    one = await heard(session(Received(snapshot(), 1.0)), live)
    one.pause()
    one._hear(Received(AgentChanged(seq=1, time=NOW, agent=agent("new")), 2.0))
    one.take_in()

    assert one.paused
    assert "new" not in one.shown.agents
    assert "new" in one.state.agents
    one.pause()
    assert "new" in one.shown.agents


async def test_without_a_node_this_machine_checks_itself() -> None:
    one = session()
    await one.check()

    assert one.run.standing() == "pass"
    assert one.run.where == "here"
    assert one.run.finished is not None


async def test_one_check_is_run_again_among_the_others() -> None:
    one = session()
    await one.check()
    await one.check("broken")

    assert one.run.standing() == "fail"
    assert one.run.error is not None
    assert list(one.run.checks) == ["machine.disk"]


async def test_with_a_node_it_checks_itself() -> None:
    told = Recorded(checks=(check(), check("node.kv", status="fail")))
    one = session(recorded=told)
    one.attach(TARGET)
    await one.check()

    assert one.run.where == "alpha"
    assert one.run.standing() == "fail"


async def test_who_may_only_look_sees_the_latest_run() -> None:
    told = snapshot(selftest=selftest(check("node.kv", status="warn")))
    one = await heard(session(Received(told, 1.0), replay=Forbidding), live)
    await one.check()
    assert one.run.standing() == "warn"
    assert one.run.error is None

    empty = session(replay=Forbidding)
    empty.attach(TARGET)
    await empty.check()
    assert isinstance(empty.run.error, Forbidden)


@pytest.mark.parametrize(
    ("read_only", "role", "may"),
    [(False, "operator", True), (True, "operator", False), (False, "viewer", False)],
)
async def test_what_changes_something_needs_a_right(
    read_only: bool, role: str, may: bool
) -> None:
    options = ConsoleOptions(environ={}, read_only=read_only)
    told = snapshot(node=node_status(role=role))
    one = await heard(session(Received(told, 1.0), options=options), live)

    assert one.may(BY_ID["task-cancel"]) is may
    assert one.role == role
    found = one.node()
    assert found is not None
    assert found.name == "alpha"


async def test_a_context_may_be_read_only() -> None:
    one = session()
    assert one.node() is None
    one.attach(Target("http://x", None, "prod", "a test", read_only=True))

    assert one.read_only
