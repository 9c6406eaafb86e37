"""What a node proves itself with to a NATS of somebody else's: read anew each time.

A secret stands in a file of mode 0600, never in the settings, and is never sent where
others could read it on the way.
"""

import base64
import os
import re
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nkeys

from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.core.policies import StorePolicy

PORT = 4222
SECRET_MAX = 64 * 1024
_OTHERS = 0o077
_PART = re.compile(
    r"-----BEGIN ([A-Z ]+)-----\s*([A-Za-z0-9_.=-]+)\s*-+END \1-+", re.ASCII
)
_JWT, _SEED = "NATS USER JWT", "USER NKEY SEED"
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class Address:
    """One server of theirs."""

    host: str
    port: int
    is_tls: bool

    def __str__(self) -> str:
        """Write it as an URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.is_tls else 'nats'}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody else sees what is sent there."""
        return self.host in _LOCAL


def addresses(policy: StorePolicy) -> tuple[Address, ...]:
    """Read `[store] urls`, which were checked with the settings."""
    found: list[Address] = []
    for url in policy.urls:
        told = urlsplit(url)
        found.append(
            Address(told.hostname or "", told.port or PORT, told.scheme == "tls")
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Credentials, in memory; at most one kind of them is there."""

    seed: str = ""
    jwt: str = ""
    username: str = ""
    password: str = ""
    token: str = ""
    tls: ssl.SSLContext | None = None
    """None: nothing is set about TLS; what the server asks for is done by the system's
    authorities."""

    @property
    def is_plain(self) -> bool:
        """Whether the secret itself has to be sent."""
        return bool(self.password or self.token)

    def proof(self, nonce: str) -> dict[str, Any]:
        """Say who we are, as CONNECT has it.

        Args:
            nonce: The server's; empty if it asks for no signature.
        """
        if self.username:
            return {"user": self.username, "pass": self.password}
        if self.token:
            return {"auth_token": self.token}
        if not self.seed or not nonce:
            return {}
        key = nkeys.from_seed(bytearray(self.seed.encode()))
        signed = base64.b64encode(key.sign(nonce.encode())).decode()
        if self.jwt:
            sig = signed.replace("+", "-").replace("/", "_").rstrip("=")
            return {"jwt": self.jwt, "sig": sig}
        return {"nkey": bytes(key.public_key).decode(), "sig": signed}


def read_access(policy: StorePolicy) -> Access:
    """Read the files that `[store]` names.

    Raises:
        StoreFailed: One can't be read, is open to others, or is no such thing.
    """
    tls = _context(policy)
    if policy.creds_file:
        text = _secret(policy.creds_file, "creds_file")
        parts = {found[1]: found[2] for found in _PART.finditer(text)}
        if _JWT not in parts or _SEED not in parts:
            raise StoreFailed(
                f"{policy.creds_file} has no user's JWT and seed",
                remedy="[store] creds_file names what `nsc generate creds` writes",
            )
        return Access(
            seed=_seed(parts[_SEED], policy.creds_file), jwt=parts[_JWT], tls=tls
        )
    if policy.nkey_file:
        text = _secret(policy.nkey_file, "nkey_file").strip()
        return Access(seed=_seed(text, policy.nkey_file), tls=tls)
    if policy.username:
        password = _line(_secret(policy.password_file, "password_file"))
        return Access(username=policy.username, password=password, tls=tls)
    if policy.token_file:
        return Access(token=_line(_secret(policy.token_file, "token_file")), tls=tls)
    return Access(tls=tls)


def system_context() -> ssl.SSLContext:
    """Trust what this machine trusts."""
    return ssl.create_default_context()


def _context(policy: StorePolicy) -> ssl.SSLContext | None:
    if not (policy.ca_file or policy.cert_file):
        return None
    try:
        made = ssl.create_default_context(
            cafile=str(Path(policy.ca_file).expanduser()) if policy.ca_file else None
        )
    except (OSError, ssl.SSLError) as error:
        raise _unreadable(policy.ca_file, "ca_file", error) from error
    if policy.cert_file:
        _secret(policy.key_file, "key_file")
        try:
            made.load_cert_chain(
                Path(policy.cert_file).expanduser(), Path(policy.key_file).expanduser()
            )
        except (OSError, ssl.SSLError) as error:
            raise _unreadable(policy.cert_file, "cert_file", error) from error
    return made


def _seed(text: str, path: str) -> str:
    try:
        nkeys.from_seed(bytearray(text.encode()))
    except Exception as error:
        raise StoreFailed(
            f"{path} has no seed of an nkey",
            remedy="it is one line that begins with SU: nk -gen user, or nsc",
        ) from error
    return text


def _line(text: str) -> str:
    return text.partition("\n")[0].rstrip("\r")


def _secret(path: str, key: str) -> str:
    """Read a file that nobody else may read; of the descriptor, so it can't be swapped."""
    try:
        handle = os.open(Path(path).expanduser(), os.O_RDONLY | os.O_NONBLOCK)
        try:
            mode = os.fstat(handle).st_mode
            if stat.S_ISREG(mode) and not mode & _OTHERS:
                text = os.read(handle, SECRET_MAX).decode()
                if not text.strip():
                    raise StoreFailed(
                        f"[store] {key}: {path} is empty", remedy=f"write it: {path}"
                    )
                return text
        finally:
            os.close(handle)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, key, error) from error
    if not stat.S_ISREG(mode):
        raise StoreFailed(f"[store] {key}: {path} is no file", remedy=f"ls -l {path}")
    raise StoreFailed(
        f"[store] {key}: other users may read {path}", remedy=f"chmod 600 {path}"
    )


def _unreadable(path: str, key: str, error: Exception) -> StoreFailed:
    why = (
        isinstance(error, OSError) and error.strerror
    ) or "it is not what it should be"
    return StoreFailed(
        f"[store] {key}: {path} can't be used: {why}",
        remedy=f"correct {key} in [store], or the file: ls -l {path}",
    )
