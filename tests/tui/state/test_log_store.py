"""A million lines: packed, found by number, filtered a piece at a time."""

from datetime import UTC, datetime, timedelta

import pytest

from nexa_node.contract.logs import LogLine
from nexa_tui.state.filters import NOTHING, parse
from nexa_tui.state.listing import Look
from nexa_tui.state.log_index import LogIndex
from nexa_tui.state.log_store import BLOCK, UNPACKED_MAX, LogStore
from nexa_tui.state.logs import KEYS, line_lines, moment_of, said, words_of

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def line(n: int, *, level: str = "info", **fields: object) -> LogLine:
    return LogLine(
        seq=n, time=T0 + timedelta(milliseconds=n), level=level, node=f"n{n % 3}",  # pyright: ignore[reportArgumentType]  # one of the five
        component="nexa.tasks", event=f"event {n}", fields=dict(fields),
    )  # fmt: skip


def filled(count: int, *, most: int = 1_000_000) -> LogStore:
    store = LogStore(most=most)
    store.add(
        [line(n, level="error" if n % 100 == 0 else "info") for n in range(count)]
    )
    return store


def test_every_line_is_found_by_its_number_whatever_block_it_is_in() -> None:
    store = filled(3 * BLOCK + 7)

    assert [store.get(n).seq for n in (0, BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 6)] == [
        0, BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 6,
    ]  # fmt: skip
    told = list(store.between(BLOCK - 2, BLOCK + 2))
    assert [(n, one.seq) for n, one in told] == [
        (n, n) for n in range(BLOCK - 2, BLOCK + 2)
    ]
    assert [n for n, _ in store.between(3 * BLOCK + 5, 10**9)] == [
        3 * BLOCK + 5,
        3 * BLOCK + 6,
    ]


def test_a_full_store_drops_the_oldest_and_numbers_stay() -> None:
    store = filled(5 * BLOCK, most=2 * BLOCK)

    assert len(store) == 2 * BLOCK
    assert store.first == 3 * BLOCK
    assert store.get(3 * BLOCK).seq == 3 * BLOCK


def test_older_lines_get_lower_numbers_as_far_as_there_is_room() -> None:
    store = LogStore(most=2 * BLOCK)
    store.add([line(n) for n in range(1000, 1010)])

    assert store.add_before([line(n) for n in range(400, 1000)]) == 600
    assert (store.first, store.get(-600).seq, store.get(-1).seq) == (-600, 400, 999)
    assert store.add_before([line(n) for n in range(1000)]) == 2 * BLOCK - 610
    assert store.add_before([line(1)]) == 0


def test_a_million_lines_take_little_and_any_of_them_is_there_at_once() -> None:
    store = LogStore()
    some = [line(n, agent="wc-1") for n in range(BLOCK)]
    for _ in range(1_000_000 // BLOCK):
        store.add(some)

    assert len(store) > 999_000
    assert store.packed_bytes < 40_000_000
    for n in range(0, len(store), 50_000):
        assert store.get(n).seq == n % BLOCK
    assert len(store._unpacked) <= UNPACKED_MAX  # pyright: ignore[reportPrivateUsage]


def test_a_filter_looks_at_the_newest_first_and_goes_on_in_pieces() -> None:
    store = filled(3000)
    index = LogIndex(store, parse("level:error", KEYS))

    assert index.look(1000) == 10
    assert not index.done
    assert 0.3 < index.share < 0.4
    assert index.line(len(index) - 1).seq == 2900
    while not index.done:
        index.look(1000)
    assert [index.line(row).seq for row in range(len(index))] == list(
        range(0, 3000, 100)
    )

    store.add([line(3000, level="error"), line(3001)])
    assert not index.done
    assert index.look() == 0
    assert index.line(len(index) - 1).seq == 3000


def test_what_is_dropped_leaves_the_index_too() -> None:
    store = filled(2 * BLOCK, most=2 * BLOCK)
    index = LogIndex(store, problems=True)
    while not index.done:
        index.look()
    before = len(index)
    store.add([line(n) for n in range(2 * BLOCK, 3 * BLOCK)])

    moved = index.look()

    assert moved < 0
    assert len(index) == before + moved
    assert index.line(0).seq >= store.first


def test_a_time_is_found_by_halves() -> None:
    index = LogIndex(filled(2000), NOTHING)

    assert index.row_at(1500) == 1500
    assert index.row_at(10**9) == 2000
    assert index.row_at(-5) == 0
    assert (index.done, index.share, index.look()) == (True, 1.0, 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("11:30", T0 - timedelta(minutes=30)),
        ("11:30:05", T0 - timedelta(minutes=29, seconds=55)),
        ("13:00", T0 - timedelta(hours=23)),
        ("5m", T0 - timedelta(minutes=5)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-03-01T11:00+01:00", T0 - timedelta(hours=2)),
    ],
)
def test_times_as_people_type_them(text: str, wanted: datetime) -> None:
    assert moment_of(text, T0) == wanted


@pytest.mark.parametrize(
    "text", ["", "25:00", "soon", "2026-99-01", "-5m", "9" * 40 + "d"]
)
def test_what_is_no_time_is_told_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match="14:03"):
        moment_of(text, T0)


def test_a_line_says_its_message_first_and_nothing_that_harms() -> None:
    told = line(1, message="it\nbroke \x1b[31m", why={"a": 1}, how="x")

    assert said(told).startswith("event 1  it broke ")
    assert "\x1b" not in said(told)
    assert 'why={"a":1} how=x' in said(told)
    assert words_of(told)["node"] == "n1"


def test_a_traceback_is_laid_out_under_its_name() -> None:
    told = line_lines(line(1, exception="Traceback\n  boom", tries=3), Look(T0))

    assert [getattr(one, "title", "") for one in told].count("exception") == 1
    assert any(getattr(one, "text", "") == "  boom" for one in told)
