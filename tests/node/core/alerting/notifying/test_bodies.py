"""What stands in a notification, however hostile the texts are."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.core.alerting.notifying.mail import mail_of
from nexa_node.core.alerting.notifying.notices import (
    Notice,
    common,
    notice_of,
    ordered,
    worst,
)
from nexa_node.core.alerting.notifying.pagerduty import (
    DEDUP_MAX,
    SUMMARY_MAX,
    pagerduty_events,
)
from nexa_node.core.alerting.notifying.slack import TEXT_MAX, slack_body
from nexa_node.core.alerting.notifying.texts import headline, line, lines, stamp
from nexa_node.core.alerting.notifying.webhook import webhook_body
from tests.alerting import NOW, ack, alert, notice, notification

HOSTILE = (
    "<!channel> <@U1> <https://evil.example|runbook> & *bold* \r\nBcc: eve@evil.example"
    "\r\n\r\n<script>alert(1)</script>\x1b[2J\x00\u202eknil\u2028" + "é" * 5000
)
ANY = st.text(max_size=300)


def hostile() -> Notice:
    return notice(
        "Bad" + HOSTILE,
        labels={"node": HOSTILE, "team": "<!here>"},
        annotations={
            "summary": HOSTILE,
            "description": HOSTILE,
            "runbook_url": HOSTILE,
        },
        acked=HOSTILE,
        flapping=True,
    )


def test_a_webhook_has_every_field_of_version_4() -> None:
    over = notice("A", labels={"n": "b"}, ends=NOW + timedelta(seconds=1.5))
    told = json.loads(
        webhook_body(notification(notice("A", labels={"n": "a"}), over, truncated=3))
    )

    assert list(told) == [
        "receiver", "status", "alerts", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "version", "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    assert told["status"] == "firing"
    assert told["version"] == "4"
    assert told["commonLabels"] == {"alertname": "A"}
    assert told["truncatedAlerts"] == 3
    assert [one["endsAt"] for one in told["alerts"]] == [
        "0001-01-01T00:00:00Z",
        "2026-03-01T12:00:01.5Z",
    ]
    assert told["alerts"][0]["generatorURL"].startswith("nexa://alert/")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, "0001-01-01T00:00:00Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=UTC), "2026-01-02T03:04:05.12Z"),
        (
            datetime(2026, 1, 2, 3, 0, 0, tzinfo=timezone(timedelta(hours=1))),
            "2026-01-02T02:00:00Z",
        ),
        (datetime(2026, 1, 2, 3, 0, 0, 1, tzinfo=UTC), "2026-01-02T03:00:00.000001Z"),
    ],
)
def test_moments_are_written_as_go_writes_them(
    moment: datetime | None, text: str
) -> None:
    assert stamp(moment) == text


def test_slack_reads_no_command_in_what_comes_from_outside() -> None:
    told = json.loads(slack_body(notification(hostile(), labels={"node": HOSTILE})))
    texts = re.findall(
        r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(told, ensure_ascii=False)
    )
    mrkdwn = [
        block["text"]
        for block in told["attachments"][0]["blocks"]
        if block["type"] == "section"
    ]

    assert texts
    assert "<" not in told["text"]
    assert mrkdwn
    for text in mrkdwn:
        assert text["verbatim"] is True
        assert not set("<>") & set(text["text"])
    assert "\x1b" not in json.dumps(told)
    assert "\u202e" not in json.dumps(told, ensure_ascii=False)


def test_slack_gets_no_more_than_it_takes() -> None:
    many = [notice("A", labels={"n": f"{n}&<>" * 900}) for n in range(30)]
    told = json.loads(slack_body(notification(*many, truncated=5)))
    blocks = told["attachments"][0]["blocks"]

    assert len(blocks) <= 50
    assert all(len(one["text"]["text"]) <= TEXT_MAX for one in blocks[1:-1])
    assert "15 more alerts" in blocks[-1]["elements"][0]["text"]


@pytest.mark.parametrize(
    ("severity", "ends", "color"),
    [
        ("critical", None, "#d93025"),
        ("warning", None, "#e8a317"),
        ("info", None, "#4a90d9"),
        ("critical", NOW, "#2eb886"),
    ],
)
def test_slack_shows_how_bad_it_is(
    severity: Any, ends: datetime | None, color: str
) -> None:
    told = json.loads(
        slack_body(notification(notice(severity=severity, ends=ends), external_url=""))
    )

    assert told["attachments"][0]["color"] == color


@settings(max_examples=60)
@given(name=ANY, summary=ANY, label=ANY)
def test_no_text_whatever_breaks_out(name: str, summary: str, label: str) -> None:
    one = notification(
        notice(name, labels={"node": label}, annotations={"summary": summary}),
        labels={"node": label},
    )
    slack = json.loads(slack_body(one))
    for block in slack["attachments"][0]["blocks"]:
        for text in block.get("elements", [block.get("text")]):
            assert text["verbatim"]
            assert not set("<>") & set(text["text"])
    mail = mail_of(one)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", mail.subject)
    for _, text in mail.headers:
        assert text.isprintable()
    (event,) = pagerduty_events(one, "key")
    assert event.payload is not None
    assert "\n" not in event.payload.summary
    json.loads(webhook_body(one))


def test_an_incident_is_triggered_acknowledged_and_resolved_under_one_key() -> None:
    begun = pagerduty_events(
        notification(notice("A", labels={"instance": "h:1"})), "key"
    )
    minded = pagerduty_events(
        notification(notice("A"), acked=True, reason="acknowledged"), "key"
    )
    both = pagerduty_events(notification(notice("A"), acked=True), "key")
    ended = pagerduty_events(
        notification(notice("A", ends=NOW), reason="resolved"), "key"
    )

    assert [one.event_action for one in (*begun, *minded, *ended)] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert [one.event_action for one in both] == ["trigger", "acknowledge"]
    assert len({one.dedup_key for one in (*begun, *minded, *both, *ended)}) == 1
    assert begun[0].payload is not None
    assert begun[0].payload.source == "h:1"
    assert begun[0].payload.severity == "critical"


def test_an_alert_that_is_told_alone_is_known_by_its_fingerprint() -> None:
    one = notice("A", labels={"n": "a"})
    (event,) = pagerduty_events(notification(one, labels=one.labels), "key")

    assert event.dedup_key == one.fingerprint


def test_pagerduty_gets_no_more_than_it_takes() -> None:
    many = [
        notice("A", labels={"n": str(n)}, annotations={"description": HOSTILE})
        for n in range(80)
    ]
    (event,) = pagerduty_events(
        notification(hostile(), *many, truncated=2, group="g" * 9000), "key"
    )

    assert len(event.dedup_key) <= DEDUP_MAX
    assert event.payload is not None
    assert len(event.payload.summary) <= SUMMARY_MAX
    assert len(event.payload.custom_details) == 51
    assert event.payload.custom_details["more"] == "33 more alerts"


def test_a_mail_says_what_who_and_since_when() -> None:
    over = notice("B", annotations={"message": "gone"}, ends=NOW)
    mail = mail_of(
        notification(
            notice(
                "A",
                acked="anna",
                annotations={"summary": "it burns", "description": "badly"},
            ),
            over,
            truncated=4,
        )
    )
    headers = dict(mail.headers)

    assert mail.subject == "[FIRING:5] A, B (critical)"
    assert "FIRING  it burns" in mail.text
    assert "RESOLVED  gone" in mail.text
    assert "description: badly" in mail.text
    assert "acknowledged by: anna" in mail.text
    assert "and 4 more alerts" in mail.text
    assert headers["Message-ID"] == "<abc-1@nexa.invalid>"
    assert headers["References"] == headers["In-Reply-To"]


def test_a_hostile_mail_has_no_header_of_theirs() -> None:
    mail = mail_of(notification(hostile(), labels={"x": HOSTILE}, group=HOSTILE))

    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert len(mail.subject) <= 200
    assert "\x1b" not in mail.text


@pytest.mark.parametrize(
    ("reason", "ends", "begin"),
    [
        ("firing", None, "[FIRING:1]"),
        ("repeat", None, "[FIRING:1]"),
        ("resolved", NOW, "[RESOLVED]"),
        ("flapping", None, "[FLAPPING]"),
        ("escalated", None, "[ESCALATED:1]"),
        ("acknowledged", None, "[ACKNOWLEDGED]"),
        ("test", None, "[TEST]"),
    ],
)
def test_the_headline_begins_with_what_happened(
    reason: Any, ends: datetime | None, begin: str
) -> None:
    assert headline(notification(notice(ends=ends), reason=reason), 200).startswith(
        begin
    )


def test_many_names_are_counted_in_the_headline() -> None:
    told = notification(
        *(notice(name) for name in "ABCDE"), labels={"job": "nexa", "severity": "x"}
    )

    assert headline(told, 200) == "[FIRING:5] A, B, C and 2 more (critical) job=nexa"


def test_texts_are_cut_and_cleaned() -> None:
    assert line("a\r\nb\x00c   d", 100) == "a b\ufffdc d"
    assert line("abcdef", 4) == "abc…"
    assert lines("a\nb\tc\x07\u202e", 100) == "a\nb\tc\ufffd"


def test_notices_are_in_alertmanagers_order() -> None:
    def worn(**labels: str) -> Notice:
        return Notice(
            fingerprint="", labels=labels, annotations={}, severity="info", starts=NOW
        )

    wanted = [
        worn(job="a", instance="1"),
        worn(job="a", instance="2"),
        worn(job="b", instance="1", x="1"),
        worn(job="b"),
        worn(instance="1"),
        worn(b="1"),
        worn(a="1"),
        worn(a="2"),
        worn(a="1", c="1"),
        worn(a="1", b="1"),
    ]
    found = ordered(reversed(wanted))

    assert [one.labels for one in found] == [one.labels for one in wanted]
    assert ordered([wanted[0], wanted[0]]) == [wanted[0]] * 2


def test_what_is_common_is_what_all_have() -> None:
    assert common([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}]) == {"a": "1"}
    assert common([]) == {}
    assert worst([]) == "none"


def test_an_alert_is_told_with_who_minds_it_and_when_it_fired() -> None:
    told = notice_of(alert("A", ack=ack("anna"), state="resolved", resolved=NOW))

    assert (told.acked, told.starts, told.status, told.mark) == (
        "anna",
        NOW,
        "resolved",
        told.fingerprint,
    )
