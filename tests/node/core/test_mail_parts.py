"""The small pure parts of messages: addresses, counts, lifetimes, pieces, the choice."""

import hashlib
import random

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.errors import PayloadTooLarge
from nexa_node.contract.ids import is_slug
from nexa_node.core.attempts import Attempts
from nexa_node.core.lifetimes import (
    inbox_ttl_s,
    objects_age_s,
    stream_age_s,
    topic_ttl_s,
)
from nexa_node.core.pieces import Cutter
from nexa_node.core.policies import RetentionPolicy
from nexa_node.core.receivers import able, least_busy
from nexa_node.core.replies import is_reserved, node_tag, reply_address, tag_of
from tests.builders import agent

SECRET = bytes(range(16))


def test_an_address_is_one_slug_that_says_whose_it_is() -> None:
    address = reply_address(node_tag("N" * 200), SECRET)

    assert is_slug(address)
    assert is_reserved(address)
    assert tag_of(address) == node_tag("N" * 200)
    assert SECRET.hex() in address


@pytest.mark.parametrize(
    "text", ["", "wc-1", "nx-reply-", "nx-reply-abc-1", "nx-reply"]
)
def test_what_is_no_address_is_nobody_s(text: str) -> None:
    assert tag_of(text) is None


def test_deliveries_are_counted_until_they_are_forgotten() -> None:
    attempts: Attempts[str] = Attempts()
    counted = [attempts.count("a", 1), attempts.count("a", 1), attempts.count("b", 1)]
    assert counted == [1, 2, 1]
    attempts.forget("a", seq=1, upto=None)
    attempts.forget("nobody", seq=1, upto=9)
    assert attempts.count("a", 1) == 1
    attempts.count("a", 5)
    attempts.forget("a", seq=None, upto=4)

    assert (attempts.count("a", 1), attempts.count("a", 5)) == (1, 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6), st.booleans())))
def test_a_bounded_memory_never_counts_too_much(
    steps: list[tuple[str, int, bool]],
) -> None:
    attempts: Attempts[str] = Attempts(limit=4)
    truth: dict[tuple[str, int], int] = {}
    for inbox, seq, dealt_with in steps:
        if dealt_with:
            attempts.forget(inbox, seq=seq, upto=None)
            truth.pop((inbox, seq), None)
        else:
            truth[inbox, seq] = truth.get((inbox, seq), 0) + 1
            assert 1 <= attempts.count(inbox, seq) <= truth[inbox, seq]
        assert attempts._total == sum(map(len, attempts._counts.values())) <= 4


def test_what_is_kept_the_longest_needs_no_time_of_its_own() -> None:
    keep = RetentionPolicy(
        inbox_hours=2, topics_hours=1, topics_hours_of={"slow": 3}, objects_hours=0.5
    )

    assert stream_age_s(keep) == 3 * 3600
    assert inbox_ttl_s(keep, None) == 2 * 3600
    assert topic_ttl_s(keep, "default", None) == 3600
    assert topic_ttl_s(keep, "slow", None) is None
    assert topic_ttl_s(keep, "slow", 5) == 5
    assert inbox_ttl_s(keep, 10**9) == 2 * 3600
    assert objects_age_s(keep) == 1800
    assert stream_age_s(RetentionPolicy(inbox_hours=0, topics_hours=0)) == 1


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(1, 7))
def test_pieces_hold_what_was_fed_and_all_but_the_last_are_whole(
    chunks: list[bytes], size: int
) -> None:
    cutter = Cutter(10**6, piece=size)
    pieces = [piece for chunk in chunks for piece in cutter.feed(chunk)]
    pieces += cutter.finish()

    whole = b"".join(chunks)
    assert b"".join(pieces) == whole
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(pieces)
    assert cutter.size == len(whole)
    assert cutter.sha256 == hashlib.sha256(whole).hexdigest()


def test_one_byte_over_the_limit_is_too_large() -> None:
    cutter = Cutter(3)
    list(cutter.feed(b"abc"))
    with pytest.raises(PayloadTooLarge, match="more than 3 bytes"):
        list(cutter.feed(b"d"))


def worker(id: str, **fields: object) -> Agent:
    return agent(**{"id": id, "capabilities": (Capability(name="wc"),), **fields})


def test_only_who_is_there_and_open_is_able() -> None:
    everybody = [
        worker("a"),
        worker("b", connected=False),
        worker("c", state="draining"),
        worker("d", capabilities=(Capability(name="other"),)),
    ]

    assert [each.id for each in able(everybody, "wc")] == ["a"]


def test_the_least_busy_for_its_slots_is_chosen_and_chance_decides_ties() -> None:
    rng = random.Random(1)
    few = [worker("a", inflight=2, slots=2), worker("b", inflight=2, slots=8)]
    waiting = {"b": 7}
    none = least_busy([], lambda _: 0, rng)
    assert none is None
    first = least_busy(few, lambda _: 0, rng)
    then = least_busy(few, lambda each: waiting.get(each.id, 0), rng)
    ties = {
        chosen.id
        for _ in range(50)
        if (chosen := least_busy([worker("a"), worker("b")], lambda _: 0, rng))
    }

    assert first is not None
    assert then is not None
    assert (first.id, then.id) == ("b", "a")
    assert ties == {"a", "b"}
