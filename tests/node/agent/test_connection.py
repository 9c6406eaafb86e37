"""Connecting, losing the connection, coming back, and when not to."""

import asyncio
import dataclasses
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexa_node.agent import Agent, Connected, Disconnected, Gap, Job
from nexa_node.contract.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NexaError,
    Unauthorized,
    UnsupportedVersion,
)
from tests.node.agent.conftest import FAST
from tests.node.agent.standin import NO_ANSWER, UNAVAILABLE, Refusal, StandIn, Visit

Make = Callable[..., Agent]


async def end_of(agent: Agent) -> NexaError:
    with pytest.raises(NexaError) as caught:
        async with asyncio.timeout(5):
            await agent.run(signals=False)
    return caught.value


async def test_hello_is_said_with_the_token_in_the_header_alone(
    node: StandIn, make_agent: Make
) -> None:
    node.token = "sesame"

    async with make_agent(token="sesame"):
        visit = await node.visit()

    assert visit.hello["protocol"] == "1.0"
    assert visit.hello["agent"]["id"] == "a1"
    assert "auth" not in visit.hello
    assert "resume" not in visit.hello
    assert "sesame" not in str(visit.hello)


async def test_token_and_url_come_from_the_environment(
    node: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.token = "sesame"
    file = tmp_path / "token"
    file.write_text("sesame\n")
    file.chmod(0o600)
    monkeypatch.setenv("NEXA_URL", node.url)
    monkeypatch.setenv("NEXA_TOKEN_FILE", str(file))

    async with Agent("a1", timing=FAST):
        visit = await node.visit()

    assert visit.hello["agent"]["id"] == "a1"


async def test_a_token_file_others_can_read_is_refused(
    node: StandIn, make_agent: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n")
    file.chmod(stat.S_IRUSR | stat.S_IROTH)
    monkeypatch.setenv("NEXA_TOKEN_FILE", str(file))

    error = await end_of(make_agent())

    assert isinstance(error, Invalid)
    assert error.remedy == f"chmod 600 {file}"


async def test_a_lost_connection_is_resumed(node: StandIn, make_agent: Make) -> None:
    seen: list[Any] = []
    agent = make_agent()
    agent.on_connection(seen.append)

    async with agent:
        first = await node.visit()
        await first.drop()
        second = await node.visit(2)
        await second.until("agent.report")

    assert second.hello["resume"] == {"session": "s1", "token": "r1", "epoch": "e1"}
    assert second.hello["agent"] == first.hello["agent"]
    kinds = [type(change) for change in seen[:3]]
    assert kinds == [Connected, Disconnected, Connected]
    assert seen[2].resumed
    assert seen[0].node == "standin"


async def test_when_a_node_dies_the_next_url_is_tried(make_agent: Make) -> None:
    async with StandIn("one") as one, StandIn("two") as two:
        agent = make_agent(url=[one.url, two.url])
        async with agent:
            await one.visit()
            await one.shut()
            visit = await two.visit()

    assert visit.hello["resume"]["session"] == "s1"


async def test_a_node_that_the_welcome_names_is_tried_too(make_agent: Make) -> None:
    async with StandIn("one") as one, StandIn("two") as two:
        one.cluster = [two.url.replace("http", "ws") + "/v1/agent"]
        async with make_agent(url=one.url):
            await one.visit()
            await one.shut()
            visit = await two.visit()

    assert visit.node is two


async def test_an_agent_that_starts_before_its_node_waits_for_it(
    make_agent: Make,
) -> None:
    node = StandIn()
    await node.listen(0)
    port = node.port
    await node.shut()
    away: asyncio.Queue[Any] = asyncio.Queue()
    agent = make_agent(url=f"http://127.0.0.1:{port}")
    agent.on_connection(away.put_nowait)

    async with agent:
        told = await asyncio.wait_for(away.get(), 5)
        await node.listen(port)
        await node.visit()
    await node.shut()

    assert isinstance(told, Disconnected)
    assert told.reason == "connection refused"
    assert told.retry_in_s <= FAST.backoff_cap


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Forbidden), (400, UnsupportedVersion)],
)
async def test_a_refused_upgrade_stops_the_agent(
    node: StandIn, make_agent: Make, status: int, kind: type[NexaError]
) -> None:
    node.refuse_with = status

    error = await end_of(make_agent())

    assert type(error) is kind
    assert error.remedy
    assert node.attempts == 1


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_an_upgrade_that_fails_for_now_is_tried_again(
    node: StandIn, make_agent: Make, status: int
) -> None:
    node.refuse_with = status

    async with make_agent():
        await node.tried(3)
        node.refuse_with = None
        await node.visit()


async def test_a_server_of_something_else_is_told_apart(
    node: StandIn, make_agent: Make
) -> None:
    node.subprotocols = []

    error = await end_of(make_agent())

    assert isinstance(error, UnsupportedVersion)
    assert "no node of nexa" in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (4501, Unauthorized),
        (4502, Forbidden),
        (4503, UnsupportedVersion),
        (4504, Invalid),
        (4505, Unauthorized),
        (4999, Invalid),
        (4409, Conflict),
    ],
)
async def test_a_final_close_stops_the_agent_with_its_reason(
    node: StandIn, make_agent: Make, code: int, kind: type[NexaError]
) -> None:
    run = asyncio.create_task(end_of(make_agent()))
    visit = await node.visit()
    await visit.close(code, "because")
    error = await run

    assert type(error) is kind
    assert len(node.visits) == 1


@pytest.mark.parametrize("code", [1001, 1011, 4408, 4412, 4413, 4499])
async def test_other_closes_are_resumed(
    node: StandIn, make_agent: Make, code: int
) -> None:
    async with make_agent():
        visit = await node.visit()
        await visit.close(code)
        second = await node.visit(2)

    assert second.hello["resume"]["session"] == "s1"


async def test_taken_over_by_an_older_process_is_taken_back(
    node: StandIn, make_agent: Make
) -> None:
    async with make_agent():
        visit = await node.visit()
        await visit.close(4409, "taken_over:0" + "0" * 25)
        await node.visit(2)


async def test_taken_over_by_a_hello_of_its_own_that_came_late_is_taken_back(
    node: StandIn, make_agent: Make
) -> None:
    async with make_agent():
        visit = await node.visit()
        own = visit.hello["agent"]["incarnation"]
        await visit.close(4409, f"taken_over:{own}")
        second = await node.visit(2)

    assert second.hello["resume"]["session"] == "s1"


async def test_taken_over_by_a_newer_process_stops(
    node: StandIn, make_agent: Make
) -> None:
    run = asyncio.create_task(end_of(make_agent()))
    visit = await node.visit()
    await visit.close(4409, "taken_over:" + "z" * 26)

    assert isinstance(await run, Conflict)


async def test_a_hello_that_is_refused_for_good_stops_the_agent(
    node: StandIn, make_agent: Make
) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(1016, "unsupported_version")

    node.script["session.hello"] = refuse

    assert isinstance(await end_of(make_agent()), UnsupportedVersion)


async def test_a_hello_that_is_refused_for_now_is_said_again(
    node: StandIn, make_agent: Make
) -> None:
    def refuse(_: Any) -> Any:
        raise UNAVAILABLE

    node.script["session.hello"] = refuse

    async with make_agent():
        await node.tried(2)
        node.script.clear()
        await node.visit()


async def test_going_away_moves_to_another_node(make_agent: Make) -> None:
    async with StandIn("one") as one, StandIn("two") as two:
        agent = make_agent(url=[one.url, two.url])
        async with agent:
            visit = await one.visit()
            await visit.notify(
                "session.go_away", {"reason": "drain", "reconnect_after_ms": 10}
            )
            moved = await two.visit()

    assert moved.hello["resume"]["session"] == "s1"
    assert "session.bye" not in [name for name, _ in visit.received]


async def test_a_lone_node_that_goes_away_is_given_its_results_and_its_time(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    go = asyncio.Event()
    away: list[Any] = []
    agent.on_connection(away.append)

    @agent.task("wc")
    async def work(job: Job) -> str:
        await go.wait()
        return "done"

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        await visit.notify(
            "session.go_away", {"reason": "shutdown", "reconnect_after_ms": 300}
        )
        go.set()
        await visit.until("task.complete")
        await visit.close(4413)
        await node.visit(2)

    assert node.results == {"t1": "done"}
    assert away[1].retry_in_s >= 0.3


async def test_a_gap_is_told(node: StandIn, make_agent: Make) -> None:
    node.gap = {"from": 3, "to": 9, "reason": "expired"}
    gaps: asyncio.Queue[Gap] = asyncio.Queue()
    agent = make_agent()
    agent.on_gap(gaps.put_nowait)

    async with agent:
        gap = await asyncio.wait_for(gaps.get(), 5)

    assert (gap.first, gap.last, gap.reason) == (3, 9, "expired")


@pytest.mark.parametrize(
    "frame", ["not json", "[]", "{}", '{"jsonrpc":"2.0","id":77,"result":{}}', "[1]"]
)
async def test_a_frame_that_makes_no_sense_ends_nothing(
    node: StandIn, make_agent: Make, frame: str
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def work(job: Job) -> int:
        return 1

    async with agent:
        visit = await node.visit()
        await visit.write_raw(frame)
        await visit.notify("task.cancelled", {"id": 3})
        await visit.notify("no.such", {})
        await visit.assign("t1")
        await visit.until("task.complete")

    assert node.results == {"t1": 1}


async def test_what_the_node_asks_wrongly_is_refused(
    node: StandIn, make_agent: Make
) -> None:
    async with make_agent():
        visit = await node.visit()
        unknown = await visit.ask("no.such", {})
        malformed = await visit.ask("task.assign", {"task": 1})

    assert unknown["error"]["code"] == -32601
    assert malformed["error"]["code"] == -32602


async def test_calls_in_a_batch_are_all_taken(node: StandIn, make_agent: Make) -> None:
    agent = make_agent()
    seen: asyncio.Queue[int] = asyncio.Queue()

    @agent.on_message
    async def note(message: Any) -> None:
        seen.put_nowait(message.seq)

    def letter(seq: int) -> dict[str, Any]:
        return {
            "jsonrpc": "2.0",
            "method": "message.deliver",
            "params": {
                "seq": seq,
                "id": f"m{seq}",
                "from": "b",
                "to": {"agent": "a1"},
                "type": "t",
                "data": None,
                "time": "2026-01-01T00:00:00Z",
                "attempts": 1,
            },
        }

    async with agent:
        visit = await node.visit()
        await visit.write([letter(1), letter(2)])
        got = [await asyncio.wait_for(seen.get(), 5) for _ in range(2)]

    assert got == [1, 2]


async def test_a_node_that_never_answers_hello_is_left(
    node: StandIn, make_agent: Make
) -> None:
    async def hang(visit: Visit) -> None:
        if node.attempts == 1:
            await visit.socket.wait_closed()

    node.before_welcome = hang
    quick = dataclasses.replace(FAST, open_timeout=0.3)

    async with make_agent(timing=quick):
        await node.visit(1)

    assert node.attempts == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"id": "Not A Slug"},
        {"id": "a", "namespace": "No"},
        {"id": "a", "slots": 0},
        {"id": "a", "url": "ftp://host"},
        {"id": "a", "url": "http://user:secret@host"},
        {"id": "a", "url": "http://host?token=secret"},
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(Invalid) as caught:
        Agent(**settings)

    assert "secret" not in caught.value.message


async def test_calls_outside_of_a_run_say_what_is_missing(make_agent: Make) -> None:
    agent = make_agent()

    with pytest.raises(Invalid, match="does not run"):
        await agent.find()


async def test_a_capability_has_one_handler_registered_before_the_run(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    agent.task("wc")(lambda job: 1)

    with pytest.raises(Invalid, match="has a handler"):
        agent.task("wc")
    with pytest.raises(Invalid, match="cannot be a capability"):
        agent.task("W C")
    async with agent:
        with pytest.raises(Invalid, match="runs already"):
            agent.task("other")


async def test_a_refreshed_token_is_shown_to_the_node(
    node: StandIn, make_agent: Make
) -> None:
    async with make_agent() as agent:
        visit = await node.visit()
        await agent.refresh("newer")

    assert visit.calls("session.refresh") == [{"token": "newer"}]


async def test_a_callback_that_fails_ends_nothing(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.on_connection
    def fail(_: Any) -> None:
        raise RuntimeError("mine")

    async with agent:
        visit = await node.visit()
        await visit.until("agent.report")


async def test_an_unanswered_report_disturbs_nothing(
    node: StandIn, make_agent: Make
) -> None:
    node.script["agent.report"] = lambda _: NO_ANSWER

    async with make_agent() as agent:
        visit = await node.visit()
        await visit.until("agent.report")
        await agent.refresh("t")
