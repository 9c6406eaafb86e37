"""Webhook, Slack and PagerDuty against a server that checks what they document."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexa_node.adapters.notify.calling import retry_after_s
from nexa_node.core.policies import AlertingPolicy, ReceiverPolicy
from nexa_node.ports import Sent
from nexa_node.wiring.outgoing import Outgoing
from nexa_node.wiring.receivers import heart_of, receiver_of
from tests.alerting import NOW, notice, notification
from tests.node.adapters.notify.schemas import PAGERDUTY, SLACK, WEBHOOK
from tests.node.adapters.probes.certificates import make
from tests.node.adapters.probes.servers import secret
from tests.sinks import HttpSink, http_sink

KEY = "0123456789abcdef0123456789abcdef"
HOSTILE = notice(
    "<!channel>\r\nX: y",
    labels={"node": "<@U1>\x00" * 500, "instance": "h:1"},
    annotations={"summary": "<http://x|y>", "description": "&" * 5000},
)


@pytest.fixture
async def sink() -> AsyncIterator[HttpSink]:
    async with http_sink() as made:
        yield made


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    made = Outgoing()
    yield made
    for client in made._open:
        await client.aclose()


def webhook(outgoing: Outgoing, url: str, **more: Any) -> Any:
    policy = ReceiverPolicy(name="ops", kind="webhook", url=url, **more)
    return receiver_of(policy, outgoing).sender


async def test_a_webhook_is_what_alertmanager_documents(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    sent = await webhook(outgoing, f"{sink.url}/hook?a=b").send(
        notification(notice(), HOSTILE)
    )

    assert sent == Sent(True, "200 ok")
    (asked,) = sink.asked
    jsonschema.validate(asked.json, WEBHOOK)
    assert (asked.method, asked.path) == ("POST", "/hook?a=b")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["idempotency-key"] == "abc-1"


async def test_credentials_come_from_files_and_are_read_anew(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    token = secret(tmp_path, "first")
    bearer = webhook(outgoing, sink.url, token_file=token)
    await bearer.send(notification())
    Path(token).write_text("second\n")
    await bearer.send(notification())
    basic = webhook(outgoing, sink.url, username="anna", password_file=token)
    await basic.send(notification())

    assert [one.headers["authorization"] for one in sink.asked] == [
        "Bearer first",
        "Bearer second",
        "Basic YW5uYTpzZWNvbmQ=",
    ]


async def test_a_secret_that_others_may_read_is_not_used(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    token = secret(tmp_path, "first", mode=0o640)
    sent = await webhook(outgoing, sink.url, token_file=token).send(notification())

    assert not sent.delivered
    assert sent.retry
    assert "other users may read" in sent.detail
    assert sink.asked == []


@pytest.mark.parametrize("content", ["", "  \n", "\udcff"])
async def test_a_secret_that_is_none_is_named(
    content: str, sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content.encode(errors="surrogateescape"))
    path.chmod(0o600)
    sent = await webhook(outgoing, sink.url, token_file=str(path)).send(notification())
    gone = await webhook(outgoing, sink.url, token_file=str(tmp_path / "gone")).send(
        notification()
    )

    assert "[[receiver]] ops token_file" in sent.detail
    assert "No such file" in gone.detail


async def test_slack_gets_what_it_documents(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    policy = ReceiverPolicy(
        name="chat",
        kind="slack",
        url_file=secret(tmp_path, f"{sink.url}/services/T0/B0/secretsecret"),
    )
    many = [notice("A", labels={"n": str(n)}) for n in range(60)]
    sent = await receiver_of(policy, outgoing).sender.send(notification(HOSTILE, *many))

    assert sent.delivered
    jsonschema.validate(sink.asked[0].json, SLACK)


async def test_pagerduty_gets_what_it_documents(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    policy = ReceiverPolicy(
        name="pager", kind="pagerduty", url=sink.url, token_file=secret(tmp_path, KEY)
    )
    sender = receiver_of(policy, outgoing).sender
    sink.default = (202, {}, b'{"status":"success"}')
    for one in (
        notification(HOSTILE),
        notification(notice(), reason="acknowledged", acked=True),
        notification(notice(), acked=True),
        notification(notice(ends=NOW), reason="resolved"),
    ):
        assert (await sender.send(one)).delivered

    for asked in sink.asked:
        assert asked.path == "/v2/enqueue"
        jsonschema.validate(asked.json, PAGERDUTY)
    assert [one.json["event_action"] for one in sink.asked] == [
        "trigger", "acknowledge", "trigger", "acknowledge", "resolve",
    ]  # fmt: skip


async def test_no_event_is_larger_than_pagerduty_takes(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    policy = ReceiverPolicy(
        name="pager", kind="pagerduty", url=sink.url, token_file=secret(tmp_path, KEY)
    )
    huge = [
        notice(
            "😀" * 200, labels={"n": str(n)}, annotations={"description": "😀" * 9000}
        )
        for n in range(500)
    ]
    await receiver_of(policy, outgoing).sender.send(notification(*huge))

    assert len(sink.asked[0].body) <= 512 * 1024


async def test_what_pagerduty_refuses_is_not_followed_by_more(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    policy = ReceiverPolicy(
        name="pager", kind="pagerduty", url=sink.url, token_file=secret(tmp_path, KEY)
    )
    sink.default = (400, {}, b'{"status":"invalid event"}')
    sent = await receiver_of(policy, outgoing).sender.send(notification(acked=True))

    assert sent == Sent(False, '400 {"status":"invalid event"}')
    assert len(sink.asked) == 1
    gone = ReceiverPolicy(
        name="pager", kind="pagerduty", url=sink.url, token_file="/nowhere"
    )
    assert (await receiver_of(gone, outgoing).sender.send(notification())).retry


@pytest.mark.parametrize(
    ("status", "headers", "retry", "after"),
    [
        (200, {}, False, None),
        (204, {}, False, None),
        (302, {"location": "http://127.0.0.1:1/"}, False, None),
        (400, {}, False, None),
        (401, {"retry-after": "5"}, False, None),
        (404, {}, False, None),
        (408, {}, True, None),
        (410, {}, False, None),
        (413, {}, False, None),
        (429, {"retry-after": "7"}, True, 7.0),
        (500, {}, True, None),
        (503, {"retry-after": "x"}, True, None),
    ],
)
async def test_every_answer_says_whether_to_try_again(
    status: int,
    headers: dict[str, str],
    retry: bool,
    after: float | None,
    sink: HttpSink,
    outgoing: Outgoing,
) -> None:
    sink.default = (status, headers, b"" if status == 204 else b"why")
    sent = await webhook(outgoing, sink.url).send(notification())

    assert sent.delivered is (status < 300)
    assert (sent.retry, sent.after_s) == (retry, after)
    assert str(status) in sent.detail
    assert len(sink.asked) == 1


async def test_who_is_not_there_is_tried_again(outgoing: Outgoing) -> None:
    sent = await webhook(outgoing, "http://127.0.0.1:1/x").send(notification())

    assert (sent.delivered, sent.retry) == (False, True)
    assert "no connection" in sent.detail


async def test_who_does_not_answer_is_tried_again(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    sink.hang = True
    sent = await webhook(outgoing, sink.url, timeout_ms=50).send(notification())

    assert sent.retry
    assert "no answer in time" in sent.detail


async def test_who_talks_nonsense_is_tried_again(outgoing: Outgoing) -> None:
    async with http_sink() as sink:
        sink.answers.append((200, {"bad header\x00": "x"}, b""))
        sent = await webhook(outgoing, sink.url).send(notification())

    assert sent.retry


async def test_an_endless_answer_is_not_read_to_its_end(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    sink.default = (500, {}, b"x" * 5_000_000)
    sent = await webhook(outgoing, sink.url).send(notification())

    assert len(sent.detail) < 300


async def test_certificates_are_verified_and_a_file_can_be_trusted(
    outgoing: Outgoing, tmp_path: Path
) -> None:
    pair = make()
    async with http_sink(pair.context(tmp_path)) as sink:
        refused = await webhook(outgoing, sink.url).send(notification())
        taken = await webhook(
            outgoing, sink.url, ca_file=str(tmp_path / "server.crt")
        ).send(notification())
        gone = await webhook(outgoing, sink.url, ca_file=str(tmp_path / "gone")).send(
            notification()
        )

    assert refused.retry
    assert "not trusted" in refused.detail
    assert taken.delivered
    assert gone.retry


async def test_no_secret_is_ever_told_or_logged(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = "/services/T0/B0/verysecret"
    token = "tokensecret"

    def echo(asked: Any) -> tuple[int, dict[str, str], bytes]:
        return 500, {}, f"{asked.path} {asked.headers.get('authorization')}".encode()

    sink.answers += [echo, echo]
    slack = ReceiverPolicy(
        name="chat", kind="slack", url_file=secret(tmp_path, sink.url + path)
    )
    told = [(await receiver_of(slack, outgoing).sender.send(notification())).detail]
    (tmp_path / "t").mkdir()
    told.append(
        (
            await webhook(
                outgoing, sink.url, token_file=secret(tmp_path / "t", token)
            ).send(notification())
        ).detail
    )
    Path(slack.url_file).write_text("ftp://x/verysecret")
    told.append((await receiver_of(slack, outgoing).sender.send(notification())).detail)

    for text in (*told, caplog.text):
        assert "verysecret" not in text
        assert token not in text
    assert "no http or https" in told[2]


async def test_a_dead_mans_switch_is_called(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Path
) -> None:
    heart = heart_of(
        AlertingPolicy(heartbeat_url_file=secret(tmp_path, f"{sink.url}/ping/uuid")),
        outgoing,
    )
    assert heart is not None
    assert (await heart.beat()).delivered
    assert sink.asked[0].path == "/ping/uuid"
    gone = heart_of(AlertingPolicy(heartbeat_url_file="/nowhere"), outgoing)
    assert gone is not None
    assert (await gone.beat()).retry
    assert heart_of(AlertingPolicy(), outgoing) is None
    chat = ReceiverPolicy(name="chat", kind="slack", url_file="/nowhere")
    assert (await receiver_of(chat, outgoing).sender.send(notification())).retry


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60.0),
        ("9" * 4000, 999_999_999.0),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text, datetime(2026, 3, 1, 12, 0, tzinfo=UTC)) == seconds
