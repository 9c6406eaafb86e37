"""The audit's chain: an edit, a hole, a swap, a cut end and a forgery are found, and where."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from nexa_node.contract.audit import AuditEntry, AuditRecord, Checkpoint
from nexa_node.core.audit import (
    CUT,
    HIDDEN,
    START,
    TEXT_MAX,
    Verifier,
    chained,
    differing,
    entry_of,
    is_signed,
    line,
    redacted,
    signed_part,
)
from tests.builders import NOW

CHAIN = "alpha/e1"


def entry(n: int, **fields: str) -> AuditEntry:
    return entry_of(time=NOW, event="nodes:drain", actor=f"token:{n}", **fields)


def written(count: int, **fields: str) -> list[bytes]:
    lines: list[bytes] = []
    prev = START
    for n in range(1, count + 1):
        record = chained(CHAIN, n, prev, entry(n, **fields))
        prev = record.hash
        lines.append(line(record))
    return lines


def point(lines: list[bytes], seq: int) -> Checkpoint:
    record = msgspec.json.decode(lines[seq - 1], type=AuditRecord)
    return Checkpoint(
        chain=CHAIN, seq=seq, hash=record.hash, time=NOW, key="", signature=""
    )


def verified(lines: list[bytes], *points: Checkpoint) -> tuple[str, int | None, str]:
    verifier = Verifier(CHAIN)
    for one in lines:
        verifier.read(one)
    told = verifier.verdict(points)
    return told.status, told.first_bad, told.reason


def test_what_was_written_is_whole() -> None:
    lines = written(50)

    assert verified(lines, point(lines, 10), point(lines, 50)) == ("ok", None, "")


@pytest.mark.parametrize(
    ("change", "first_bad"),
    [
        (lambda lines: lines[:4] + lines[5:], 5),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),
        (
            lambda lines: [
                *lines[:6],
                lines[6].replace(b"token:7", b"token:8"),
                *lines[7:],
            ],
            7,
        ),
        (lambda lines: [*lines[:6], lines[5], *lines[6:]], 7),
        (lambda lines: [*lines[:2], b"{}\n", *lines[2:]], 3),
        (lambda lines: [*lines[:2], lines[2][:-20], *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[2].replace(b":", b": ", 1), *lines[3:]], 3),
    ],
    ids=["cut out", "swapped", "edited", "repeated", "slipped in", "torn", "rewritten"],
)
def test_tampering_is_found_where_it_is(
    change: Callable[[list[bytes]], list[bytes]], first_bad: int
) -> None:
    status, found, reason = verified(change(written(10)))

    assert (status, found) == ("broken", first_bad)
    assert reason


def test_a_cut_end_is_found_by_a_checkpoint_alone() -> None:
    lines = written(10)

    assert verified(lines[:7])[0] == "ok"
    status, first_bad, reason = verified(lines[:7], point(lines, 9))
    assert (status, first_bad) == ("broken", 8)
    assert "the end is missing" in reason


def test_a_chain_that_was_computed_anew_is_found_by_a_checkpoint() -> None:
    lines = written(10)
    forged = [*lines[:4], *written(10, reason="nothing happened")[4:]]
    prev = msgspec.json.decode(lines[3], type=AuditRecord).hash
    for n in range(5, 11):
        record = chained(CHAIN, n, prev, entry(n, reason="nothing happened"))
        prev, forged[n - 1] = record.hash, line(record)

    assert verified(forged)[0] == "ok"
    status, first_bad, reason = verified(forged, point(lines, 4), point(lines, 9))
    assert (status, first_bad) == ("broken", 5)
    assert "computed anew" in reason


def test_a_later_part_is_verified_from_where_it_begins() -> None:
    lines = written(10)
    prev = msgspec.json.decode(lines[5], type=AuditRecord).hash
    verifier = Verifier(CHAIN, after=6, prev=prev)
    for one in lines[6:]:
        verifier.read(one)

    told = verifier.verdict([point(lines, 3), point(lines, 8)])

    assert (told.status, told.records, told.checkpoints) == ("ok", 4, 1)


@given(st.text(max_size=60), st.integers(0, 400), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(text: str, place: int, change: int) -> None:
    lines = written(3, reason=text)
    middle = bytearray(lines[1].strip())
    middle[place % len(middle)] ^= change

    status, first_bad, _ = verified([lines[0], bytes(middle), lines[2]])

    assert (status, first_bad) == ("broken", 2)


@given(st.text(max_size=200))
def test_lines_are_printable_ascii_whatever_is_in_them(text: str) -> None:
    record = chained(CHAIN, 1, START, entry(1, reason=text, resource=text))
    told = line(record)

    assert all(0x20 <= byte <= 0x7E for byte in told[:-1])
    assert msgspec.json.decode(told, type=AuditRecord) == record


def test_secrets_are_hidden_by_name_and_long_texts_cut() -> None:
    told = redacted(
        {
            "token": "nxa_1",
            "token_id": "k3v9",
            "name": "x" * 9999,
            "deep": {"password": "p", "role": "admin"},
        }
    )

    assert told["token"] == HIDDEN
    assert told["token_id"] == "k3v9"
    assert len(told["name"]) == TEXT_MAX
    assert told["deep"] == {"password": HIDDEN, "role": "admin"}


def test_a_checkpoint_is_signed_over_all_that_it_says() -> None:
    key = Ed25519PrivateKey.generate()
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = base64.b64encode(key.public_key().public_bytes(*raw)).decode()
    bare = Checkpoint(
        chain=CHAIN, seq=3, hash="0" * 64, time=NOW, key=public, signature=""
    )
    signature = base64.b64encode(key.sign(signed_part(bare))).decode()
    good = msgspec.structs.replace(bare, signature=signature)

    assert is_signed(good)
    assert not is_signed(msgspec.structs.replace(good, seq=4))
    assert not is_signed(msgspec.structs.replace(good, signature="!"))


def test_secrets_in_lists_are_hidden_and_numbers_are_none() -> None:
    told = redacted(
        {
            "receivers": [{"name": "ops", "secret": "s"}, {"password": ["p"]}],
            "tokens": 1000,
            "token": None,
            "public_key": "abc",
        }
    )

    assert told == {
        "receivers": [{"name": "ops", "secret": HIDDEN}, {"password": HIDDEN}],
        "tokens": 1000,
        "token": None,
        "public_key": "abc",
    }


def test_of_what_is_large_only_plain_values_are_kept() -> None:
    told = redacted({"name": "a", "count": 3, "many": [{"x": "y" * 400}] * 32})

    assert told == {"name": "a", "count": 3, "many": CUT}


def test_what_is_the_same_before_and_after_is_left_out() -> None:
    was = {"id": "a", "state": "up", "version": 1, "gone": True}
    now = {"id": "a", "state": "draining", "version": 1, "new": 2}

    assert differing(was, now) == (
        {"id": "a", "state": "up", "gone": True},
        {"id": "a", "state": "draining", "new": 2},
    )
    assert differing({}, now) == ({}, now)


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
            lambda deeper: (
                st.lists(deeper) | st.dictionaries(st.text(max_size=12), deeper)
            ),
        ),
    )
)
def test_any_state_makes_a_record_of_bounded_size(state: dict[str, Any]) -> None:
    entry = entry_of(time=NOW, event="x", actor="a", before=state, after=state)
    text = line(chained("a/1", 1, START, entry))

    assert msgspec.json.decode(text)["entry"]["before"] == msgspec.to_builtins(
        entry.before
    )
    assert len(text) < 60_000
