from itertools import combinations

import pytest

from nexa_tui import actions
from nexa_tui.actions import ACTIONS, FORBIDDEN_KEYS, Keymap, find, key_code, key_name

PLACES = ("splash", "overview", "nodes", "agents", "tasks", "events", "detail")


def test_no_key_means_two_things_in_one_place() -> None:
    for first, second in combinations(ACTIONS, 2):
        shared = set(first.keys) & set(second.keys)
        lists = {"nodes", "agents", "tasks", "alerts", "silences", "events"}
        where = [set(one.where) for one in (first, second)]
        where = [places | (lists if "list" in places else set()) for places in where]
        together = where[0] & where[1] or any(
            "everywhere" in places for places in where
        )
        detail = where[0] & where[1] == {"detail"}  # a detail is of one kind only
        chart = {first.id, second.id} == {"back", "zoom-in"}  # + and - belong to charts

        assert not shared or not together or detail or chart, (
            first.id,
            second.id,
            shared,
        )


def test_keys_that_terminals_need_are_not_taken() -> None:
    taken = {key for action in ACTIONS for key in action.keys}

    assert not taken & FORBIDDEN_KEYS
    assert not any(key.startswith("alt+") for key in taken)


def test_a_key_that_was_given_away_twice_is_told() -> None:
    assert Keymap().conflicts() == ()
    assert Keymap({"sort": "q"}).conflicts() == ("q is both sort and quit",)
    twice = Keymap({"sort": "f5", "filter": "f5"}).conflicts()
    assert [one for one in twice if "sort" in one and "filter" in one]
    assert Keymap({"run-check": "s"}).conflicts() != ()  # both of the splash
    assert Keymap({"sort": "D"}).conflicts() != ()


def test_what_destroys_is_shifted_and_needs_a_right() -> None:
    dangerous = [action for action in ACTIONS if action.dangerous]

    assert {action.id for action in dangerous} == {
        "task-cancel",
        "agent-disconnect",
        "agent-drain",
        "node-drain",
        "node-maintenance",
        "node-remove",
        "silence-expire",
        "purge",
        "token-revoke",
    }
    assert all(action.keys[0].isupper() for action in dangerous)
    assert all(action.right != "watch" for action in dangerous)


@pytest.mark.parametrize(
    ("role", "read_only", "may"),
    [
        ("operator", False, True),
        ("admin", False, True),
        ("viewer", False, False),
        ("operator", True, False),
        ("somebody-new", False, False),
        (None, False, True),
    ],
)
def test_who_may_cancel(role: str | None, read_only: bool, may: bool) -> None:
    cancel = actions.BY_ID["task-cancel"]

    assert actions.permitted(cancel, role=role, read_only=read_only) is may
    assert actions.permitted(actions.BY_ID["help"], role=role, read_only=read_only)


def test_the_key_bar_shows_the_most_useful_first_and_nothing_refused() -> None:
    bar = Keymap().bar("tasks", role="viewer", read_only=False)

    assert [action.id for action in bar][:3] == ["open", "filter", "problems"]
    assert "task-cancel" not in [action.id for action in bar]
    assert [action.id for action in bar][-2:] == ["pause", "quit"]


def test_every_place_has_its_keys() -> None:
    for place in PLACES:
        assert Keymap().at(place), place  # pyright: ignore[reportArgumentType]


def test_keys_can_be_changed() -> None:
    keymap = Keymap({"filter": "f, ctrl+f", "help": "?", "sort": " , "})

    assert keymap.by_id["filter"].keys == ("f", "ctrl+f")
    assert keymap.by_id["help"].keys == ("question_mark",)
    assert keymap.by_id["sort"].keys == actions.BY_ID["sort"].keys


def test_words_are_understood_with_what_follows() -> None:
    def understood(text: str) -> tuple[str, str] | None:
        found = find(text)
        return None if found is None else (found[0].id, found[1])

    assert understood("task cancel 01j") == ("task-cancel", "01j")
    assert understood("  task   list ") == ("view-tasks", "")
    assert understood("theme nexa-light") == ("theme", "nexa-light")
    assert understood("tasks") is None
    assert understood("") is None


def test_keys_read_as_people_say_them() -> None:
    assert key_name("question_mark") == "?"
    assert key_name("G") == "G"
    assert key_code("?") == "question_mark"
    assert key_code("slash") == "slash"
    assert key_code("x") == "x"
