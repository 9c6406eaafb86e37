import math

import pytest
from hypothesis import given, strategies as st

from nexa_tui.state.charts import (
    STEPS,
    Glyphs,
    area,
    ceiling,
    gauge,
    per_cell,
    sparkline,
)

SAMPLES = st.lists(
    st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False)), max_size=60
)
GLYPHS = st.sampled_from(["braille", "block", "ascii"])


@given(SAMPLES, st.integers(0, 30), st.integers(1, 8), GLYPHS, st.booleans())
def test_a_chart_fills_exactly_its_place(
    samples: list[float | None], width: int, height: int, glyphs: Glyphs, down: bool
) -> None:
    lines = area(samples, width, height, glyphs=glyphs, high=100.0, down=down)

    assert len(lines) == height
    for line in (*lines, sparkline(samples, width, glyphs=glyphs)):
        assert len(line.text) == len(line.steps) == width
        assert all(0 <= step < STEPS for step in line.steps)
        assert "".join(text for text, _ in line.runs()) == line.text


def test_braille_shows_two_samples_in_a_character() -> None:
    assert per_cell("braille") == 2
    assert sparkline([0, 25, 50, 75, 100, 100], 3, high=100).text == "⣀⣴⣿"


def test_blocks_and_ascii_show_one() -> None:
    levels = [0, 50, 100]

    assert sparkline(levels, 3, glyphs="block", high=100).text == "▁▄█"
    assert sparkline(levels, 3, glyphs="ascii", high=100).text == ".:|"


def test_no_sample_draws_nothing_and_zero_draws_the_ground() -> None:
    assert sparkline([None, None, 0.0, 0.0], 2, high=10).text == " ⣀"


def test_missing_history_is_blank_at_the_left() -> None:
    assert sparkline([1.0, 1.0], 3, high=1).text == "  ⣿"


def test_the_newest_samples_are_shown() -> None:
    assert sparkline([100.0] * 50 + [0.0] * 4, 2, high=100).text == "⣀⣀"


def test_an_area_grows_from_its_ground() -> None:
    upper, lower = area([50.0, 50.0], 1, 2, high=100)
    assert (upper.text, lower.text) == (" ", "⣿")

    first, second = area([50.0, 50.0], 1, 2, high=100, down=True)
    assert (first.text, second.text) == ("⣿", " ")


@pytest.mark.parametrize("glyphs", ["block", "ascii"])
def test_hanging_areas_have_glyphs_of_their_own(glyphs: Glyphs) -> None:
    hanging = area([30.0], 1, 1, glyphs=glyphs, high=100, down=True)[0].text

    assert hanging != area([30.0], 1, 1, glyphs=glyphs, high=100)[0].text


def test_steps_follow_height_in_areas_and_value_in_sparklines() -> None:
    assert [line.steps[0] for line in area([1.0], 1, 4, high=1)] == [7, 5, 3, 1]
    low, high = sparkline([1.0, 1.0, 100.0, 100.0], 2, high=100).steps
    assert low < high


@given(st.floats(-0.5, 1.5), st.integers(0, 40))
def test_a_gauge_is_never_longer_than_its_place(fraction: float, width: int) -> None:
    assert len(gauge(fraction, width).text) <= width


def test_something_is_not_nothing() -> None:
    assert gauge(0.001, 10).text == "■"
    assert gauge(0.0, 10).text == ""
    assert gauge(None, 10).text == ""
    assert gauge(1.0, 4, ascii_only=True).text == "####"


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_a_ceiling_is_round_and_not_below_any_sample(samples: list[float]) -> None:
    top = ceiling(samples)
    figure = top / 10 ** math.floor(math.log10(top))

    assert top >= max(samples) * (1 - 1e-6)
    assert round(figure, 6) in {1.0, 2.0, 5.0, 10.0}


def test_a_ceiling_of_nothing_is_one_above_the_ground() -> None:
    assert ceiling([], 3.0) == 4.0
    assert ceiling([None]) == 1.0


def test_a_scale_without_height_draws_the_ground() -> None:
    assert sparkline([5.0, 5.0], 1, low=5, high=5).text == "⣀"
