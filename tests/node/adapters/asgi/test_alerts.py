"""What the operations about alerts take, hand to the node, and answer."""

from typing import Any

import msgspec
import pytest

from nexa_node.adapters.asgi import alert_examples as examples
from nexa_node.contract.alerts import NewAck, NewNote
from nexa_node.services.alert_api import AlertFilter, ChangeFilter
from tests.node.adapters.asgi.fake_node import Port

KEY = examples.ALERT.fingerprint
NOON = 1_795_348_800.0
HISTORY = f"/v1/alerts/history?name=Down&fingerprint={KEY}&limit=3"


@pytest.mark.parametrize(
    ("path", "asked", "record"),
    [
        (
            "/v1/alerts?state=firing&severity=critical&name=Down&limit=5&cursor=a",
            ("alerts", AlertFilter("firing", "critical", "Down", 5, "a")),
            examples.ALERTS,
        ),
        (f"/v1/alerts/{KEY}", ("alert", KEY), examples.DETAIL),
        (
            f"{HISTORY}&since=2026-11-22T12:00:00Z&cursor=b",
            ("alert_history", ChangeFilter("Down", KEY, NOON, 3, "b")),
            examples.CHANGES,
        ),
        ("/v1/alerts/handover", ("handover", 28_800), examples.HANDOVER),
        ("/v1/alerts/handover?since_s=60", ("handover", 60), examples.HANDOVER),
        ("/v1/silences", ("silences", None), examples.SILENCES),
        ("/v1/rules", ("rules", None), examples.RULES),
    ],
)
async def test_reading_hands_the_question_on_and_tells_the_answer(
    port: Port, path: str, asked: tuple[str, Any], record: Any
) -> None:
    answer = await port.http.get(path)

    assert answer.status_code == 200, answer.text
    assert answer.json() == msgspec.json.decode(msgspec.json.encode(record))
    assert port.node.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body", "asked", "status"),
    [
        (
            f"/v1/alerts/{KEY}/ack",
            {"note": "mine", "duration_s": 60},
            ("ack_alert", (KEY, NewAck(note="mine", duration_s=60))),
            200,
        ),
        (f"/v1/alerts/{KEY}/ack", {}, ("ack_alert", (KEY, NewAck())), 200),
        (f"/v1/alerts/{KEY}/unack", None, ("unack_alert", KEY), 200),
        (
            f"/v1/alerts/{KEY}/note",
            {"text": "a"},
            ("note_alert", (KEY, NewNote(text="a"))),
            200,
        ),
        (f"/v1/alerts/{KEY}/dismiss", None, ("dismiss_alert", KEY), 200),
        (
            "/v1/silences",
            msgspec.to_builtins(examples.NEW_SILENCE),
            ("create_silence", examples.NEW_SILENCE),
            201,
        ),
        (
            "/v1/silences/preview",
            msgspec.to_builtins(examples.NEW_SILENCE),
            ("preview_silence", examples.NEW_SILENCE),
            200,
        ),
        ("/v1/rules/reload", None, ("reload_rules", None), 200),
    ],
)
async def test_doing_hands_the_body_on(
    port: Port, path: str, body: Any, asked: tuple[str, Any], status: int
) -> None:
    answer = await port.http.post(path, json=body)

    assert answer.status_code == status, answer.text
    assert port.node.asked == [asked]


async def test_a_silence_is_ended_by_its_id(port: Port) -> None:
    answer = await port.http.delete("/v1/silences/s-1")

    assert answer.status_code == 204
    assert port.node.asked == [("expire_silence", "s-1")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/alerts/nothing", None),
        ("GET", f"/v1/alerts/{KEY.upper()}", None),
        ("GET", "/v1/alerts?state=on", None),
        ("GET", "/v1/alerts/history?since=yesterday", None),
        ("GET", "/v1/alerts/history?since=2026-11-22T12:00:00", None),
        ("GET", "/v1/alerts/history?fingerprint=1", None),
        ("GET", "/v1/alerts/handover?since_s=0", None),
        ("POST", f"/v1/alerts/{KEY}/ack", {"until": "ever"}),
        ("POST", f"/v1/alerts/{KEY}/note", {}),
        ("POST", "/v1/silences", {"comment": "no matchers"}),
    ],
)
async def test_what_makes_no_sense_is_refused_before_the_node_is_asked(
    port: Port, method: str, path: str, body: Any
) -> None:
    answer = await port.http.request(method, path, json=body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == "invalid"
    assert port.node.asked == []
