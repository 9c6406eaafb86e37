"""`host:port` and URLs, read strictly; a password in one is refused."""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from nexa_node.adapters.probes.asking import Asking, Unfit
from nexa_node.adapters.probes.text import printable

_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as an operator would: `db:5432`, `[::1]:5432`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, or `host:port` where a URL may stand too."""

    scheme: str
    endpoint: Endpoint
    username: str
    path: str
    """Without the leading slash."""
    options: dict[str, str]
    """What stands after the question mark; the first of each name."""


def endpoint(asking: Asking, *, default_port: int | None = None) -> Endpoint:
    """Read `host:port`, `[v6]:port`, or a bare host where a port is known.

    Raises:
        Unfit: It is neither.
    """
    return _endpoint(asking, _split(asking, f"//{asking.spec.target}"), default_port)


def address(asking: Asking, *, schemes: tuple[str, ...], default_port: int) -> Address:
    """Read a URL of one of `schemes`, or `host:port`, which is of the first scheme.

    Raises:
        Unfit: It is neither, or holds a password.
    """
    target = asking.spec.target
    parts = _split(asking, target if "://" in target else f"{schemes[0]}://{target}")
    if parts.scheme not in schemes:
        raise Unfit(
            f"the target begins with {parts.scheme}://, expected {schemes[0]}://",
            asking.correct("target"),
        )
    return Address(
        scheme=parts.scheme,
        endpoint=_endpoint(asking, parts, default_port),
        username=unquote(parts.username or ""),
        path=unquote(parts.path.lstrip("/")),
        options={name: said[0] for name, said in parse_qs(parts.query).items()},
    )


def _split(asking: Asking, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise Unfit(
            f"the target is no address: {error}", asking.correct("target")
        ) from (error)
    if password is not None:
        raise Unfit(
            "a password stands in the target, where everybody who sees the settings"
            " can read it",
            f"put it into a file of mode 0600, name that as password_file {asking.entry}",
        )
    return parts


def _endpoint(asking: Asking, parts: SplitResult, default_port: int | None) -> Endpoint:
    try:
        port = parts.port if parts.port is not None else default_port
        (parts.hostname or "").encode("idna")
    except ValueError:  # UnicodeError is one: a label that is empty or too long
        port = None
    if not parts.hostname or port is None or not 0 < port <= _PORT_MAX:
        raise Unfit(
            f"the target '{printable(asking.spec.target, 80)}' is not host:port",
            asking.correct("target"),
        )
    return Endpoint(parts.hostname, port)
