"""The decisions alone: endpoints, back-off, inbox, codecs, leases, narration."""

import io
import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexa_node.agent.claims import Claims, News, Refused, Taken
from nexa_node.agent.endpoints import Endpoints, agent_url, full_jitter, is_loopback
from nexa_node.agent.inbox import Inbox, Seen
from nexa_node.agent.narration import Narrator, printable
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.agent.wire import CODECS
from nexa_node.contract.errors import Invalid
from nexa_node.contract.frames import Assign, Request


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h:1", "ws://h:1/v1/agent"),
        ("https://h/", "wss://h/v1/agent"),
        ("ws://h:1/v1/agent", "ws://h:1/v1/agent"),
        ("wss://h/behind/proxy", "wss://h/behind/proxy"),
        ("h:7000", "ws://h:7000/v1/agent"),
        ("h", "ws://h:6392/v1/agent"),
        ("http://[::1]", "ws://[::1]:6392/v1/agent"),
    ],
)
def test_an_address_becomes_the_agent_endpoint(text: str, url: str) -> None:
    assert agent_url(text) == url


@pytest.mark.parametrize("text", ["", "http://", "ftp://h", "http://h:99999", "://"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        agent_url(text)


def test_endpoints_go_around_through_those_given_and_those_told() -> None:
    known = Endpoints(["a:1", "b:1"])
    known.learn(["ws://c:1/v1/agent", "a:1", "nonsense://"])

    tried = [known.advance() for _ in range(4)]

    assert len(known) == 3
    assert [url.split("/")[2] for url in tried] == ["b:1", "c:1", "a:1", "b:1"]


def test_a_node_over_tls_cannot_send_the_token_in_the_clear() -> None:
    known = Endpoints(["wss://a:1"])
    known.learn(["ws://evil:1", "wss://b:1"])

    assert known.advance() == "wss://b:1/v1/agent"
    assert len(known) == 2


def test_without_any_address_this_machine_is_meant() -> None:
    assert is_loopback(Endpoints([]).current)


@given(attempt=st.integers(0, 10_000), seed=st.integers())
def test_back_off_is_full_jitter_under_a_growing_ceiling(
    attempt: int, seed: int
) -> None:
    wait = full_jitter(attempt, random.Random(seed), base=0.5, cap=30.0)

    assert 0 <= wait <= min(30.0, 0.5 * 2 ** min(attempt, 10))


@given(st.lists(st.tuples(st.sampled_from("rsfd"), st.integers(1, 8))))
def test_resuming_never_skips_a_message_that_was_not_settled(
    steps: list[tuple[str, int]],
) -> None:
    inbox = Inbox()
    inbox.enter("e", 1)
    delivered: set[int] = set()
    settled: set[int] = set()
    for what, seq in steps:
        if what in "rd":
            if inbox.receive(seq) is Seen.NEW:
                delivered.add(seq)
                assert seq not in settled
        elif what == "s" and seq in delivered:
            inbox.settle(seq)
            settled.add(seq)
            delivered.discard(seq)
        elif what == "f" and seq in delivered:
            inbox.refuse(seq)
            delivered.discard(seq)

    assert all(inbox.last_seq < seq for seq in delivered)


def test_a_gap_moves_the_inbox_past_it() -> None:
    inbox = Inbox()
    inbox.enter("e", 1)
    inbox.receive(3)
    inbox.refuse(3)
    assert inbox.last_seq == 2
    inbox.skip(9)

    assert inbox.last_seq == 9
    assert inbox.receive(9) is Seen.SETTLED
    assert inbox.receive(10) is Seen.NEW
    assert inbox.receive(10) is Seen.OPEN


@pytest.mark.parametrize("name", list(CODECS))
def test_frames_survive_both_encodings(name: str) -> None:
    codec = CODECS[name]
    data = codec.encode(Request(id=1, method="m", params={"a": [1, "ü"]}))

    [frame] = codec.envelopes(data)

    assert frame.method == "m"
    assert codec.body(frame.params, dict[str, Any]) == {"a": [1, "ü"]}


@pytest.mark.parametrize("name", list(CODECS))
def test_an_absent_body_is_an_empty_one(name: str) -> None:
    assert CODECS[name].body(msgspec.Raw(), dict[str, Any]) == {}


@pytest.mark.parametrize("name", list(CODECS))
def test_a_batch_is_bounded(name: str) -> None:
    module = msgspec.json if CODECS[name].text else msgspec.msgpack
    frames = [{"jsonrpc": "2.0", "method": "m"}]

    assert len(CODECS[name].envelopes(module.encode(frames * 128))) == 128
    with pytest.raises(Invalid, match="128 are allowed"):
        CODECS[name].envelopes(module.encode(frames * 129))


@pytest.mark.parametrize("name", list(CODECS))
@given(data=st.binary(max_size=64))
def test_no_bytes_make_a_codec_raise_anything_else(name: str, data: bytes) -> None:
    with suppress(Invalid):
        CODECS[name].envelopes(data)


def test_deeply_nested_json_is_invalid_not_a_crash() -> None:
    frame = b'{"jsonrpc":"2.0","method":"m","params":' + b"[" * 100_000

    with pytest.raises(Invalid):
        CODECS["nexa.v1.json"].envelopes(frame)


def test_what_json_cannot_hold_is_invalid() -> None:
    with pytest.raises(Invalid):
        CODECS["nexa.v1.json"].encode(Request(id=1, method="m", params=object()))


def assignment(task_id: str = "t1", epoch: int = 1, lease_ms: int = 3000) -> Assign:
    return msgspec.convert(
        {
            "task": {
                "id": task_id,
                "type": "wc",
                "status": "assigned",
                "priority": "normal",
                "submitted": "2026-01-01T00:00:00Z",
                "submitter": "x",
            },
            "claim_epoch": epoch,
            "lease_ms": lease_ms,
            "attempt": 1,
        },
        Assign,
    )


def test_an_older_claim_is_refused_while_a_newer_is_in_hand() -> None:
    claims = Claims(slots=3, types=frozenset({"wc"}))
    claims.offer(assignment(epoch=5), now=0.0, ahead=None)

    offer = claims.offer(assignment(epoch=4), now=0.0, ahead=None)

    assert isinstance(offer, Refused)
    assert offer.reason == "unable"


def test_a_lease_is_due_at_a_third_and_at_once_with_news() -> None:
    claims = Claims(slots=1, types=frozenset({"wc"}))
    taken = claims.offer(assignment(), now=0.0, ahead=None)
    assert isinstance(taken, Taken)

    assert claims.due(0.9) == []
    assert claims.due(1.0) == [taken.claim]
    taken.claim.tell(News(pct=1))
    assert claims.due(0.1) == [taken.claim]


def test_without_a_connection_only_ends_are_looked_for() -> None:
    claims = Claims(slots=1, types=frozenset({"wc"}))
    claims.offer(assignment(), now=0.0, ahead=None)

    assert claims.next_look(0.0, connected=True) == pytest.approx(1.0)
    assert claims.next_look(0.0, connected=False) == pytest.approx(3.0)


def test_a_claim_whose_result_waits_does_not_end_by_the_clock() -> None:
    claims = Claims(slots=1, types=frozenset({"wc"}))
    taken = claims.offer(assignment(), now=0.0, ahead=None)
    assert isinstance(taken, Taken)
    taken.claim.settling = True

    assert claims.ended(100.0) == []


def test_nothing_from_outside_moves_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\n\tc\u202e") == "a�[2Jb�� c�"


def test_the_same_trouble_is_told_once() -> None:
    out = io.StringIO()
    narrator = Narrator("a", out, io.StringIO(), quiet=False, as_json=False)
    for _ in range(5):
        narrator.connection(Disconnected("ws://h", "refused", 1.0))
    narrator.connection(Connected("ws://h", "n", "s", resumed=True))
    narrator.connection(Disconnected("ws://h", "refused", 1.0))

    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1] == "a: connected again, to n at ws://h"


def test_an_output_that_is_closed_ends_nothing() -> None:
    out = io.StringIO()
    out.close()

    Narrator("a", out, out, quiet=False, as_json=False).task("t", "wc", "done", 1.0)


def test_only_the_newest_progress_waits_and_every_partial_result() -> None:
    claims = Claims(slots=1, types=frozenset({"wc"}))
    taken = claims.offer(assignment(), now=0.0, ahead=None)
    assert isinstance(taken, Taken)
    for news in (
        News(pct=1, note="a"), News(pct=2), News(partial="x"), News(pct=3),
        News(partial="y"), News(partial="z"),
    ):  # fmt: skip
        taken.claim.tell(news)

    assert list(taken.claim.news) == [
        News(pct=2, note="a", partial="x"),
        News(pct=3, partial="y"),
        News(partial="z"),
    ]
