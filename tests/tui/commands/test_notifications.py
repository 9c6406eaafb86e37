"""`nexa notifications …` against a port."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.contract.errors import NotFound
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    ReceiverTested,
)
from nexa_node.contract.rest import Page
from tests.tui.served import Port, Said, port, say


def failed() -> Delivery:
    """One that was made five minutes before it is looked at, whenever that is."""
    now = datetime.now(UTC)
    return Delivery(
        id="a-1",
        receiver="on-call",
        kind="pagerduty",
        reason="firing",
        state="failed",
        at=now,
        created=now - timedelta(minutes=5),
        group="{}:{}",
        alerts=("NexaNodeDown", "evil\x1b[2J"),
        firing=2,
        attempts=7,
        detail="400 invalid key\x1b[31m",
        node="alpha",
    )


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/notifications": Page(items=(failed(),), next_cursor="more"),
            "POST /v1/notifications/test": ReceiversTested(
                items=(
                    ReceiverTested(
                        receiver="chat",
                        kind="slack",
                        delivered=True,
                        detail="200 ok",
                        took_ms=12.0,
                    ),
                    ReceiverTested(
                        receiver="mail",
                        kind="email",
                        delivered=False,
                        detail="535 no",
                        took_ms=3.0,
                    ),
                )
            ),
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str) -> Said:
        return say(tmp_path, there.url, *words)

    return told


def test_the_delivery_log_is_a_table(tell: Any) -> None:
    said = tell("notifications")

    assert said.code == 0
    for text in (
        "on-call",
        "pagerduty",
        "firing",
        "failed",
        "7",
        "400 invalid key",
        "5m",
    ):
        assert text in said.out
    assert "\x1b[2J" not in said.out
    assert "--cursor more" in said.err


def test_filters_go_to_the_node_and_json_comes_whole(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    said = tell(
        "notifications",
        "list",
        "--receiver",
        "on-call",
        "--state",
        "failed",
        "--local",
        "--json",
    )

    assert (
        msgspec.json.decode(said.out, type=Page[Delivery])
        == (there.answers["GET /v1/notifications"])
    )
    assert "receiver=on-call" in calls[-1]
    assert "local=" in calls[-1]


def test_nothing_told_says_how_to_try(there: Port, tell: Any) -> None:
    there.answers["GET /v1/notifications"] = Page[Delivery](items=())

    assert (
        "nexa notifications test"
        in tell("notifications").out + tell("notifications").err
    )


def test_a_test_fails_if_one_receiver_does(there: Port, tell: Any) -> None:
    said = tell("notifications", "test")

    assert said.code == 1
    assert "delivered" in said.out
    assert "535 no" in said.out
    one = tell("notifications", "test", "chat", "--json")
    assert len(msgspec.json.decode(one.out)["items"]) == 2


def test_a_receiver_that_is_not_there_is_told(there: Port, tell: Any) -> None:
    there.answers["POST /v1/notifications/test"] = NotFound("no receiver 'x'")
    said = tell("notifications", "test", "x")

    assert said.code == 5
    assert "no receiver 'x'" in said.err
