import pytest

from nexa_node.contract.errors import NexaError
from nexa_tui.state import splash
from tests.builders import check


def run_of(*statuses: str, finished: bool = True) -> splash.Run:
    run = splash.begin(10.0)
    for number, status in enumerate(statuses):
        run = splash.take(run, check(f"node.c{number}", status=status), 11.0)
    return splash.finish(run, 12.0) if finished else run


@pytest.mark.parametrize(
    ("statuses", "finished", "standing"),
    [
        (("pass", "skipped"), True, "pass"),
        (("pass", "warn"), True, "warn"),
        (("pass", "warn", "fail"), True, "fail"),
        (("pass",), False, "running"),
        (("fail", "running"), False, "fail"),
        ((), True, "pass"),
    ],
)
def test_the_worst_check_decides(
    statuses: tuple[str, ...], finished: bool, standing: str
) -> None:
    assert run_of(*statuses, finished=finished).standing() == standing


def test_green_goes_on_by_itself_a_failure_waits() -> None:
    assert run_of("pass").goes_on_at() == 12.0 + splash.GOES_ON_S
    assert run_of("warn").goes_on_at() == 12.0 + splash.WARNED_S
    assert run_of("fail").goes_on_at() is None
    assert run_of("pass", finished=False).goes_on_at() is None


def test_a_check_without_a_result_is_not_left_running() -> None:
    run = run_of("pass", "running")
    lost = run.checks["node.c1"]

    assert lost.status == "fail"
    assert lost.cause
    assert lost.remedy


def test_groups_come_in_their_order_whatever_came_first() -> None:
    run = splash.begin(0.0)
    for check_id in ("node.store", "machine.disk", "cluster.peers", "machine.cpu"):
        run = splash.take(run, check(check_id), 0.1)

    assert [one.id for one in run.in_order()] == [
        "machine.disk",
        "machine.cpu",
        "node.store",
        "cluster.peers",
    ]
    assert [group for group, _ in run.groups()] == ["machine", "node", "cluster"]


def test_a_running_check_counts_its_own_time() -> None:
    run = splash.take(splash.begin(0.0), check(status="running", duration_ms=None), 1.0)
    run = splash.take(run, check(status="running", duration_ms=None), 2.0)

    assert run.elapsed_ms(run.checks["node.store"], 3.5) == 2000.0
    assert run.elapsed_ms(run.checks["node.store"], 1.5) is None
    assert run.elapsed_ms(check(duration_ms=7.0), 3.5) == 7.0
    assert run.total_ms(4.0) == 4000.0


def test_running_again_keeps_what_is_known_in_sight() -> None:
    run = splash.again(run_of("pass", "fail"), 20.0, only="node.c1")

    assert run.checks["node.c0"].status == "pass"
    assert run.checks["node.c1"].status == "pending"
    assert run.finished is None
    assert run.started == 20.0
    assert splash.again(run_of("pass"), 20.0).checks["node.c0"].status == "pending"


def test_a_run_that_could_not_be_done_failed() -> None:
    run = splash.finish(splash.begin(0.0), 1.0, NexaError("no python"))

    assert run.standing() == "fail"
    assert run.goes_on_at() is None


def test_the_eye_finds_the_first_failure_then_the_first_warning() -> None:
    worst = run_of("pass", "warn", "fail").worst()
    warned = run_of("pass", "warn").worst()

    assert worst is not None
    assert worst.id == "node.c2"
    assert warned is not None
    assert warned.id == "node.c1"
    assert run_of("pass").worst() is None
    assert run_of("pass", "running", finished=False).done() == 1
