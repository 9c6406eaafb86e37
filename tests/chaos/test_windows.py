"""Windows: how long a fault kept clients waiting, from their own histories."""

import pytest

from tests.chaos.histories import op
from tests.system.chaos.history import Op
from tests.system.chaos.windows import Struck, longest_gap, slowest, windows


def fault(began: float, settled: float, kind: str = "kill") -> Struck:
    return Struck(kind, "alpha", began, began + 1, settled)


def send(begun: float, ended: float | None, number: int = 0) -> Op:
    return op("message.send", number, begun, ended, {"seq": number})


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([9, 12, 13, 20], 7),
        ([9, 15, 16, 20], 5),
        ([10, 11, 12, 30], 8),  # what the next fault made longer is not this one's
        ([9, 30], 10),  # nothing until the next fault
        ([9], None),  # nothing after it at all
    ],
)
def test_the_longest_time_without_a_success_counts_from_the_fault_on(
    ends: list[float], expected: float | None
) -> None:
    assert longest_gap(ends, fault(10, 20)) == expected


def test_windows_are_by_kind_and_service() -> None:
    ops = [send(0, 1), send(1, 14, 1), send(14, 15, 2), send(15, 30, 3)]
    faults = [fault(10, 20), fault(20, 40, "stop")]

    assert windows(faults, ops) == {
        "kill": {"messages": [5.0]},
        "stop": {"messages": [10.0]},
    }


def test_a_call_that_was_made_again_counts_from_its_first_try() -> None:
    ops = [send(8, None), send(11, None), send(14, 15)]

    assert slowest([fault(10, 20)], ops) == {"kill": {"messages": [7.0]}}


def test_calls_that_did_not_meet_a_fault_do_not_count() -> None:
    assert slowest([fault(10, 20)], [send(1, 2), send(30, 31, 1)]) == {}
