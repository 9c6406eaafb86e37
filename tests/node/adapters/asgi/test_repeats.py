"""The same key again: answered as before, done once; another call by it is refused."""

import asyncio
from typing import Any

import pytest

from nexa_node.adapters.asgi import repeating
from nexa_node.adapters.asgi.operation import Document, Lines, Returned
from nexa_node.adapters.asgi.repeating import Repeats, digest
from nexa_node.contract.errors import Duplicate, RateLimited, Unavailable
from nexa_node.contract.rest import Liveness
from tests.builders import identity, nothing

ANN, BOB = identity("operator", id="token:ann"), identity("operator", id="token:bob")
ONE, OTHER = b"one", b"other"


class Work:
    """Something that is done, and counted; held back while `go` is not set."""

    def __init__(self, *errors: Exception, answer: Returned = None) -> None:
        self.done = 0
        self.errors = list(errors)
        self.answer = answer
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Returned:
        self.done += 1
        number = self.done
        await self.go.wait()
        if self.errors:
            raise self.errors.pop(0)
        return self.answer or Liveness(status=str(number))


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def test_the_same_call_is_answered_as_before_and_done_once() -> None:
    repeats, work = Repeats(), Work()

    first = await repeats.once(ANN, "k", ONE, work)
    again = await repeats.once(ANN, "k", ONE, work)

    assert first == again == Liveness(status="1")
    assert work.done == 1


async def test_two_at_once_are_done_once() -> None:
    repeats, work = Repeats(), Work()
    work.go.clear()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(repeats.once(ANN, "k", ONE, work)) for _ in range(5)]
        await asyncio.sleep(0)
        work.go.set()

    assert {call.result() for call in calls} == {Liveness(status="1")}
    assert work.done == 1


async def test_another_call_by_the_same_key_is_refused() -> None:
    repeats, work = Repeats(), Work()
    await repeats.once(ANN, "k", ONE, work)

    with pytest.raises(Duplicate, match="used for another call"):
        await repeats.once(ANN, "k", OTHER, work)
    with pytest.raises(Duplicate):
        await repeats.apart(ANN, "k", OTHER, work)
    assert work.done == 1


async def test_the_same_key_of_somebody_else_is_another() -> None:
    repeats, work = Repeats(), Work()
    await repeats.once(ANN, "k", ONE, work)
    await repeats.once(BOB, "k", OTHER, work)

    assert work.done == 2


async def test_after_an_error_nothing_is_remembered() -> None:
    repeats, work = Repeats(), Work(Unavailable("no quorum"))
    with pytest.raises(Unavailable):
        await repeats.once(ANN, "k", ONE, work)

    assert len(repeats) == 0
    assert await repeats.once(ANN, "k", ONE, work) == Liveness(status="2")


async def test_who_waited_for_one_that_failed_does_it_himself() -> None:
    repeats, work = Repeats(), Work(Unavailable("no quorum"))
    work.go.clear()
    first = asyncio.create_task(repeats.once(ANN, "k", ONE, work))
    await asyncio.sleep(0)
    others = [asyncio.create_task(repeats.once(ANN, "k", ONE, work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()

    with pytest.raises(Unavailable):
        await first
    assert {await one for one in others} == {Liveness(status="2")}
    assert work.done == 2


async def test_a_caller_that_leaves_leaves_the_others_their_answer() -> None:
    repeats, work = Repeats(), Work()
    work.go.clear()
    first = asyncio.create_task(repeats.once(ANN, "k", ONE, work))
    await asyncio.sleep(0)
    second = asyncio.create_task(repeats.once(ANN, "k", ONE, work))
    third = asyncio.create_task(repeats.once(ANN, "k", ONE, work))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    first.cancel()
    work.go.set()

    assert await third == Liveness(status="2")
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_call_the_store_knows_is_made_again() -> None:
    repeats, work = Repeats(), Work()
    for number in (1, 2):
        told = await repeats.apart(ANN, "k", ONE, work)
        assert told == Liveness(status=str(number))


async def test_a_call_the_store_refused_leaves_the_key_free() -> None:
    repeats, work = Repeats(), Work(Unavailable("no quorum"))
    with pytest.raises(Unavailable):
        await repeats.apart(ANN, "k", ONE, work)

    assert len(repeats) == 0
    assert await repeats.apart(ANN, "k", OTHER, work) == Liveness(status="2")


async def test_after_ten_minutes_the_key_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    repeats, work = Repeats(now=clock), Work()
    await repeats.once(ANN, "k", ONE, work)
    clock.at = repeating.KEPT_S
    await repeats.once(ANN, "k", ONE, work)
    assert work.done == 1
    clock.at += 0.1
    await repeats.once(ANN, "k", OTHER, work)
    assert work.done == 2

    clock.at += repeating.KEPT_S + 1
    await repeats.once(ANN, "other", ONE, work)
    assert len(repeats) == 1


async def test_who_uses_many_keys_loses_his_own_and_nobody_elses() -> None:
    repeats, work = Repeats(), Work()
    await repeats.once(BOB, "k", ONE, work)
    for number in range(repeating.KEPT_PER_CALLER + 50):
        await repeats.once(ANN, str(number), ONE, work)

    assert len(repeats) == repeating.KEPT_PER_CALLER + 1
    assert await repeats.once(BOB, "k", ONE, work) == Liveness(status="1")


async def test_a_node_remembers_so_much_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeating, "CALLERS_MAX", 5)
    repeats, work = Repeats(), Work()
    for number in range(9):
        who = identity("operator", id=f"token:{number}")
        await repeats.once(who, "k", ONE, work)

    assert len(repeats) == 5


async def test_large_answers_push_the_oldest_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeating, "KEPT_BYTES", 1000)
    repeats = Repeats()
    for number in range(9):
        who = identity("operator", id=f"token:{number}")
        answer = Liveness(status="x" * 300)
        await repeats.once(who, "k", ONE, Work(answer=answer))

    assert len(repeats) == 3


async def test_too_many_on_their_way_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeating, "KEPT_PER_CALLER", 3)
    repeats, work = Repeats(), Work()
    work.go.clear()
    calls = [
        asyncio.create_task(repeats.once(ANN, str(number), ONE, work))
        for number in range(3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await repeats.once(ANN, "more", ONE, work)
    work.go.set()
    await asyncio.gather(*calls)


async def test_what_can_be_told_once_only_is_not_remembered() -> None:
    repeats, work = Repeats(), Work(answer=Lines(nothing()))
    await repeats.once(ANN, "k", ONE, work)

    assert len(repeats) == 0


async def test_a_document_is_told_again() -> None:
    repeats, work = Repeats(), Work(answer=Document(b"x", "text/plain"))
    first = await repeats.once(ANN, "k", ONE, work)

    assert await repeats.once(ANN, "k", ONE, work) is first


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/v1/b"},
        {"query": b"plan=x"},
        {"body": Liveness(status="no")},
        {"body": None},
        {"seen": '"1"\n'},
    ],
)
def test_calls_differ_by_all_that_they_say(change: dict[str, Any]) -> None:
    call: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/a",
        "query": b"",
        "body": Liveness(status="ok"),
        "seen": "\n",
    }

    assert digest(**call) == digest(**call)
    assert digest(**call) != digest(**{**call, **change})
