"""What consumers are believed to have, and whom to ask; answers that nobody waits for."""

from typing import Any

import pytest

from nexa_node.adapters.nats.connection import Refused
from nexa_node.adapters.nats.kinds import OLD, Kind, Place
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.pending import WAITING_MAX, Answers, read_position
from nexa_node.adapters.nats.sources import AHEAD, IDLE_S, Source, Sources, read_reply
from nexa_node.adapters.nats.wire import ApiError
from nexa_node.contract.errors import Unavailable

KIND = Kind("default", "wc")
B1 = Place("normal", "b01")


def message(place: Place, *, pending: int = 0, seq: int = 7) -> Msg:
    reply = f"$JS.ACK.NX_TASKQ.{KIND.consumer(place)}.1.{seq}.3.1700000000.{pending}"
    return Msg("subject", reply, b"{}")


def fresh(*places: Place, now: float = 0.0) -> Sources:
    sources = Sources(KIND, now)
    for place in places:
        sources.expect(place, now)
    for source in sources:
        source.made = source.fresh = True
    return sources


def at(sources: Sources, place: Place) -> Source:
    [found] = [each for each in sources if each.place == place]
    return found


def open_all(sources: Sources, room: int, now: float = 0.0) -> None:
    for number, ask in enumerate(sources.plan(room, now).asks):
        sources.opened(ask.source, f"inbox.{number}", ask, until=now + 30)


def test_where_nothing_is_known_to_be_a_pull_waits_everywhere() -> None:
    asks = fresh(B1).plan(5, 0.0).asks

    assert [ask.source.place.priority for ask in asks] == [
        "critical",
        "high",
        "normal",
        "normal",
        "low",
    ]
    assert all(ask.wait and ask.batch == 1 for ask in asks)


def test_what_is_known_to_wait_is_asked_for_up_to_the_room() -> None:
    sources = fresh(B1)
    at(sources, B1).known = 10
    at(sources, Place("normal", "-")).known = 1
    asks = {ask.source.place: ask for ask in sources.plan(4, 0.0).asks}

    assert (asks[B1].batch, asks[B1].wait) == (3, False)
    assert (asks[Place("normal", "-")].batch, asks[Place("normal", "-")].wait) == (
        1,
        False,
    )
    assert asks[Place("high", "-")].wait, "something more urgent may come"
    assert Place("low", "-") not in asks, "there is no room for it"


def test_a_source_nobody_looked_at_is_not_asked() -> None:
    sources = fresh()
    sources.expect(B1, 0.0)

    assert B1 not in {ask.source.place for ask in sources.plan(5, 0.0).asks}


def test_where_something_came_a_pull_brings_more() -> None:
    sources = fresh()
    open_all(sources, 64)
    sources.took(message(Place("normal", "-")), 0.0)
    sources.pick({}, 64)
    [ask] = sources.plan(64, 0.0).asks

    assert (ask.source.place, ask.batch, ask.wait) == (
        Place("normal", "-"),
        AHEAD,
        True,
    )


def test_what_an_open_pull_will_bring_is_not_asked_for_again() -> None:
    sources = fresh()
    open_all(sources, 64)
    source = at(sources, Place("normal", "-"))
    source.credits = 3
    sources.took(message(source.place, pending=2), 0.0)

    assert (source.known, source.credits) == (0, 2)
    sources.took(message(source.place, pending=6), 0.0)
    assert (source.known, source.credits) == (5, 1)


def test_a_pull_whose_end_was_never_told_is_renewed() -> None:
    sources = fresh()
    open_all(sources, 5)
    assert sources.plan(5, 29.0).asks == []

    assert len(sources.plan(5, 31.0).asks) == 4


def test_a_new_leader_knows_nothing_of_what_was_open() -> None:
    sources = fresh(B1)
    open_all(sources, 5)
    consumer = KIND.consumer(B1)

    assert sources.lost(consumer)
    assert not sources.lost(consumer)
    assert not sources.lost("nobody=s")
    assert not at(sources, B1).reply
    assert not at(sources, B1).fresh


def test_the_end_of_an_unknown_pull_changes_nothing() -> None:
    sources = fresh()
    open_all(sources, 5)

    assert sources.ended("another") is None
    assert sources.ended("inbox.0") is not None
    assert sources.ended("inbox.0") is None


def test_what_comes_from_a_consumer_that_was_forgotten_makes_it_known_again() -> None:
    sources = fresh()
    sources.took(message(B1), 5.0)

    assert at(sources, B1).used == 5.0
    assert sources.here() == 1
    sources.took(Msg("s", "$JS.ACK.NX_TASKQ.foreign.1.1.1.1.0", b""), 5.0)
    assert sources.here() == 1


def test_a_bucket_that_is_long_empty_is_asked_no_more() -> None:
    sources = fresh(B1, Place("high", OLD))
    at(sources, Place("high", OLD)).known = 1
    sources.forget_idle(IDLE_S - 1)
    assert len(list(sources)) == 6
    sources.forget_idle(IDLE_S + 1)

    places = {each.place for each in sources}
    assert B1 not in places
    assert Place("high", OLD) in places
    assert Place("normal", "-") in places


def test_after_a_rest_only_open_pulls_tell_what_there_is() -> None:
    sources = fresh(B1)
    open_all(sources, 5)
    sources.missed(message(B1))
    sources.missed(Msg("s", "$JS.ACK.NX_TASKQ.foreign.1.1.1.1.0", b""))
    sources.wake()

    assert not at(sources, B1).fresh
    assert at(sources, Place("low", "-")).fresh


def test_what_was_kept_too_long_is_taken_out_oldest_first() -> None:
    sources = fresh()
    for number in range(3):
        sources.took(message(B1, seq=number), float(number))

    assert [read_position(each.reply) for each in sources.leftover(1.0)] == [0, 1]
    assert len(sources.leftover()) == 1


def test_both_forms_of_an_address_are_read() -> None:
    old = "$JS.ACK.NX_TASKQ.name.1.42.3.1700000000.9"
    new = "$JS.ACK.domain.account.NX_TASKQ.name.1.42.3.1700000000.9.token"

    assert read_reply(old) == read_reply(new) == ("name", 9)
    assert read_position(old) == read_position(new) == 42


class Broken:
    """A connection that answers everything with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: list[str] = []

    async def request(self, subject: str, *_: Any) -> Any:
        self.asked.append(subject)
        raise self.error

    async def call(self, subject: str, *_: Any) -> Any:
        self.asked.append(subject)
        raise self.error


class Lost:
    is_lost = True


@pytest.mark.parametrize(
    "error",
    [Unavailable("silent"), Refused(ApiError(code=404, err_code=1))],
)
async def test_an_answer_that_fails_is_only_noted(error: Exception) -> None:
    works: list[Any] = []
    connection = Broken(error)
    answers = Answers(connection, works.append)
    answers.ack(Lost(), message(B1))
    if isinstance(error, Unavailable):
        answers.give_back(message(B1))
    await works.pop()

    assert connection.asked[0] == "STREAM.MSG.DELETE.NX_TASKQ"
    assert works == []


async def test_answers_that_can_not_leave_are_bounded_and_closed() -> None:
    works: list[Any] = []
    answers = Answers(Broken(Unavailable("silent")), works.append)
    for _ in range(WAITING_MAX + 5):
        answers.give_back(message(B1))
    assert len(answers._waiting) == WAITING_MAX
    [work] = works
    await work

    assert not answers._waiting
