"""What an operator may type where a span of time is asked for."""

import argparse

import pytest

from nexa_tui.commands.arguments import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("2s", 2),
        ("1.5m", 90),
        ("2h", 7200),
        ("1d", 86400),
    ],
)
def test_a_span_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "m", "-1", "nan", "inf", "5 minutes", "1e99", "2w", "nans"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)
