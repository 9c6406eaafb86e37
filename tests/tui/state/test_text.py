import unicodedata

import pytest
from hypothesis import given, strategies as st

from nexa_tui.state.text import MARKS_MAX, clean, clean_lines, cut
from tests.tui.hostile import CORPUS, MARKUP

ANYTHING = st.text(st.characters(), max_size=80)


def acts_or_hides(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.mark.parametrize("text", CORPUS)
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    made = clean(text)

    assert not any(map(acts_or_hides, made))
    assert made.isprintable()


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_plain_text(text: str) -> None:
    assert clean(text) == text


@given(ANYTHING, st.integers(1, 60))
def test_whatever_comes_is_printable_and_no_longer_than_the_limit(
    text: str, limit: int
) -> None:
    made = clean(text, limit)

    assert made.isprintable()
    assert len(made) <= limit
    made.encode()  # lone surrogates could not be written


@given(ANYTHING, st.integers(1, 60))
def test_cleaning_again_changes_nothing(text: str, limit: int) -> None:
    once = clean(text, limit)

    assert clean(once, limit) == once


def test_control_characters_become_their_pictures() -> None:
    assert clean("a\x1b[31m\x00\x7f") == "a␛[31m␀␡"


def test_line_ends_and_tabs_stay_on_one_line() -> None:
    assert clean("one\ntwo\tthree\u2028four") == "one␊two three␊four"


def test_unseen_characters_leave_a_mark() -> None:
    assert clean("ad\u200bmin\u202e") == "ad\ufffdmin\ufffd"


@pytest.mark.parametrize(
    "text", ["résumé", "结果分析", "Ünï", "नमस्ते", "שלום", "naïve 👍"]
)
def test_living_languages_pass(text: str) -> None:
    assert clean(text) == text


def test_marks_are_capped() -> None:
    made = clean("Z" + "\u0301" * 50)

    assert made.count("\u0301") == MARKS_MAX
    assert made.endswith("\ufffd")


def test_a_mark_with_nothing_to_sit_on_is_replaced() -> None:
    assert clean("\u0301x").startswith("\ufffd")


def test_a_cut_is_told() -> None:
    assert clean("abcdefgh", 4) == "abc…"
    assert clean("\x1b" * 10, 4) == "␛␛␛…"
    assert clean("a" + "\u0301" * 10_000, 4).endswith("…")


def test_lines_are_cleaned_one_by_one_and_counted() -> None:
    assert clean_lines("a\r\nb\x1b\nc") == ("a", "b␛", "c")
    assert clean_lines("a\nb\nc\nd", lines=2) == ("a", "… 3 more lines")


def test_clean_text_is_cut() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"
