"""The port's TLS: its files, made where they are the cluster's, and read anew in time."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from nexa_node.adapters.asgi.limits import TlsDoor
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.port import PortFiles, PortTls, files_of
from nexa_node.adapters.tls.signer import ClientSigner
from nexa_node.core.encryption import is_encrypted
from nexa_node.core.exposition import Counter, Family, Sample
from nexa_node.services.access.client_certificates import ClientCertificates
from nexa_node.services.cluster.reload import Reload
from nexa_node.wiring.core import Core
from nexa_node.wiring.joining import credentials_of
from nexa_node.wiring.place import Place


def port_files(place: Place) -> PortFiles | None:
    """Where the port's certificate lies; None of a port that is plain."""
    settings = place.loaded.settings
    tls = settings.tls
    if not is_encrypted(tls, settings.node.host):
        return None
    return files_of(
        TlsFolder(place.folder.path / "tls"),
        certificate=tls.cert_file,
        key=tls.key_file,
        clients=tls.client_ca_file,
        minimum=tls.min_version,
    )


async def secured(place: Place) -> Place:
    """A place whose port has what it needs: what is the cluster's is made if missing.

    Raises:
        Invalid: A file can't be used; says which, why, and what mends it.
        Unavailable: The node's folder can't be written.
    """
    files = port_files(place)
    if files is None:
        return place
    tls = place.loaded.settings.tls
    if not (tls.cert_file and tls.client_ca_file):
        await credentials_of(place, place.loaded.settings.node.cluster).renew()
    return replace(place, port=await asyncio.to_thread(PortTls, files))


def client_certificates(place: Place, core: Core) -> ClientCertificates:
    """Who proves who he is by a certificate."""
    folder = TlsFolder(place.folder.path / "tls")
    files = port_files(place)
    signer = ClientSigner(
        folder,
        clients=None if files is None else files.clients,
        nodes_are_ours=files is not None and not files.is_own,
        now=core.clock.now,
    )
    return ClientCertificates(core.access, signer, clock=core.clock)


def reloading(port: PortTls, place: Place, core: Core) -> Reload:
    """What has the port show a certificate that was renewed, by whomever."""
    return Reload(
        port,
        clock=core.clock,
        journal=core.journal,
        node=place.identity.name,
        ends=lambda: port.shown.life.ends,
    )


def door_of(port: PortTls) -> TlsDoor:
    """How the port's connections are encrypted."""
    return TlsDoor(port.context, handshakes=port.handshakes)


def of_handshakes(place: Place) -> Iterator[Family]:
    """How handshakes ended; nothing of a port that is plain."""
    if place.port is not None:
        counted = place.port.handshakes.items()
        yield Counter(
            "nexa_tls_handshakes_total",
            "Handshakes of TLS at the port, by how they ended.",
            tuple(Sample(count, {"outcome": how}) for how, count in counted),
        )


def port_ends(place: Place) -> Mapping[str, datetime]:
    """When the port's certificate ends, for the metrics."""
    return {} if place.port is None else {"api": place.port.shown.life.ends}
