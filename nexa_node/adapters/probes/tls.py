"""`tls`: a certificate that is trusted, is for this host, and does not end soon."""

import ssl

from nexa_node.adapters.probes.asking import Asking, Look
from nexa_node.adapters.probes.certificates import (
    described,
    distrusted,
    ends_soon,
    no_tls,
    read,
    trusting,
)
from nexa_node.adapters.probes.lines import line
from nexa_node.adapters.probes.targets import endpoint

_HTTPS = 443


async def look(asking: Asking) -> Look:
    """Shake hands, and read the certificate."""
    at = endpoint(asking, default_port=_HTTPS)
    try:
        async with line(asking, at, context=await trusting(asking)) as connection:
            session: ssl.SSLObject = connection.writer.get_extra_info("ssl_object")
            version = session.version()
            certificate = read(session.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        raise await distrusted(error, asking, at) from error
    except ssl.SSLError as error:
        raise no_tls(error, asking, at) from error
    return Look(f"{version}, {described(certificate)}", ends_soon(asking, certificate))
