import pytest
from hypothesis import given, strategies as st

from nexa_tui.state.filters import NOTHING, parse

KEYS = frozenset(("state", "id"))
ROW = {"state": "▸ busy", "id": "wc-12"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("   ", True),
        ("wc", True),
        ("WC", True),
        ("idle", False),
        ("!idle", True),
        ("!wc", False),
        ("state:busy", True),
        ("state:wc", False),
        ("!state:busy", False),
        ("re:^wc-[0-9]+$", True),
        ("id:re:^wc-1$", False),
        ("id:re:2$", True),
        ('"▸ busy"', True),
        ('state:"▸ idle"', False),
        ("wc state:busy", True),
        ("wc state:idle", False),
    ],
)
def test_a_row_fits_when_every_word_does(text: str, fits: bool) -> None:
    assert parse(text, KEYS).accepts(ROW) is fits


def test_an_open_bracket_is_told_and_the_last_good_one_stays() -> None:
    good = parse("idle", KEYS)
    bad = parse("re:[a", KEYS, good)

    assert bad.error is not None
    assert bad.text == "re:[a"
    assert bad.accepts is good.accepts


def test_an_unknown_column_is_told_with_those_there_are() -> None:
    told = parse("stat:busy", KEYS)

    assert told.error == "no column stat; there are id, state"


def test_nothing_typed_filters_nothing() -> None:
    assert not NOTHING
    assert not parse("  ", KEYS)
    assert parse("x", KEYS)


@given(st.text(max_size=300))
def test_whatever_is_typed_means_something_or_is_told(text: str) -> None:
    understood = parse(text, KEYS)

    assert isinstance(understood.accepts(ROW), bool)
