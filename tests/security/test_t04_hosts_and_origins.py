"""T4: a page in somebody's browser gets nothing out of a node.

DNS rebinding shows in `Host`, calls of other pages in `Origin`; the node's own page loads
nothing from anywhere else, and no answer may be framed, sniffed or cached.
"""

import html.parser
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from nexa_node.adapters.asgi.app import build_app
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.core.policies import HttpPolicy
from tests.node.adapters.asgi.fake_node import (
    ADMIN,
    VIEWER,
    FakeNode,
    Port,
    headers,
    opened,
    raw,
)

FOREIGN_HOSTS = (
    "evil.example", "evil.example:6392", "localhost.evil.example", "evil.localhost",
    "localhost.", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "0.0.0.0",
    "192.0.2.7", "192.0.2.7:6392", "[2001:db8::1]", "[2001:db8::1]:6392",
    "[fe80::1%25eth0]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1:",
    "[::1", "::1]", "", ":6392", "[]", "localhost:6392:1", "xn--lcalhost-54a", "%6c",
    "nexa.test.", "*", "localhost,evil.example", "localhost/evil",
)  # fmt: skip
OUR_HOSTS = (
    "localhost", "LocalHost", "localhost:1", "127.0.0.1", "127.0.0.1:65535",
    "127.8.8.8", "[::1]", "[::1]:6392", "[0:0:0:0:0:0:0:1]", "nexa.test",
    "NEXA.test:443",
)  # fmt: skip
"""A forwarded port has another number, so a port says nothing."""
FOREIGN_ORIGINS = (
    "null", "http://evil.example", "https://evil.example", "http://localhost",
    "http://localhost:1", "https://localhost:{port}.evil.example", "file://",
    "http://127.0.0.1:{port}", "http://[::1]:{port}", "ws://localhost:{port}",
    "chrome-extension://abc", "http://localhost:{port}/", "http://a@localhost:{port}",
    "localhost:{port}", "http://localhost:{port} http://evil.example", "*",
    "HTTP://EVIL", "data:", "about:blank",
)  # fmt: skip
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: nexa.v1.json\r\n"
)
CALLS = {
    "open": "GET /healthz HTTP/1.1\r\n",
    "page": "GET /docs HTTP/1.1\r\nAccept: text/html\r\n",
    "read": f"GET /v1/node HTTP/1.1\r\nAuthorization: Bearer {ADMIN}\r\n",
    "write": "POST /v1/selftest HTTP/1.1\r\nContent-Length: 0\r\n"
    f"Authorization: Bearer {ADMIN}\r\n",
    "preflight": "OPTIONS /v1/tasks HTTP/1.1\r\n"
    "Access-Control-Request-Method: POST\r\n",
    "agent": f"GET /v1/agent HTTP/1.1\r\nAuthorization: Bearer {ADMIN}\r\n{UPGRADE}",
    "console": f"GET /v1/console HTTP/1.1\r\nAuthorization: Bearer {VIEWER}\r\n{UPGRADE}",
}


async def status(port: Port, call: str, *lines: str) -> bytes:
    """The whole answer to a call with these header lines; the connection is closed."""
    more = "".join(f"{line}\r\n" for line in lines)
    close = "" if "Upgrade" in CALLS[call] else "Connection: close\r\n"
    return await raw(port.number, f"{CALLS[call]}{more}{close}\r\n".encode("latin-1"))


def code_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


async def test_a_name_that_was_made_to_resolve_to_us_gets_nothing() -> None:
    async with opened(policy=HttpPolicy(names=("nexa.test",))) as port:
        for host in FOREIGN_HOSTS:
            for call in CALLS:
                answer = await status(port, call, f"Host: {host}")
                assert code_of(answer) in {400, 421}, (host, call, answer[:200])
                assert b"access-control" not in answer.lower()
        assert port.node.asked == []


async def test_the_names_of_this_machine_and_those_of_the_settings_are_ours() -> None:
    async with opened(policy=HttpPolicy(names=("nexa.test",))) as port:
        for host in OUR_HOSTS:
            answer = await status(port, "open", f"Host: {host}")
            assert code_of(answer) == 200, (host, answer[:200])


async def test_a_host_that_is_said_twice_or_elsewhere_counts_for_nothing() -> None:
    async with opened() as port:
        for call in CALLS:
            twice = await status(port, call, "Host: localhost", "Host: evil.example")
            turned = await status(port, call, "Host: evil.example", "Host: localhost")
            none = await status(port, call)
            forwarded = await status(
                port, call, "Host: evil.example", "X-Forwarded-Host: localhost",
                "Forwarded: host=localhost",
            )  # fmt: skip
            for answer in (twice, turned, none, forwarded):
                assert code_of(answer) in {0, 400, 421}, (call, answer[:200])
        assert port.node.asked == []


async def test_other_pages_get_nothing_neither_by_calls_nor_by_sockets() -> None:
    async with opened() as port:
        for origin in FOREIGN_ORIGINS:
            for call in CALLS:
                told = origin.replace("{port}", str(port.number))
                host = f"Host: localhost:{port.number}"
                answer = await status(port, call, host, f"Origin: {told}")
                assert code_of(answer) == 403, (told, call, answer[:200])
                assert b"access-control" not in answer.lower()
        assert port.node.asked == []


async def test_an_origin_that_is_said_twice_is_none() -> None:
    async with opened() as port:
        ours, host = (
            f"Origin: http://localhost:{port.number}",
            f"Host: localhost:{port.number}",
        )
        for call in CALLS:
            for lines in ((ours, "Origin: http://evil.example"), (ours, ours)):
                answer = await status(port, call, host, *lines)
                assert code_of(answer) in {400, 403}, (call, answer[:200])
        assert port.node.asked == []


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}"]
)
async def test_our_own_page_may_call(host: str) -> None:
    async with opened() as port:
        there = host.replace("{port}", str(port.number))
        for scheme in ("http", "https"):
            lines = (f"Host: {there}", f"Origin: {scheme}://{there}")
            for call in ("open", "page", "read"):
                assert code_of(await status(port, call, *lines)) in {200, 401}
    assert port.node.asked


# -- what every answer carries -------------------------------------------------------


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(FakeNode(), HttpPolicy(names=("nexa.test",)))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://nexa.test", headers=headers()
    ) as client:
        yield client


async def test_no_answer_can_be_framed_sniffed_cached_or_read_by_another_page(
    http: httpx.AsyncClient,
) -> None:
    for one in OPERATIONS:
        path = re.sub(r"\{\w+\}", "alpha", one.path)
        for token in (None, VIEWER, ADMIN):
            sent = {"Authorization": f"Bearer {token or 'nxa_wrong'}"}
            told = await http.request(one.method, path, headers=sent)
            got = told.headers
            where = (one.method, path, told.status_code)
            assert got["x-content-type-options"] == "nosniff", where
            assert got["x-frame-options"] == "DENY", where
            assert got["referrer-policy"] == "no-referrer", where
            assert got["cross-origin-resource-policy"] == "same-origin", where
            policy = got["content-security-policy"]
            assert "default-src 'none'" in policy, where
            assert "frame-ancestors 'none'" in policy, where
            assert got["cache-control"] in {"no-store", "private, no-cache"}, where
            assert got["x-request-id"], where
            leaks = {"server", "x-powered-by", "set-cookie"}
            assert not leaks & set(got), where
            assert not any(name.startswith("access-control") for name in got), where


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"<script>\r\n\r\n",
    ],
    ids=["two hosts", "TLS", "no host", "no HTTP"],
)
async def test_what_is_no_request_is_answered_with_the_same_headers(
    request_: bytes,
) -> None:
    async with opened() as port:
        told = await raw(port.number, request_)

    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    for line in (b"x-content-type-options: nosniff", b"x-frame-options: DENY",
                 b"cache-control: no-store", b"application/problem+json"):  # fmt: skip
        assert line in head
    assert b'"reason":"invalid"' in body
    assert b"script" not in body


# -- /docs ----------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a page would load, and what it says in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[tuple[str, str]] = []
        self.nonces: list[str | None] = []
        self.events: list[str] = []
        self.code = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag
        if tag in {"script", "style"}:
            self.nonces.append(given.get("nonce"))
        self.events += [name for name in given if name.startswith("on")]
        named = {"src", "href", "action", "data", "srcset", "poster", "formaction",
                 "background", "ping", "manifest", "cite", "style"}  # fmt: skip
        self.loads += [(name, text or "") for name, text in attrs if name in named]
        if (
            tag in {"base", "iframe", "object", "embed", "meta"}
            and "http-equiv" in given
        ):
            self.loads.append((tag, given["http-equiv"] or ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"}:
            self.code += data


@pytest.mark.parametrize("token", [None, ADMIN])
async def test_the_page_loads_nothing_and_may_call_its_own_host_only(
    http: httpx.AsyncClient, token: str | None
) -> None:
    http.headers.clear()
    sent = {"Accept": "text/html"}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    told = await http.get("/docs", headers=sent)
    again = await http.get("/docs", headers=sent)
    page, policy = Page(told.text), told.headers["content-security-policy"]

    assert told.status_code == (401 if token is None else 200)
    assert page.loads == []
    assert page.events == []
    (nonce,) = set(page.nonces)
    assert nonce
    assert f"script-src 'nonce-{nonce}'" in policy
    assert nonce not in again.text
    assert policy.count("'self'") == 1
    assert "connect-src 'self'" in policy
    for word in ("unsafe", "http:", "https:", "*", "data:", "blob:"):
        assert word not in policy
    assert not re.search(r"(https?|wss?|ftp):|[\"'`(]//", told.text, re.IGNORECASE)
    assert "{{" not in told.text
    for name in ("eval", "innerHTML", "outerHTML", "document.write", "import", "@import",
                 "url(", "insertAdjacentHTML", "localStorage", "sessionStorage",
                 "document.cookie", "new Function", "postMessage"):  # fmt: skip
        assert name not in page.code, name


async def test_every_address_the_page_asks_for_is_one_of_this_node(
    http: httpx.AsyncClient,
) -> None:
    text = (await http.get("/docs", headers={"Accept": "text/html"})).text
    asked = re.findall(r"fetch\(\s*([^,]+),", text)

    assert set(asked) == {'"/openapi.json"', "asked"}
    assert 'const asked = query.size ? url + "?" + query : url;' in text
    assert "let url = path;" in text  # of the document, each below
    told = await http.get("/openapi.json")
    assert told.status_code == 200
    document = told.json()
    assert document["servers"] == [{"url": "/"}]
    assert all(path.startswith("/") for path in document["paths"])
    assert not any(path.startswith("//") for path in document["paths"])
