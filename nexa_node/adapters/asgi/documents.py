"""The API's description: `/openapi.json` for programs, `/docs` for people.

A browser cannot send a token when it opens a page. So `/docs` without one answers 401
like everything else, and the body is the page itself: it knows nothing, asks for a
token, and fetches `/openapi.json` with it. The token stays in the page's memory.
"""

import secrets
from importlib import resources
from typing import Any

from nexa_node.adapters.asgi.operation import (
    ANY,
    JSON,
    OPEN,
    Call,
    Document,
    Operation,
    Query,
)
from nexa_node.contract.errors import Unauthorized

_HTML = "text/html; charset=utf-8"
_PAGE = (
    resources.files("nexa_node.adapters.asgi")
    .joinpath("docs.html")
    .read_text(encoding="utf-8")
)
_NONCE = "{{nonce}}"


async def get_openapi(call: Call[Query, None]) -> Document:
    """The description of all operations."""
    return Document(call.describe(), JSON)


async def get_docs(call: Call[Query, None]) -> Document:
    """The page; 401 around it when nobody has said who they are."""
    if call.caller is None and "text/html" not in call.accept:
        raise Unauthorized(
            "the description of the API needs a token",
            remedy="open it in a browser, or send the header Authorization: Bearer …",
        )
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
        " connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    headers = {"content-security-policy": policy}
    if call.caller is None:
        headers["www-authenticate"] = 'Bearer realm="nexa"'
    return Document(
        _PAGE.replace(_NONCE, nonce).encode(),
        _HTML,
        headers,
        status=401 if call.caller is None else 200,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/openapi.json",
        action=ANY,
        tag="description",
        summary="Describe the API: OpenAPI 3.1",
        handler=get_openapi,
        answer=dict[str, Any],
        example={"openapi": "3.1.0"},
        etag=True,
    ),
    Operation(
        method="GET",
        path="/docs",
        action=OPEN,
        tag="description",
        summary="Describe the API to people",
        description="Without a token a browser gets 401 and a page that asks for one.",
        handler=get_docs,
        answer=str,
        example="<!doctype html>…",
        media=_HTML,
        errors=(Unauthorized,),
    ),
)
