from datetime import timedelta
from typing import Any

from hypothesis import given, strategies as st

from nexa_node.contract.tasks import PRIORITIES
from nexa_node.core.queue_book import QueueBook
from tests import builders
from tests.builders import NOW

STATUSES = ("pending", "assigned", "running", "completed", "dead_lettered")


def summary(number: int, **fields: Any) -> Any:
    submitted = NOW + timedelta(seconds=number)
    return builders.summary(f"t{number}", submitted=submitted, **fields)


def told(book: QueueBook, second: float = 0) -> dict[str, Any]:
    now = NOW + timedelta(seconds=second)
    return {each.kind.capability: each for each in book.backlogs(now)}


def test_each_state_is_counted_where_it_belongs() -> None:
    book = QueueBook()
    for number, status in enumerate(STATUSES):
        book.put(summary(number, status=status))

    [queue] = book.backlogs(NOW)
    assert (queue.pending, queue.running, queue.dead_lettered) == (1, 2, 1)


def test_what_is_done_with_leaves_nothing_behind() -> None:
    book = QueueBook()
    book.put(summary(1))
    book.put(summary(1, status="running"))
    book.put(summary(2))
    book.put(summary(1, status="completed"))
    book.remove("t2")
    book.remove("t2")

    assert book.backlogs(NOW) == []


def test_a_delayed_task_waits_from_its_time_on() -> None:
    book = QueueBook()
    book.put(summary(1, not_before=NOW + timedelta(seconds=60)))

    assert told(book, 59)["wc"].delayed == 1
    assert told(book, 59)["wc"].oldest is None
    queue = told(book, 60)["wc"]
    assert (queue.pending, queue.delayed) == (1, 0)
    assert queue.oldest == (NOW + timedelta(seconds=60)).timestamp()
    book.put(summary(1, status="running"))
    assert told(book, 60)["wc"].pending == 0


def test_the_oldest_is_the_one_that_might_have_begun_first() -> None:
    book = QueueBook()
    book.put(summary(9))
    book.put(summary(5, priority="high"))

    queue = told(book, 20)["wc"]
    assert queue.oldest == (NOW + timedelta(seconds=5)).timestamp()
    assert queue.by_priority == {"critical": 0, "high": 1, "normal": 1, "low": 0}


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from((*STATUSES, "gone")),
        st.sampled_from(PRIORITIES),
        st.integers(0, 20),
        st.booleans(),
    ),
    max_size=60,
)


@given(CHANGES)
def test_counting_as_it_changes_is_counting_all(changes: list[Any]) -> None:
    book, model = QueueBook(), {}
    for second, (number, status, priority, delay, look) in enumerate(changes):
        if status == "gone":
            book.remove(f"t{number}")
            model.pop(number, None)
        else:
            begins = NOW + timedelta(seconds=delay)
            model[number] = summary(
                number, status=status, priority=priority, not_before=begins
            )
            book.put(model[number])
        if look:
            told(book, second / 3)

    now = NOW + timedelta(seconds=len(changes) / 3)
    pending = [each for each in model.values() if each.status == "pending"]
    running = [each for each in model.values() if each.status in STATUSES[1:3]]
    dead = [each for each in model.values() if each.status == "dead_lettered"]
    if not (pending or running or dead):
        assert book.backlogs(now) == []
        return
    [queue] = book.backlogs(now)
    begun = [max(each.submitted, each.not_before) for each in pending]
    assert queue.pending == len(pending)
    assert sum(queue.by_priority.values()) == len(pending)
    # A task is told as delayed by its not_before alone, not by its submission.
    ready = [
        each for each, task in zip(begun, pending, strict=True)
        if task.not_before <= max(now, task.submitted)
    ]  # fmt: skip
    assert queue.delayed == len(pending) - len(ready)
    assert queue.oldest == min((each.timestamp() for each in ready), default=None)
    assert (queue.running, queue.dead_lettered) == (len(running), len(dead))
