"""E-mail against a real SMTP server."""

import email.policy
from pathlib import Path
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.core.policies import ReceiverPolicy
from nexa_node.wiring.outgoing import Outgoing
from nexa_node.wiring.receivers import mail_server, receiver_of
from tests.alerting import notice, notification
from tests.node.adapters.probes.certificates import make
from tests.node.adapters.probes.servers import secret
from tests.sinks import MailSink, mail_sink


def sender(sink: MailSink, **more: Any) -> Any:
    fields: dict[str, Any] = {
        "name": "mail",
        "kind": "email",
        "server": f"localhost:{sink.port}",
        "sender": "nexa <nexa@example.org>",
        "to": ("anna@example.org", "ben@example.org"),
        "tls": "none",
        "timeout_ms": 5000,
    }
    return receiver_of(ReceiverPolicy(**{**fields, **more}), Outgoing()).sender


async def test_a_mail_arrives_whole() -> None:
    async with mail_sink() as sink:
        told = notification(
            notice("Über", annotations={"summary": "Größe ≥ 5\n.\nend"})
        )
        sent = await sender(sink).send(told)

    assert sent.delivered
    ((origin, to, mail),) = sink.mails
    assert (origin, to) == ("nexa@example.org", ["anna@example.org", "ben@example.org"])
    assert mail["Subject"] == "[FIRING:1] Über (critical)"
    assert mail["Message-ID"] == "<abc-1@nexa.invalid>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert "Größe ≥ 5\n.\nend" in mail.get_content().replace("\r\n", "\n")


async def test_no_alert_can_add_a_header_or_an_address() -> None:
    evil = "x\r\nBcc: eve@evil.example\r\n\r\nhello"
    async with mail_sink() as sink:
        told = notification(
            notice(evil, labels={"node": evil}), labels={"node": evil}, group=evil
        )
        sent = await sender(sink).send(told)

    assert sent.delivered
    ((_, to, mail),) = sink.mails
    assert mail["Bcc"] is None
    assert "eve@evil.example" not in " ".join(to)
    assert set(mail.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To",
        "Auto-Submitted", "X-Auto-Response-Suppress", "X-Nexa-Status",
        "X-Nexa-Severity", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert email.policy.default


async def test_a_password_goes_over_tls_only(tmp_path: Path) -> None:
    context = make().context(tmp_path)
    trusted = str(tmp_path / "server.crt")
    (tmp_path / "s").mkdir()
    more = {
        "username": "nexa",
        "password_file": secret(tmp_path / "s", "geheim"),
        "ca_file": trusted,
    }
    async with mail_sink(context=context, password="geheim") as sink:
        assert (
            await sender(sink, tls="starttls", **more).send(notification())
        ).delivered
        assert (sink.user, sink.encrypted) == ("nexa", True)
    async with mail_sink(tls=True, context=context, password="geheim") as sink:
        assert (await sender(sink, tls="tls", **more).send(notification())).delivered
    async with mail_sink(password="geheim") as sink:
        sent = await sender(sink, tls="starttls", **more).send(notification())
        assert not sent.delivered
        assert "STARTTLS" in sent.detail
        assert sink.user == ""


async def test_a_wrong_password_is_told_without_saying_it(tmp_path: Path) -> None:
    context = make().context(tmp_path)
    (tmp_path / "s").mkdir()
    path = secret(tmp_path / "s", "wrongsecret")
    async with mail_sink(context=context, password="geheim") as sink:
        sent = await sender(
            sink,
            tls="starttls",
            username="nexa",
            password_file=path,
            ca_file=str(tmp_path / "server.crt"),
        ).send(notification())

    assert not sent.delivered
    assert "535" in sent.detail
    assert "wrongsecret" not in sent.detail


async def test_a_certificate_nobody_trusts_is_refused(tmp_path: Path) -> None:
    async with mail_sink(context=make().context(tmp_path)) as sink:
        sent = await sender(sink, tls="starttls").send(notification())

    assert sent.retry
    assert "not trusted" in sent.detail
    assert sink.mails == []


async def test_some_addresses_may_be_refused_and_all_may_not() -> None:
    async with mail_sink(refused=frozenset({"ben@example.org"})) as sink:
        some = await sender(sink).send(notification())
        none = await sender(sink, to=("ben@example.org",)).send(notification())

    assert some.delivered
    assert "1 of 2 refused" in some.detail
    assert not none.delivered
    assert not none.retry
    assert "550" in none.detail


@pytest.mark.parametrize(
    ("code", "retry"), [(b"451 later", True), (b"554 never", False)]
)
async def test_the_servers_answer_says_whether_to_try_again(
    code: bytes, retry: bool
) -> None:
    async with mail_sink(code=code) as sink:
        sent = await sender(sink).send(notification())

    assert (sent.delivered, sent.retry) == (False, retry)
    assert code.decode() in sent.detail


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    sent = await sender(MailSink(port=1)).send(notification())

    assert sent.retry


async def test_a_secret_that_is_not_there_is_named() -> None:
    sent = await sender(
        MailSink(port=1), tls="tls", username="x", password_file="/nowhere"
    ).send(notification())

    assert "[[receiver]] mail password_file" in sent.detail


async def test_an_address_that_cannot_stand_in_a_header_sends_nothing() -> None:
    async with mail_sink() as sink:
        sent = await sender(sink, to=("anna@example.org\nBcc: x@y",)).send(
            notification()
        )

    assert not sent.delivered
    assert sink.mails == []


def test_the_port_follows_from_the_encryption() -> None:
    def server(text: str, tls: Any) -> tuple[str, int]:
        return mail_server(ReceiverPolicy(name="m", kind="email", server=text, tls=tls))

    assert server("mx", "starttls") == ("mx", 587)
    assert server("[::1]", "tls") == ("::1", 465)
    assert server("mx:2525", "none") == ("mx", 2525)
    with pytest.raises(Invalid):
        server("", "none")
    with pytest.raises(Invalid):
        server("mx:port", "none")
