"""A connection to a NATS of somebody else's: TLS, their credentials, their permissions.

What they do not permit fails at once, and by name: nats-server itself only drops it, so
that the caller would wait until its time is over.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import Any, Self

import msgspec

from nexa_node.adapters.nats.attached.access import Access, Address, system_context
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.link import WRITE_BUFFER, Link
from nexa_node.adapters.nats.session import CONNECT_S, Asker, Session

API = "$JS.API."
SUBJECTS_MAX = 10_000
_VIOLATION = re.compile(r'Permissions Violation for (\w+) to "([^"]{1,500})"')
_REFUSED_MAX = 64
_COMMON: dict[str, Any] = {
    "name": "nexa",
    "lang": "python",
    "version": "1",
    "protocol": 1,
    "verbose": False,
    "pedantic": False,
    "headers": True,
    "no_responders": True,
    "echo": True,
}


class Denied(StoreFailed):
    """The NATS does not permit this node to do something."""

    def __init__(
        self, message: str = "the NATS does not permit it", **told: Any
    ) -> None:
        """Say what."""
        told.setdefault(
            "remedy", "docs/attach.md lists what its user must be permitted"
        )
        super().__init__(message, **told)


class NotAdmitted(StoreFailed):
    """The NATS refused the credentials, or the way to it is not safe."""


class AttachedLink(Link):
    """`Link` to a server that others set up."""

    def __init__(
        self, address: Address, access: Access, on_lost: Callable[[], None]
    ) -> None:
        """Use `dial`."""
        super().__init__("", on_lost)
        self._address = address
        self._access = access
        self._begun = False
        self._upgrading: asyncio.Task[None] | None = None
        self.on_violation: Callable[[str, str], None] = lambda _verb, _subject: None

    @classmethod
    async def dial(
        cls, address: Address, access: Access, on_lost: Callable[[], None]
    ) -> Self:
        """Connect and prove who we are. The caller bounds the time.

        Raises:
            OSError: It does not work.
            NotAdmitted: It never will with these settings.
        """
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: cls(address, access, on_lost), address.host, address.port
        )
        try:
            await link._ready
        except BaseException:
            link.abort()
            raise
        return link

    def _connect(self) -> None:
        if self._begun:
            return
        self._begun = True
        if (
            self._address.is_tls
            or self._access.tls is not None
            or self.info.tls_required
        ):
            if not (self.info.tls_required or self.info.tls_available):
                self._turn_away(
                    "does not speak TLS, and [store] asks for it",
                    "give it a tls section; or nats:// and no ca_file, if the way is safe",
                )
                return
            self._upgrading = self._loop.create_task(self._upgrade())
            return
        if self._access.is_plain and not self._address.is_local:
            self._turn_away(
                "would be sent the password in the clear",
                "use tls:// in [store] urls; or an nkey or creds file, which are not sent",
            )
            return
        self._greet()

    async def _upgrade(self) -> None:
        assert self._transport is not None
        context = self._access.tls or system_context()
        try:
            made = await self._loop.start_tls(
                self._transport, self, context, server_hostname=self._address.host
            )
        except ssl.SSLCertVerificationError as error:
            told = f"has a certificate that is not trusted: {error.verify_message}"
            self._turn_away(told, "[store] ca_file names the authority to trust")
            return
        except (OSError, ssl.SSLError) as error:
            self._fail(f"TLS with {self._address} failed: {error}")
            return
        if made is None:
            self._fail(f"{self._address} ended the connection during TLS")
            return
        self._transport = made
        made.set_write_buffer_limits(high=WRITE_BUFFER)
        self._greet()

    def _greet(self) -> None:
        told = {
            **_COMMON,
            "tls_required": self._upgrading is not None,
            **self._access.proof(self.info.nonce),
        }
        self.send(b"CONNECT %b\r\nPING\r\n" % msgspec.json.encode(told))

    def _refused(self, why: str) -> None:
        found = _VIOLATION.search(why)
        if found is not None:
            self.on_violation(found[1], found[2])
        elif not self._ready.done() and "auth" in why.lower():
            self._turn_away(
                f"refuses the credentials: {_shown(why)}",
                "correct the credentials in [store]; a JWT may have expired",
            )
        else:
            super()._refused(_shown(why))

    def _turn_away(self, what: str, remedy: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(
                NotAdmitted(f"{self._address} {what}", remedy=remedy)
            )
        self.abort()


class AttachedSession(Session):
    """`Session` over such a link; asks under the prefix of their JetStream domain."""

    def __init__(self) -> None:
        """Use `dial`."""
        super().__init__()
        self.denied: dict[tuple[str, str], None] = {}
        """What was not permitted so far: publish or subscription, and the subject."""
        self._api = API
        self._asked: dict[str, str] = {}

    @classmethod
    async def dial(cls, address: Address, access: Access, domain: str) -> Self:
        """Connect and prove who we are.

        Raises:
            OSError, TimeoutError: It does not work.
            NotAdmitted: It never will with these settings.
        """
        session = cls()
        if domain:
            session._api = f"$JS.{domain}.API."
        async with asyncio.timeout(2 * CONNECT_S):
            link = await AttachedLink.dial(address, access, session._end)
        link.on_violation = session._violated
        session.link = link
        link.subscribe(f"{session._prefix}.*", session._answered)
        return session

    def ask(
        self, subject: str, payload: bytes, asker: Asker, *, block: bytes = b""
    ) -> str:
        """Send; `asker` is told the answer, a denial, that it is too late, or the end.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
        """
        subject = self._placed(subject)
        token = super().ask(subject, payload, asker, block=block)
        if len(self._asked) >= SUBJECTS_MAX:
            self._asked = {
                one: s for one, s in self._asked.items() if one in self._asking
            }
        self._asked[token] = subject
        return token

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send without waiting for anything.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
        """
        subject = self._placed(subject)
        await super().publish(subject, payload, reply=reply, headers=headers)

    def _placed(self, subject: str) -> str:
        if self._api is API or not subject.startswith(API):
            return subject
        return self._api + subject.removeprefix(API)

    def _violated(self, verb: str, subject: str) -> None:
        if len(self.denied) < _REFUSED_MAX:
            self.denied[verb.lower(), _shown(subject)] = None
        if verb != "Publish":
            return
        waiting = [t for t, s in self._asked.items() if s == subject]
        for token in waiting:
            del self._asked[token]
            asker = self._asking.pop(token, None)
            if asker is not None:
                asker.fail(denial("publish", subject))


def denial(verb: str, subject: str) -> Denied:
    """Say what is not permitted."""
    what = "publish to" if verb == "publish" else "subscribe to"
    return Denied(
        f"the NATS does not permit this node to {what} {_shown(subject)}",
        remedy=(
            f"permissions of its user: {what.split(maxsplit=1)[0]} {_pattern(subject)}; docs/attach.md"
            " lists them all"
        ),
    )


def _pattern(subject: str) -> str:
    """What to permit, so that not each subject has to be found out by itself."""
    for prefix in ("$JS.API.", "$JS.ACK.", "$KV.nx_", "nx.", "_INBOX."):
        if subject.startswith(prefix):
            return "$KV.>" if prefix == "$KV.nx_" else f"{prefix}>"
    return _shown(subject)


def _shown(text: str) -> str:
    return text[:200].encode("ascii", "backslashreplace").decode()
