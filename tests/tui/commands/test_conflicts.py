"""`nexa cluster conflicts`: what there was, and both histories of one."""

from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.asgi import bucket_examples as examples
from nexa_node.contract.errors import NotFound
from nexa_node.contract.rest import Page
from tests.tui.served import port, say


def test_conflicts_are_listed_and_one_is_shown_with_both_sides(tmp_path: Path) -> None:
    one = examples.CONFLICT
    with port() as there:
        there.answers |= {
            "GET /v1/conflicts": examples.CONFLICTS,
            f"GET /v1/conflicts/{one.id}": one,
        }
        listed = say(tmp_path, there.url, "cluster", "conflicts")
        shown = say(tmp_path, there.url, "cluster", "conflicts", "show", one.id)
        told = say(
            tmp_path, there.url, "cluster", "conflicts", "show", one.id, "--json"
        )

    assert one.id in listed.out
    assert one.message in shown.out
    assert "token:ab12: what it did holds" in shown.out
    assert "token:cd34: what it did does not hold" in shown.out
    assert '{"threshold":5}' in shown.out
    assert msgspec.json.decode(told.out, type=type(one)) == one


@pytest.mark.parametrize("words", [("show",), ("show", "none")])
def test_one_that_is_not_there_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    with port() as there:
        there.answers["GET /v1/conflicts/none"] = NotFound("no conflict 'none'")
        said = say(tmp_path, there.url, "cluster", "conflicts", *words)

    assert said.code != 0
    assert "conflict" in said.err


def test_without_any_that_is_said(tmp_path: Path) -> None:
    with port() as there:
        there.answers["GET /v1/conflicts"] = Page[object](items=())
        said = say(tmp_path, there.url, "cluster", "conflicts", "list")

    assert "no conflicts" in said.out + said.err


def test_what_may_be_old_is_said_beside_the_answer(tmp_path: Path) -> None:
    with port() as there:
        there.answers["GET /v1/conflicts"] = Page[object](items=())
        there.stale = True
        old = say(tmp_path, there.url, "cluster", "conflicts", "--json")
        there.stale = False
        new = say(tmp_path, there.url, "cluster", "conflicts", "--json")

    assert old.out == new.out
    assert "this may be old" in old.err
    assert "old" not in new.err
