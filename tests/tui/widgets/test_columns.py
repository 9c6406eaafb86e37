from hypothesis import given, strategies as st
from rich.cells import cell_len

from nexa_tui.state.text import clean
from nexa_tui.widgets.columns import Column, filled, fit

COLUMNS = (
    Column("state", "state", 8),
    Column("name", "name", 10, flexible=1),
    Column("done", "done", 6, "right", priority=1),
    Column("node", "node", 10, priority=2),
)


def test_all_columns_stand_side_by_side_where_there_is_room() -> None:
    places = fit(COLUMNS, 60, 2)

    assert [place.index for place in places] == [0, 1, 2, 3]
    assert places[-1].x + places[-1].width == 60
    assert [place.right for place in places] == [False, False, True, False]


def test_the_highest_priority_goes_first() -> None:
    assert [place.index for place in fit(COLUMNS, 30, 1)] == [0, 1, 2]
    assert [place.index for place in fit(COLUMNS, 20, 1)] == [0, 1]


def test_what_always_stays_is_cut_at_last() -> None:
    places = fit(COLUMNS, 12, 1)

    assert [(place.index, place.width) for place in places] == [(0, 8), (1, 3)]
    assert [place.index for place in fit(COLUMNS, 5, 1)] == [0]


def test_flexible_columns_share_what_is_left_by_weight() -> None:
    columns = (Column("a", "a", 5, flexible=1), Column("b", "b", 5, flexible=3))

    assert [place.width for place in fit(columns, 19, 1)] == [7, 11]


@given(st.integers(0, 200), st.integers(1, 2))
def test_columns_never_leave_their_table(width: int, gap: int) -> None:
    places = fit(COLUMNS, width, gap)

    assert all(place.x + place.width <= width for place in places)


@given(st.text(max_size=30), st.integers(0, 20), st.booleans())
def test_a_text_fills_exactly_its_place(text: str, width: int, right: bool) -> None:
    assert cell_len(filled(clean(text), width, right=right)) == width


def test_a_cut_is_told_and_figures_stand_at_the_right() -> None:
    assert filled("abcdef", 4) == "abc…"
    assert filled("结果分析", 5) == "结果…"
    assert filled("12", 4, right=True) == "  12"
    assert filled("结", 4, right=True) == "  结"
    assert filled("abcdef", 4, mark="~") == "abc~"


def test_what_differs_at_its_end_is_cut_in_the_middle() -> None:
    first, second = (
        filled(f"agent/default.words-{n}", 14, tail=True) for n in ("fast", "slow")
    )

    assert (first, second) == ("agent/…ds-fast", "agent/…ds-slow")
    assert filled("agent/default.words", 6, tail=True) == "agent…"
    assert filled("agent/x", 9, tail=True) == "agent/x  "
