import pytest

from nexa_node.contract.tasks import Task
from nexa_node.core.progression import is_news, mark
from tests import builders


def news(known: Task | None, told: Task, *, echo: bool = False) -> bool:
    return is_news(None if known is None else mark(known), mark(told), echo=echo)


def test_everything_is_news_to_who_knows_nothing() -> None:
    assert news(None, builders.task())


def test_progress_is_news_unless_it_is_an_echo() -> None:
    half = builders.task(status="running", pct=50.0)
    more = builders.task(status="running", pct=60.0)

    assert news(half, more)
    assert not news(more, half, echo=True)
    assert not news(half, half)


@pytest.mark.parametrize("echo", [True, False])
def test_an_older_record_is_none(echo: bool) -> None:  # a parameter
    running = builders.task(status="running")
    done = builders.task(status="completed")

    assert news(running, done, echo=echo)
    assert not news(done, running, echo=echo)
    assert not news(done, done, echo=echo)
