"""What was recorded is told again, without its secrets, and can't be changed."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from nexa_node.contract.errors import Conflict, Forbidden, Invalid, NotFound
from nexa_node.contract.events import AgentChanged, Happened
from nexa_node.contract.ids import TaskId
from nexa_tui.client import recording
from nexa_tui.client.api import FeedNews, Lost, NodeClient, Received
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.playback import Playback, read_reel
from nexa_tui.client.recording import Recorder, Tape
from nexa_tui.client.replay import Recorded, Replay
from tests.builders import NOW, agent, event
from tests.tui import alarms, figures
from tests.tui.scenes import TARGET, picture, tasks, whole_task

SECRET = "nxa_4fk2mvvq7xs_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"
TOLD = (
    Received(picture(seq=0), 1.0),
    Received(AgentChanged(seq=1, time=NOW, agent=agent("late-1")), 2.0),
    Received(Happened(seq=2, time=NOW, event=event(message=f"said {SECRET}")), 3.0),
    Lost("connection refused", None, 4.0, 1),
)


async def record(path: Path) -> tuple[Tape, Replay]:
    inner = Replay(
        TARGET,
        news=TOLD,
        recorded=Recorded(
            tasks=tuple(whole_task(one) for one in tasks()),
            silences=alarms.SILENCES,
            namespaces=alarms.NAMESPACES,
            series=figures.RECORDED,
        ),
    )
    tape = Tape(path, SystemClock(), name="alpha")
    node = cast("NodeClient", Recorder(inner, tape))
    heard = await listen(node, len(TOLD))
    assert heard == list(TOLD)
    await node.task(tasks()[0].id)
    await node.silences()
    await node.namespaces()
    await node.cancel(tasks()[0].id)
    assert node.target == TARGET
    tape.close()
    return tape, inner


async def listen(node: NodeClient, many: int) -> list[FeedNews]:
    heard: list[FeedNews] = []
    feed = node.feed()
    async with asyncio.timeout(10):
        async for news in feed:
            heard.append(news)
            if len(heard) == many:
                break
    await cast("Any", feed).aclose()
    return heard


async def played(path: Path) -> tuple[Playback, list[FeedNews], list[str]]:
    said: list[str] = []
    node = Playback(
        TARGET, read_reel(path), SystemClock(), speed=1000, tell=said.append
    )
    return node, (await listen(node, len(TOLD) + 1))[1:], said


async def test_it_is_told_again_without_secrets_and_answers_as_then(
    tmp_path: Path,
) -> None:
    path = tmp_path / "one.jsonl"
    tape, inner = await record(path)
    tape.close()  # once more does no harm
    assert inner.asked == [("cancel", tasks()[0].id)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET not in path.read_text()

    node, heard, _ = await played(path)
    first, second, third, lost = heard
    assert isinstance(first, Received)
    assert first.frame == picture(seq=0)
    assert isinstance(second, Received)
    assert cast("AgentChanged", second.frame).agent.id == "late-1"
    assert isinstance(third, Received)
    assert cast("Happened", third.frame).event.message == "said [redacted]"
    assert isinstance(lost, Lost)
    assert lost.why == "connection refused"
    assert (await node.task(tasks()[0].id)).id == tasks()[0].id
    assert tuple(await node.silences()) == alarms.SILENCES
    assert tuple(await node.namespaces()) == alarms.NAMESPACES
    assert await node.rules() == ()
    with pytest.raises(NotFound):
        await node.task(TaskId("another"))
    with pytest.raises(Forbidden, match="recording"):
        await node.cancel(tasks()[0].id)


async def test_what_the_person_did_is_said_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    await record(path)
    said: list[str] = []
    node = Playback(
        TARGET, read_reel(path), SystemClock(), speed=1000, tell=said.append
    )
    waiting = asyncio.create_task(listen(node, 99))
    async with asyncio.timeout(10):
        while len(said) < 2:
            await asyncio.sleep(0.001)
    waiting.cancel()

    assert said[0] == f"recorded: cancel {tasks()[0].id}"
    assert "the recording ends here" in said[1]


async def test_a_recording_cut_by_a_kill_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    await record(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])

    assert len(read_reel(path).lines) == len(read_reel_of(whole, tmp_path).lines) - 1
    path.write_bytes(whole.replace(b'"t"', b'"?"', 1))
    with pytest.raises(Invalid, match=":2:"):
        read_reel(path)


def read_reel_of(data: bytes, folder: Path) -> Any:
    path = folder / "whole.jsonl"
    path.write_bytes(data)
    return read_reel(path)


@pytest.mark.parametrize("text", ["", "hello", "{}", '{"nexa":"9","format":99}'])
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it"
    path.write_text(text)
    with pytest.raises(Invalid, match="is no recording"):
        read_reel(path)


def test_another_form_and_another_file_are_refused(tmp_path: Path) -> None:
    head = recording.Head(nexa="9.0", format=9, started=NOW, name="a")
    (tmp_path / "it").write_bytes(msgspec.json.encode(head))
    with pytest.raises(Invalid, match=r"9\.0"):
        read_reel(tmp_path / "it")
    with pytest.raises(Conflict, match="there already"):
        Tape(tmp_path / "it", SystemClock(), name="a")
    with pytest.raises(Invalid, match="can't be made"):
        Tape(tmp_path / "no" / "it", SystemClock(), name="a")
    with pytest.raises(Invalid, match="can't be read"):
        read_reel(tmp_path / "nothing")


def test_a_recording_ends_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "BYTES_MAX", 300)
    tape = Tape(tmp_path / "it", SystemClock(), name="a")
    for _ in range(20):
        tape.write(lost="why")

    assert tape.problem is not None
    assert (tmp_path / "it").stat().st_size <= 300
