"""Messages: a bounded tail, and data laid out so that it can be read."""

import pytest

from nexa_node.contract.messages import Posted
from nexa_tui.state.exporting import harmless, table_csv
from nexa_tui.state.listing import Look
from nexa_tui.state.messages import Tail, message_lines, preview, written
from tests.builders import NOW


def posted(seq: int, data: object = None) -> Posted:
    return Posted(seq=seq, id="m", sender="a", topic="t", type="x", time=NOW, data=data)


def test_the_tail_keeps_the_newest_by_number_and_by_bytes() -> None:
    few = Tail(most=3)
    few.take([posted(n) for n in range(10)])
    assert [one.seq for one in few.all()] == [7, 8, 9]
    assert few.seen == 10

    small = Tail(most_bytes=1000)
    small.take([posted(n, "x" * 400) for n in range(5)])
    assert [one.seq for one in small.all()] == [3, 4]
    small.take([posted(9, "x" * 5000)])
    assert [one.seq for one in small.all()] == [9]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"a": [1]}, '{\n  "a": [\n    1\n  ]\n}'),
        ('{"a":1}', '{\n  "a": 1\n}'),
        ("plain {", "plain {"),
        (3, "3"),
    ],
)
def test_data_is_laid_out_also_where_json_is_in_a_text(data: object, text: str) -> None:
    assert written(data) == text


def test_nothing_that_was_sent_reaches_the_screen_raw() -> None:
    evil = posted(1, "a\x1b]52;c;eA==\x07\u202eb\nc")

    assert preview(evil).isprintable()
    for one in message_lines(evil, Look(NOW)):
        text = getattr(one, "text", "") + getattr(one, "title", "")
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert preview(posted(1)) == ""
    assert getattr(message_lines(posted(1), Look(NOW))[-1], "text", "") == "none"


@pytest.mark.parametrize(
    ("text", "safe"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-5.2", "-5.2"), ("-x", "'-x"), ("wc", "wc")],
)
def test_an_export_holds_nothing_that_a_spreadsheet_computes(
    text: str, safe: str
) -> None:
    assert harmless(text) == safe


def test_rows_of_different_fields_share_one_table() -> None:
    assert table_csv([{"a": 1, "b": "x"}, {"c": "=y"}]) == "a,b,c\n1,x,\n,,'=y\n"
