"""Which node to try next, and how long to wait before trying."""

import random
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit, urlunsplit

from nexa_node.contract.errors import Invalid
from nexa_node.contract.places import DEFAULT_HOST, DEFAULT_PORT

AGENT_PATH = "/v1/agent"
DEFAULT_URL = f"ws://{DEFAULT_HOST}:{DEFAULT_PORT}{AGENT_PATH}"
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
_CLUSTER_MAX = 64


def agent_url(text: str) -> str:
    """Make the address of a node's agent endpoint of what people write for a node.

    `http`, `https`, `ws`, `wss` or a bare `HOST:PORT`; a path is kept, none means
    `/v1/agent`, and no port means 6392 unless TLS says 443.

    Raises:
        Invalid: It is no such address, or carries a user, a query or a fragment.
    """
    parts = _split(text if "://" in text else f"ws://{text}")
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise Invalid(
            f"{text!r} is no address of a node",
            remedy="give one like http://HOST:6392 or wss://HOST:6392",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Invalid(
            "the address of a node carries a user, a query or a fragment",
            remedy="give the token by NEXA_TOKEN_FILE or NEXA_TOKEN, never in a URL",
        )
    place = parts.netloc
    if scheme == "ws" and parts.port is None:
        place = f"{place.rstrip(':')}:{DEFAULT_PORT}"
    path = AGENT_PATH if parts.path in {"", "/"} else parts.path
    return urlunsplit((scheme, place, path, "", ""))


def is_loopback(url: str) -> bool:
    """Say whether `url` stays on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def full_jitter(
    attempt: int, chance: random.Random, *, base: float, cap: float
) -> float:
    """Choose seconds to wait before try number `attempt` (0 is the first repeat).

    Anything from 0 to `base` doubled with each attempt, at most `cap`: agents that lost
    the same node come back spread out.
    """
    ceiling = min(cap, base * 2 ** min(attempt, 32))
    return chance.uniform(0.0, ceiling)


class Endpoints:
    """The nodes that are known: those that were given, then those a node told us."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Start at the first of `urls`; none at all means this machine's node.

        Raises:
            Invalid: One of them is no address of a node.
        """
        self._given = list(dict.fromkeys(agent_url(url) for url in urls))
        self._given = self._given or [DEFAULT_URL]
        self._told: list[str] = []
        self.current = self._given[0]

    def __len__(self) -> int:
        """How many different nodes there are to try."""
        return len(self._all())

    def learn(self, cluster: Iterable[str]) -> None:
        """Keep what the welcome calls `cluster`; what is unusable is left out.

        A node reached over TLS cannot send us, and our token, to one without.
        """
        secure = self.current.startswith("wss:")
        told: list[str] = []
        for text in cluster:
            try:
                url = agent_url(text)
            except Invalid:
                continue
            if not secure or url.startswith("wss:"):
                told.append(url)
        self._told = told[:_CLUSTER_MAX]

    def advance(self) -> str:
        """Go on to the next one, around and around."""
        known = self._all()
        at = known.index(self.current) if self.current in known else -1
        self.current = known[(at + 1) % len(known)]
        return self.current

    def _all(self) -> list[str]:
        return list(dict.fromkeys([*self._given, *self._told]))


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise Invalid(f"{text!r} is no address of a node: {error}") from None
    return parts
