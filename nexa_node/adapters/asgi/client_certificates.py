"""Clients' certificates: sign, renew, list. They are ended as tokens are."""

from datetime import timedelta

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import PageQuery, page_of
from nexa_node.contract.access import (
    CertificateIssued,
    NewCertificate,
    RenewCertificate,
    TokenView,
)
from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.rest import Page

_TOKEN = examples.TOKENS.items[0]
_CSR = "-----BEGIN CERTIFICATE REQUEST-----\n…"
_PEM = "-----BEGIN CERTIFICATE-----\n…"
_NEW = NewCertificate(role="agent", csr=_CSR, name="word counters")
ISSUED = CertificateIssued(
    id="4d5e6f",
    certificate=_PEM,
    authorities=_PEM,
    role="agent",
    name="word counters",
    expires=_TOKEN.created + timedelta(days=90),
)
LISTED = Page(
    items=(
        TokenView(
            id="4d5e6f",
            role="agent",
            name="word counters",
            created=_TOKEN.created,
            expires=ISSUED.expires,
            certificates=("9f" * 32,),
        ),
    )
)


async def issue(call: Call[Query, NewCertificate]) -> CertificateIssued:
    """Sign one; the key stays with who asks."""
    return await call.api.issue_certificate(call.identity, call.body)


async def renew(call: Call[Query, RenewCertificate]) -> CertificateIssued:
    """Sign another one for the same client."""
    return await call.api.renew_certificate(
        call.identity, call.token_id("id"), call.body
    )


async def listed(call: Call[PageQuery, None]) -> Page[TokenView]:
    """Who has one, by id."""
    found = call.api.certificates(call.identity)
    return page_of(found.items, call.query, key=lambda one: one.id)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/certificates",
        action="certificates",
        tag="access",
        summary="List clients that show a certificate",
        description="They are listed among the tokens, too, and ended as one:"
        " DELETE /v1/tokens/{id}.",
        handler=listed,
        query=PageQuery,
        answer=Page[TokenView],
        example=LISTED,
    ),
    Operation(
        method="POST",
        path="/v1/certificates",
        action="issue_certificate",
        tag="access",
        summary="Sign a certificate for a client",
        description="Of the request its public key alone counts: who asks keeps the other"
        " half. Or a certificate of another authority is registered.",
        handler=issue,
        body=NewCertificate,
        body_example=_NEW,
        answer=CertificateIssued,
        example=ISSUED,
        status=201,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/certificates/{id}/renew",
        action="renew_certificate",
        tag="access",
        summary="Renew a client's certificate",
        description="Its holder may do so without any further permission. The one before"
        " is good until its own end.",
        handler=renew,
        body=RenewCertificate,
        body_example=RenewCertificate(csr=_CSR),
        answer=CertificateIssued,
        example=ISSUED,
        errors=(NotFound, Conflict, Unavailable),
    ),
)
