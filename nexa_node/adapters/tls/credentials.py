"""The `tls/` folder as services ask for it: off the loop, one call at a time."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.certificates import Facts
from nexa_node.adapters.tls.contexts import server_context
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.core.certificates import Life
from nexa_node.core.join_tokens import Admitted
from nexa_node.services.cluster.join_means import Handover
from nexa_node.services.cluster.rotation import Asked, Successor

T = TypeVar("T")

PURPOSES: tuple[authority.Purpose, ...] = ("nodes", "clients")
GREETED_MAX = 4
"""Authorities that a greeting tells."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What the join door shows to who comes."""

    context: ssl.SSLContext
    authorities: tuple[bytes, ...]
    """DER; the one that signed the node's certificate is first."""


class NodeCredentials:
    """`Credentials` of the admitting side and `Wallet` of the joining one."""

    def __init__(
        self,
        folder: TlsFolder,
        *,
        bearer: Callable[[], Bearer],
        now: Callable[[], datetime],
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: Where all lies.
            bearer: Whom the node's certificate is for, as of now.
            now: The wall clock.
        """
        self._folder = folder
        self._bearer = bearer
        self._now = now
        self._turn = asyncio.Lock()

    async def establish(self) -> bytes:
        """Make what is missing; SHA-256 of the authority of the node's certificate."""
        return await self._off_loop(self._establish)

    async def renew(self) -> bool:
        """Make what is missing or due; whether the node's certificate is another now."""
        return await self._off_loop(
            lambda: self._folder.establish(self._bearer(), now=self._now())
        )

    async def renew_own(self) -> bool:
        """Make the node's certificate anew if it has one that is due; never the first."""
        if await self.facts() is None:
            return False
        return await self.renew()

    async def facts(self) -> Facts | None:
        """Tell of the node's certificate: its fingerprint, its names, when it ends."""
        return await self._off_loop(self._folder.facts)

    async def life(self) -> Life | None:
        """From when until when the node's certificate is valid; None if it has none."""
        found = await self.facts()
        return None if found is None else found.life

    async def key_of(self, csr: str) -> str:
        """SHA-256 of the public key of a request, hexadecimal."""
        return certificates.key_pin(certificates.key_of_request(csr.encode()))

    async def sign(self, csr: str, *, name: str, hosts: tuple[str, ...]) -> Handover:
        """Sign for a new member, by the request's public key alone."""
        return await self._off_loop(lambda: self._sign(csr, name, hosts))

    async def presented(self) -> Presented:
        """What to show at the join door.

        Raises:
            Unavailable: The node has no certificate, or it can't be used.
        """
        return await self._off_loop(self._presented)

    # -- changing the authorities --------------------------------------------------

    async def successors(self) -> tuple[Successor, ...]:
        """Make authorities to take over; nobody trusts them yet."""
        return await self._off_loop(self._successors)

    async def change(self, asked: Asked) -> None:
        """Do a step of a change of authorities; see `services.cluster.rotation`.

        Raises:
            Invalid: What was sent does not belong together, or is not the step's turn.
        """
        await self._off_loop(lambda: self._change(asked))

    async def request(self) -> str:
        """Write a signing request, PEM; asked again, for the same key."""
        return (await self._off_loop(self._folder.request)).decode()

    async def keep(self, admitted: Admitted, *, ca_sha256: bytes) -> None:
        """Write what this node was given, durably, if its parts belong together."""
        await self._off_loop(
            lambda: self._folder.keep(admitted, ca_sha256=ca_sha256, now=self._now())
        )

    async def _off_loop(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)

    def _successors(self) -> tuple[Successor, ...]:
        bearer, now = self._bearer(), self._now()
        made = [
            self._folder.successor(purpose, cluster=bearer.cluster, now=now)
            for purpose in PURPOSES
        ]
        return tuple(
            Successor(
                purpose=each.purpose,
                certificate=certificates.to_pem(each.certificate).decode(),
                key=certificates.key_to_pem(each.key).decode(),
            )
            for each in made
        )

    def _change(self, asked: Asked) -> None:
        match asked.step:
            case "trust":
                for each in asked.successors:
                    pem, key = each.certificate.encode(), each.key.encode()
                    self._folder.trust(authority.load(each.purpose, pem, key))
            case "promote":
                for purpose in PURPOSES:
                    self._folder.promote(purpose, self._bearer(), now=self._now())
            case "retire":
                self._folder.retire("nodes")
                self._folder.retire("clients", keep=1)
            case "password":
                pass  # not a matter of this folder

    def _establish(self) -> bytes:
        self._folder.establish(self._bearer(), now=self._now())
        issuer = self._folder.issuer()
        if issuer is None:
            raise Invalid("the node's certificate is of no trusted authority")
        return certificates.pin(issuer)

    def _sign(self, csr: str, name: str, hosts: tuple[str, ...]) -> Handover:
        nodes, clients = (
            self._folder.authority("nodes"),
            self._folder.authority("clients"),
        )
        if nodes is None or clients is None:
            raise Unavailable("this node has no authority to sign with")
        key = certificates.key_of_request(csr.encode())
        signed = authority.sign_node(
            nodes,
            key,
            name=name,
            hosts=hosts,
            now=self._now(),
            length=self._folder.node_life,
        )
        return Handover(
            certificate=certificates.to_pem(signed).decode(),
            node_ca=self._trusted("nodes"),
            client_ca=self._trusted("clients"),
            node_ca_key=certificates.key_to_pem(nodes.key).decode(),
            client_ca_key=certificates.key_to_pem(clients.key).decode(),
        )

    def _trusted(self, purpose: authority.Purpose) -> str:
        return certificates.to_pem(*self._folder.authorities(purpose)).decode()

    def _presented(self) -> Presented:
        issuer = self._folder.issuer()
        if issuer is None:
            raise Unavailable("the node has no certificate that its cluster trusts")
        try:
            context = server_context(
                self._folder.node_certificate, self._folder.node_key
            )
        except OSError as error:
            raise Unavailable(
                f"the node's certificate can't be used: {error.strerror or error}",
                remedy=f"ls -l {self._folder.path}",
            ) from error
        others = [each for each in self._folder.authorities("nodes") if each != issuer]
        told = [certificates.to_der(each) for each in (issuer, *others)]
        return Presented(context, tuple(told[:GREETED_MAX]))
