"""`http`: a URL answers as it should, and its certificate does not end soon."""

import base64
import ssl
from typing import TYPE_CHECKING

from nexa_node.adapters.probes.asking import Asking, Look, Unfit, Warned
from nexa_node.adapters.probes.certificates import (
    described,
    distrusted,
    ends_soon,
    no_tls,
    read,
    trusting,
)
from nexa_node.adapters.probes.mending import causes, closed, of_os_error
from nexa_node.adapters.probes.names import resolve
from nexa_node.adapters.probes.targets import Endpoint, address
from nexa_node.adapters.probes.text import printable

if TYPE_CHECKING:
    import httpx

_BODY_MAX = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_GOOD = range(200, 400)


async def look(asking: Asking) -> Look:
    """GET it: no redirect is followed, no proxy used."""
    import httpx

    url = asking.spec.target
    if "://" not in url:
        raise Unfit(f"'{url}' is not a URL", asking.correct("target"))
    parts = address(
        asking, schemes=("http", "https"), default_port=_PORTS.get(url[:5], 80)
    )
    at = parts.endpoint
    await resolve(asking, at.host)
    try:
        async with (
            httpx.AsyncClient(
                verify=await trusting(asking) if parts.scheme == "https" else False,
                trust_env=False,
                timeout=httpx.Timeout(None),
            ) as client,
            client.stream("GET", url, headers=await _headers(asking)) as response,
        ):
            return await _judged(response, asking)
    except httpx.InvalidURL as error:
        raise Unfit(f"'{url}' is not a URL: {error}", asking.correct("target")) from (
            error
        )
    except httpx.TransportError as error:
        raise await _refused(error, asking, at) from error


async def _headers(asking: Asking) -> dict[str, str]:
    """Name ourselves; with a password file, as `username`, or with a bearer token."""
    headers = {"User-Agent": "nexa-selftest", "Accept": "*/*"}
    password = await asking.password()
    if password is not None:
        user = asking.spec.username
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}" if user else f"Bearer {password}"
    return headers


async def _judged(response: "httpx.Response", asking: Asking) -> Look:
    spec = asking.spec
    status = f"{response.status_code} {printable(response.reason_phrase, 40)}".strip()
    expected = spec.expect_status
    good = (
        response.status_code == expected
        if expected
        else (response.status_code in _GOOD)
    )
    if not good:
        wanted = expected or "200 to 399"
        raise Unfit(
            f"it answered {status}, expected {wanted}",
            f"curl -i {spec.target}; or {asking.correct('target', 'expect_status')}",
        )
    if spec.expect_text and spec.expect_text not in await _beginning(response):
        raise Unfit(
            f"it answered {status}, without '{printable(spec.expect_text, 60)}' in the"
            " first 64 KiB",
            f"curl {spec.target}; or {asking.correct('expect_text')}",
        )
    held, warning = _certificate(response, asking)
    return Look(f"{status}{held}", warning)


async def _beginning(response: "httpx.Response") -> str:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) >= _BODY_MAX:
            break
    return body[:_BODY_MAX].decode(response.encoding or "utf-8", errors="replace")


def _certificate(
    response: "httpx.Response", asking: Asking
) -> tuple[str, Warned | None]:
    session = response.extensions["network_stream"].get_extra_info("ssl_object")
    if session is None:
        return "", None
    certificate = read(session.getpeercert(binary_form=True))
    return f", {described(certificate)}", ends_soon(asking, certificate)


async def _refused(error: Exception, asking: Asking, at: Endpoint) -> Unfit:
    import httpx

    for found in causes(error):
        if isinstance(found, ssl.SSLCertVerificationError):
            return await distrusted(found, asking, at)
        if isinstance(found, ssl.SSLError):
            return no_tls(found, asking, at)
    if isinstance(error, httpx.RemoteProtocolError):
        if "disconnected" in str(error):
            return closed(asking, where=str(at))
        return Unfit(f"{at} does not speak HTTP: {error}", asking.correct("target"))
    return of_os_error(error, asking, where=str(at))
