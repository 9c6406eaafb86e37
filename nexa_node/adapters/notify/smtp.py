"""E-mail, by smtplib in a thread."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Literal

from nexa_node.adapters.notify.calling import Secret, hide
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.mail import mail_of
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.texts import line
from nexa_node.ports import Sent

_HELLO = "[127.0.0.1]"
"""Not the host's name: looking that up may take longer than the mail."""
_TEMPORARY = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """`ports.Sender`. Its Message-ID is the delivery's: mailboxes can drop doubles."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    to: tuple[str, ...]
    timeout_s: float
    trust: Callable[[], ssl.SSLContext]
    username: str = ""
    password: Secret | None = None

    async def send(self, notification: Notification) -> Sent:
        """Send it to all addresses at once."""
        try:
            password = "" if self.password is None else await self.password()
        except NexaError as error:
            return Sent(False, error.message, retry=True)
        sent = await asyncio.to_thread(self._send, notification, password)
        return Sent(sent.delivered, hide(sent.detail, (password,)), sent.retry)

    def _send(self, notification: Notification, password: str) -> Sent:
        try:
            message = self._message(notification)
            with self._connect() as server:
                if self.tls == "starttls":
                    server.starttls(context=self.trust())
                if password:
                    server.login(self.username, password)
                refused = server.send_message(
                    message, parseaddr(self.sender)[1], list(self.to)
                )
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            said = _said(*next(iter(error.recipients.values())))
            temporary = any(code in _TEMPORARY for code in codes)
            return Sent(False, f"every address was refused: {said}", temporary)
        except smtplib.SMTPResponseException as error:
            said = _said(error.smtp_code, error.smtp_error)
            return Sent(False, said, error.smtp_code in _TEMPORARY)
        except ssl.SSLCertVerificationError as error:
            return Sent(
                False, f"its certificate is not trusted: {error.verify_message}", True
            )
        except smtplib.SMTPNotSupportedError as error:
            return Sent(False, line(str(error), 200))
        except (smtplib.SMTPException, OSError) as error:
            return Sent(False, line(f"{type(error).__name__}: {error}", 200), True)
        except (MessageError, ValueError) as error:
            return Sent(False, f"the mail can't be written: {type(error).__name__}")
        if refused:
            return Sent(True, f"taken, but {len(refused)} of {len(self.to)} refused")
        return Sent(True, f"taken for {len(self.to)}")

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "tls":
            return smtplib.SMTP_SSL(
                self.host,
                self.port,
                local_hostname=_HELLO,
                timeout=self.timeout_s,
                context=self.trust(),
            )
        return smtplib.SMTP(
            self.host, self.port, local_hostname=_HELLO, timeout=self.timeout_s
        )

    def _message(self, notification: Notification) -> EmailMessage:
        mail = mail_of(notification)
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(notification.created)
        for name, text in mail.headers:
            message[name] = text
        message.set_content(mail.text)
        return message


def _said(code: int, text: bytes | str) -> str:
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    return line(f"{code} {shown}", 200)
