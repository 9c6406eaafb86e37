import random
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.errors import Invalid
from nexa_node.contract.rest import PAGE_MAX
from nexa_node.contract.tasks import FINISHED
from nexa_node.core.cursors import decode_cursor, encode_cursor, page_size
from nexa_node.core.ordering import Order
from nexa_node.core.shelves import AgentShelf, EventShelf
from nexa_node.core.task_shelf import TaskShelf
from tests import builders
from tests.builders import NOW

STATUSES = ("pending", "running", "completed", "failed", "dead_lettered")


def task(number: int, **overrides: object) -> object:
    return builders.summary(
        f"t{number:03}",
        submitted=NOW + timedelta(seconds=number),
        **overrides,
    )


def ids(page: object) -> list[str]:
    return [item.id for item in page.items]


# Order and cursors


@given(st.lists(st.tuples(st.floats(0, 100), st.text("ab", max_size=3)), unique=True))
def test_keys_come_back_in_order(keys: list[tuple[float, str]]) -> None:
    order = Order()
    for key in keys:
        order.add(key)
    for key in keys[::2]:
        order.discard(key)
        order.discard(key)

    left = sorted(keys[1::2])
    assert list(order.oldest_first()) == left
    assert list(order.newest_first()) == left[::-1]
    assert len(order) == len(left)
    if left:
        assert list(order.newest_first(before=left[-1])) == left[:-1][::-1]


def test_order_holds_over_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexa_node.core.ordering.CHUNK_MAX", 8)
    chance, order, model = random.Random(3), Order(), set()
    for _ in range(4000):
        key = (float(chance.randrange(400)), "")
        if chance.random() < 0.6 and key not in model:
            order.add(key)
            model.add(key)
        else:
            order.discard(key)
            model.discard(key)

    keys = sorted(model)
    assert list(order.oldest_first()) == keys
    assert len(order) == len(keys)
    for before in (-1.0, 0.0, 17.5, 200.0, 399.0, 1e9):
        older = [key for key in keys if key < (before, "")]
        assert list(order.newest_first(before=(before, ""))) == older[::-1]
    for key in keys:
        order.discard(key)
    assert (len(order), order._chunks, order._lasts) == (0, [], [])


@given(st.floats(0, 4e9), st.text(max_size=63))
def test_a_cursor_says_where_a_page_ended(time: float, name: str) -> None:
    cursor = encode_cursor((time, name))
    if len(cursor) <= 256:
        assert decode_cursor(cursor) == (time, name)


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bnVsbA", "é", "A" * 9999])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="none of ours"):
        decode_cursor(cursor)


def test_the_first_page_has_no_cursor() -> None:
    assert decode_cursor(None) is None


def test_a_page_has_a_sane_size() -> None:
    assert [page_size(limit) for limit in (-1, 0, 7, 10**9)] == [1, 1, 7, PAGE_MAX]


# Tasks


def test_tasks_are_listed_newest_first_page_by_page() -> None:
    shelf = TaskShelf()
    for number in random.Random(1).sample(range(7), 7):
        shelf.put(task(number))

    first = shelf.page(limit=3)
    second = shelf.page(limit=3, cursor=first.next_cursor)
    third = shelf.page(limit=3, cursor=second.next_cursor)

    assert ids(first) == ["t006", "t005", "t004"]
    assert ids(second) == ["t003", "t002", "t001"]
    assert (ids(third), third.next_cursor) == (["t000"], None)


def test_a_page_goes_on_though_tasks_came_and_went() -> None:
    shelf = TaskShelf()
    for number in range(6):
        shelf.put(task(number))
    first = shelf.page(limit=2)
    shelf.put(task(9))
    shelf.remove("t004")

    assert ids(shelf.page(limit=2, cursor=first.next_cursor)) == ["t003", "t002"]


def test_filters_hold_all_at_once() -> None:
    shelf = TaskShelf()
    shelf.put(task(1, status="completed", type="wc"))
    shelf.put(task(2, status="completed", type="sum"))
    shelf.put(task(3, status="completed", type="wc", agent="wc-2"))
    shelf.put(task(4, status="running", type="wc", namespace="lab"))

    assert ids(shelf.page(status="completed", type="wc", limit=9)) == ["t003", "t001"]
    assert ids(shelf.page(agent="wc-2", limit=9)) == ["t003"]
    assert ids(shelf.page(namespace="lab", limit=9)) == ["t004"]
    assert ids(shelf.page(type="nothing", limit=9)) == []


def test_a_task_moves_between_states_and_is_counted_once() -> None:
    shelf = TaskShelf()
    shelf.put(task(1))
    shelf.put(task(1, status="running"))
    shelf.put(task(1, status="completed"))

    counts = shelf.counts()
    assert (counts.pending, counts.running, counts.completed) == (0, 0, 1)
    assert (len(shelf), "t001" in shelf, list(shelf)) == (1, True, ["t001"])
    assert shelf.get("t001").status == "completed"


def test_a_task_that_was_submitted_anew_moves_to_its_new_place() -> None:
    shelf = TaskShelf()
    shelf.put(task(1))
    shelf.put(task(2))
    later = NOW + timedelta(seconds=9)
    shelf.put(msgspec.structs.replace(task(1), submitted=later))

    assert ids(shelf.page(limit=9)) == ["t001", "t002"]
    assert ids(shelf.page(status="pending", limit=9)) == ["t001", "t002"]
    assert shelf.counts().pending == 2


def test_a_finished_task_that_finishes_otherwise_is_kept_by_its_new_time() -> None:
    shelf = TaskShelf()
    shelf.put(task(1, status="completed", finished=NOW))
    shelf.put(task(1, status="failed", finished=NOW + timedelta(hours=1)))

    assert shelf.surplus(finished_before=(NOW.timestamp() + 60), keep=9) == []
    shelf.put(task(1))
    assert shelf.surplus(finished_before=1e12, keep=0) == []


def test_a_removed_task_leaves_nothing_behind() -> None:
    shelf = TaskShelf()
    shelf.put(task(1, status="completed"))

    assert shelf.remove("t001")
    assert not shelf.remove("t001")
    assert shelf._indexes == {}
    assert len(shelf._all) == len(shelf._finished) == 0


def test_the_newest_keep_unfinished_ones_when_there_is_no_room() -> None:
    shelf = TaskShelf()
    for number in range(5):
        shelf.put(task(number, status="pending" if number == 0 else "completed"))
    shelf.put(task(9, status="running"))

    assert [one.id for one in shelf.newest(3)] == ["t009", "t004", "t000"]
    assert [one.id for one in shelf.newest(1)] == ["t009"]
    assert len(shelf.newest(100)) == 6


def test_what_finished_long_ago_or_is_too_many_may_go() -> None:
    shelf = TaskShelf()
    for number in range(6):
        finished = NOW + timedelta(hours=number)
        shelf.put(task(number, status="completed", finished=finished))
    shelf.put(task(7))
    second_hour = (NOW + timedelta(hours=2)).timestamp()

    assert shelf.surplus(finished_before=second_hour, keep=99) == ["t000", "t001"]
    assert shelf.surplus(finished_before=0, keep=1) == [f"t00{n}" for n in range(5)]
    assert shelf.surplus(finished_before=0, keep=6) == []


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(STATUSES)), max_size=60))
def test_counts_and_pages_agree_whatever_happens(
    changes: list[tuple[int, str]],
) -> None:
    shelf, model = TaskShelf(), {}
    for number, status in changes:
        if status == "dead_lettered":
            assert shelf.remove(f"t{number:03}") is (
                model.pop(number, None) is not None
            )
            continue
        shelf.put(task(number, status=status))
        model[number] = status

    counts = shelf.counts()
    for status in STATUSES:
        expected = sorted((n for n, s in model.items() if s == status), reverse=True)
        assert ids(shelf.page(status=status, limit=99)) == [
            f"t{n:03}" for n in expected
        ]
        assert getattr(counts, status) == len(expected)
    finished = sum(status in FINISHED for status in model.values())
    assert len(shelf.surplus(finished_before=1e12, keep=0)) == finished


def test_a_hundred_thousand_tasks_list_without_a_walk() -> None:
    shelf = TaskShelf()
    base = task(0, status="completed")
    seen = 0

    class Counting(dict):
        def __getitem__(self, key: str) -> object:
            nonlocal seen
            seen += 1
            return super().__getitem__(key)

    for number in range(5000):
        shelf.put(
            msgspec.structs.replace(
                base,
                id=f"t{number}",
                type="rare" if number % 1000 == 0 else "wc",
                submitted=NOW + timedelta(seconds=number),
            )
        )
    shelf._tasks = Counting(shelf._tasks)

    page = shelf.page(status="completed", type="rare", limit=50)

    assert len(page.items) == 5
    assert seen == 5


# Agents


def shelf_of_agents() -> AgentShelf:
    shelf = AgentShelf()
    shelf.put(builders.agent("wc-2", state="busy"))
    shelf.put(builders.agent("wc-1"))
    shelf.put(builders.agent("sum-1", capabilities=(builders.capability("sum"),)))
    shelf.put(builders.agent("wc-1", namespace="lab"))
    return shelf


def test_agents_are_listed_by_namespace_and_id_page_by_page() -> None:
    shelf = shelf_of_agents()
    first = shelf.page(limit=3)
    second = shelf.page(limit=3, cursor=first.next_cursor)

    assert ids(first) == ["sum-1", "wc-1", "wc-2"]
    assert [agent.namespace for agent in second.items] == ["lab"]
    assert second.next_cursor is None


def test_agents_are_found_by_what_they_can_and_how_they_are() -> None:
    shelf = shelf_of_agents()

    assert ids(shelf.page(capability="sum", limit=9)) == ["sum-1"]
    assert ids(shelf.page(state="busy", limit=9)) == ["wc-2"]
    assert ids(shelf.page(namespace="lab", limit=9)) == ["wc-1"]
    assert [agent.id for agent in shelf.of("default")] == ["sum-1", "wc-1", "wc-2"]
    assert shelf.get("lab", "wc-1").namespace == "lab"
    assert shelf.get("lab", "wc-2") is None


def test_an_agent_is_found_by_its_id_the_default_namespace_first() -> None:
    shelf = shelf_of_agents()
    assert shelf.find("wc-1").namespace == "default"

    shelf.remove("default.wc-1")

    assert shelf.find("wc-1").namespace == "lab"
    assert shelf.find("nobody") is None
    assert shelf.remove("default.wc-1") is None
    assert (len(shelf), "lab.wc-1" in shelf) == (3, True)


# Events


def event(number: int, **overrides: object) -> object:
    return builders.event(
        f"e{number:03}", time=NOW + timedelta(seconds=number), **overrides
    )


def test_events_are_kept_newest_last_up_to_a_number() -> None:
    shelf = EventShelf(3)
    told = [shelf.put(event(number)) for number in (1, 3, 2, 3, 4, 0)]

    assert told == [True, True, True, False, True, False]
    assert [one.id for one in shelf.newest(99)] == ["e002", "e003", "e004"]
    assert [one.id for one in shelf.newest(1)] == ["e004"]
    assert len(shelf) == 3


def test_events_are_found_by_the_beginning_of_their_kind_and_by_severity() -> None:
    shelf = EventShelf(99)
    shelf.put(event(1, kind="task.completed"))
    shelf.put(event(2, kind="task.failed", severity="warning"))
    shelf.put(event(3, kind="agent.joined"))

    assert ids(shelf.page(kind="task.", limit=9)) == ["e002", "e001"]
    assert ids(shelf.page(severity="warning", limit=9)) == ["e002"]
    first = shelf.page(limit=2)
    assert ids(first) == ["e003", "e002"]
    assert ids(shelf.page(limit=2, cursor=first.next_cursor)) == ["e001"]
