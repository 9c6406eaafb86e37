import pytest
from hypothesis import given, strategies as st

from nexa_tui.state.lookalikes import mixed_words, spelled_out, warnings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("аdmin", ("аdmin",)),  # а is Cyrillic
        ("the token of οperator-1", ("οperator",)),  # ο is Greek
        ("ａdmin", ("ａdmin",)),  # full width
        ("аdmin and аdmin", ("аdmin",)),
        ("admin", ()),
        ("админ", ()),
        ("token админ of team-a", ()),
        ("Ünïted 5µs", ()),
        ("日本のagent", ()),
        ("", ()),
    ],
)
def test_words_of_two_alphabets_that_look_alike(
    text: str, words: tuple[str, ...]
) -> None:
    assert mixed_words([text]) == words


def test_it_is_told_which_letter_is_which() -> None:
    assert spelled_out("аdmіn") == "а Cyrillic, dm Latin, і Cyrillic, n Latin"
    assert warnings(["revoke аdmin"]) == (
        "! аdmin mixes alphabets: а Cyrillic, dmin Latin.",
    )


@given(st.lists(st.text(st.characters(max_codepoint=127))))
def test_ascii_never_warns(texts: list[str]) -> None:
    assert warnings(texts) == ()


@given(st.lists(st.text()))
def test_any_text_is_judged(texts: list[str]) -> None:
    assert len(warnings(texts)) == len(mixed_words(texts))
