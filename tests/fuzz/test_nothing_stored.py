"""The corpus said to a node's services: what is answered with an error leaves no trace."""

from typing import Any

import msgspec
import pytest

from tests.fakes import settle
from tests.fuzz.frames import CORPUS
from tests.rig import FakeAgent, Rig

READS = (
    "get", "read", "read_topics", "last_seq", "epoch", "recent", "count", "find",
    "position", "take",
)  # fmt: skip
FILES = sorted((CORPUS / "session").iterdir())


def frames() -> list[Any]:
    """Every frame of the corpus that is JSON, or should be."""
    return [
        pytest.param(line[1:], id=f"{path.stem}-{number}")
        for path in FILES
        for number, line in enumerate(path.read_bytes().split(b"\n"))
        if path.read_bytes()[:1] == b"j" and line[:1] in (b">", b"p")
    ]


def writes(rig: Rig) -> list[str]:
    """What the store was asked to keep, but for the registry's own records."""
    return [
        call
        for call in rig.store.door.calls
        if call.rpartition(".")[2] not in READS and not call.startswith("agents.")
    ]


def answers(agent: FakeAgent) -> list[dict[str, Any]]:
    return [each for each in agent.frames if "method" not in each]


@pytest.mark.parametrize("frame", frames())
async def test_what_is_answered_with_an_error_is_not_stored(frame: bytes) -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        before, said = writes(rig), len(answers(agent))
        await agent.send_bytes(frame)
        told = answers(agent)[said:]
        if any("result" in each for each in told):
            return  # there was something right in it

        assert writes(rig) == before
        for each in told:
            assert each["error"]["message"]
            assert each["error"]["data"]["reason"]


async def test_the_services_outlive_the_whole_corpus() -> None:
    async with Rig() as rig:
        neighbour = await rig.agent("neighbour")
        for path in FILES:
            connection = rig.connect(text=path.read_bytes()[:1] == b"j")
            for line in path.read_bytes().split(b"\n"):
                await connection.receive(line[1:])
            await connection.lost()
        await settle()
        alive = await neighbour.call("agents.find")

        assert alive["result"]["agents"][0]["id"] == "neighbour"
        assert len(rig.sessions.crowd) == 1
        assert neighbour.closed is None
        stored = msgspec.json.encode(
            [each.value for each in rig.store.tasks.bucket.entries.values()]
        )
        assert b"*" not in stored
