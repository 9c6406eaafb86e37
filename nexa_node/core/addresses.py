"""host:port as nodes tell it to each other: what may be one, and its one spelling."""

import ipaddress
import re
from dataclasses import dataclass

from nexa_node.contract.errors import Invalid

TEXT_MAX = 261
"""A host name of 253 characters, a colon, a port; brackets fit for addresses."""
_NAME_MAX = 253
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where something listens: a host name or an IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as `parse_address` reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read host:port or [IPv6]:port.

    Raises:
        Invalid: It is none, or names no single host (0.0.0.0 and the like).
    """
    if len(text) > TEXT_MAX:
        raise Invalid(f"an address has at most {TEXT_MAX} characters")
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or bracketed != (":" in host):
        raise Invalid(
            f"{text!r} is no address", remedy="write host:port or [IPv6]:port"
        )
    number = int(port) if _PORT.fullmatch(port) else 0
    if not 0 < number <= _PORT_MAX:
        raise Invalid(f"{text!r} has no port from 1 to {_PORT_MAX}")
    return Address(parse_host(host[1:-1] if bracketed else host), number)


def parse_host(text: str) -> str:
    """Read a host name or an IP address, in its one spelling.

    Raises:
        Invalid: It is neither, or stands for no single host.
    """
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        name = text.lower()
        numeric = name.rpartition(".")[2].isdecimal()
        if numeric or len(name) > _NAME_MAX or not _NAME.fullmatch(name):
            raise Invalid(f"{text[:_NAME_MAX]!r} is no host name") from None
        return name
    scoped = isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None
    if scoped or ip.is_unspecified or ip.is_multicast:
        raise Invalid(
            f"{text} is no address at which other nodes reach this one",
            remedy="set [cluster] host to the address or name they reach it by",
        )
    return str(ip)
