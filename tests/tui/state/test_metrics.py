import math

import pytest

from nexa_tui.state.metrics import QUESTIONS, Question, read, step_of, together, told

SUM = Question("k", "title", "up", "count")
WORST = Question("k", "title", "up", "count", "max")


def test_points_are_put_on_their_steps_and_gaps_stay_gaps() -> None:
    matrix = [({"instance": "a"}, ((100.0, 1.0), (121.0, 3.0), (999.0, 9.0)))]

    answer = read(matrix, start=100, step=10, steps=4)

    assert answer.drawings[0].values == (1.0, None, 3.0, None)
    assert answer.drawings[0].name == "instance=a"
    assert answer.drawings[0].last == 3.0
    assert answer.at(1).timestamp() == 110


def test_series_are_sorted_by_their_newest_value_and_unknown_ones_last() -> None:
    matrix = [
        ({"i": "low"}, ((0.0, 1.0),)),
        ({"i": "never"}, ((0.0, math.nan),)),
        ({"i": "high"}, ((0.0, 2.0),)),
    ]

    answer = read(matrix, start=0, step=10, steps=1)

    assert [one.labels["i"] for one in answer.drawings] == ["high", "low", "never"]


def test_one_line_of_several_series_is_their_sum_or_the_worst() -> None:
    matrix = [({"i": "a"}, ((0.0, 1.0),)), ({"i": "b"}, ((0.0, 2.0), (10.0, 5.0)))]
    answer = read(matrix, start=0, step=10, steps=3)

    assert together(answer, SUM) == (3.0, 5.0, None)
    assert together(answer, WORST) == (2.0, 5.0, None)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "count", "-"),
        (0.0123, "seconds", "12 ms"),
        (0.5, "percent", "50%"),
        (12, "count", "12"),
        (12_345, "count", "12.3k"),
        (3.25, "per_second", "3.2/s"),
        (2048, "bytes", "2.00 KiB"),
        (2048, "bytes_per_second", "2.00 KiB/s"),
    ],
)
def test_values_have_units(value: float | None, unit: str, words: str) -> None:
    assert told(value, unit) == words  # type: ignore[arg-type]  # a parameter


def test_no_step_is_finer_than_the_samples() -> None:
    assert step_of(300, 500) == 10
    assert step_of(86_400, 200) == 432


def test_every_question_has_its_own_key() -> None:
    assert len({one.key for one in QUESTIONS}) == len(QUESTIONS)
