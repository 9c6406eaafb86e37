from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.submitting import submit
from tests import builders
from tests.builders import NOW, new_task

SOON = NOW + timedelta(minutes=1)


def first(parent: Task | None = None, **fields: Any) -> Task:
    return submit(
        new_task(**fields),
        task_id=TaskId("t"),
        submitter="token:op1",
        now=NOW,
        parent=parent,
    )


def test_a_delay_is_kept_as_a_moment() -> None:
    assert first(delay_ms=60_000).not_before == SOON
    assert first(not_before=SOON).not_before == SOON


def test_a_moment_that_is_past_is_no_delay() -> None:
    assert first(not_before=NOW - timedelta(days=9)).not_before is None
    assert first(delay_ms=0).not_before is None


@pytest.mark.parametrize("end", ["deadline", "start_by"])
def test_a_task_that_would_never_run_is_refused(end: str) -> None:
    assert first(delay_ms=59_999, **{end: SOON}).not_before is not None
    with pytest.raises(Invalid, match=f"not before the {end}"):
        first(delay_ms=60_000, **{end: SOON})


def test_a_year_is_the_longest_delay() -> None:
    year = timedelta(days=365)
    assert first(not_before=NOW + year).not_before == NOW + year
    with pytest.raises(Invalid, match="365 days"):
        first(not_before=NOW + year + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("said", "of_parent", "hops"), [(0, None, 0), (3, None, 3), (0, 4, 5), (9, 4, 9)]
)
def test_delegations_are_counted(said: int, of_parent: int | None, hops: int) -> None:
    parent = None if of_parent is None else builders.task("p", hops=of_parent)

    assert first(parent, hops=said).hops == hops


def test_too_many_delegations_are_a_circle() -> None:
    assert first(builders.task("p", hops=15)).hops == 16
    with pytest.raises(Invalid, match="17 delegations"):
        first(builders.task("p", hops=16))
