"""Who may see the console in a browser: whoever was given the address, once.

The address that is printed holds a key that opens one time; what the browser gets for it is
a cookie that no script reads and no other site sends. Host and Origin are checked, so that
no name of somebody else's leads here (DNS rebinding) and no page of theirs opens a socket.
"""

import hmac
import secrets
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

COOKIE = "nexa_web"
KEY = "key"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The terminal's own script makes its styles while it runs; nothing comes from elsewhere."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """Lets in whoever comes with the key, and from then on with the cookie."""

    def __init__(self, hosts: Collection[str]) -> None:
        """Make a key and a cookie.

        Args:
            hosts: The `Host`s by which it may be asked: `127.0.0.1:6393`.
        """
        self._hosts = frozenset(hosts)
        self._session = secrets.token_urlsafe(32)
        self.key: str | None = secrets.token_urlsafe(32)
        """What opens; None once it did."""

    @property
    def cookie(self) -> str:
        """The value of the cookie."""
        return self._session

    def knows(self, cookie: str | None) -> bool:
        """Whether a cookie is the one that was given away."""
        return _same(cookie, self._session)

    def opens(self, key: str | None) -> bool:
        """Whether a key opens; it does so once."""
        if self.key is None or not _same(key, self.key):
            return False
        self.key = None
        return True

    def refuses(self, *, host: str, origin: str | None) -> str | None:
        """Why a request by this `Host` and from this `Origin` is refused; None if not."""
        if host not in self._hosts:
            return "this address is not served here"
        if origin is not None and urlsplit(origin).netloc not in self._hosts:
            return "requests from other sites are refused"
        return None


def _same(given: str | None, wanted: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())
