"""People who log in with an account elsewhere: who is taken, and who is not."""

import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.oidc.issuer import Issuer
from nexa_node.contract.errors import (
    Forbidden,
    Invalid,
    NexaError,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.login import NewLogin
from nexa_node.core.policies import OidcPolicy, OidcRolePolicy
from nexa_node.services.access.access import Access
from nexa_node.services.access.logins import Logins
from tests.builders import identity
from tests.fakes import CountingEntropy, MemoryStore, RecordingJournal
from tests.node.adapters.oidc.issuing import RSA, IssuerServer, b64, issuer, token

RULES = (
    OidcRolePolicy(claim="groups", value="ops", role="operator"),
    OidcRolePolicy(
        claim="email", value="ada@example.com", role="viewer", namespaces=("team-a",)
    ),
    OidcRolePolicy(claim="realm.roles", value="boss", role="admin"),
)


@pytest.fixture(scope="module")
def served() -> Iterator[IssuerServer]:
    with issuer() as it:
        yield it


def known(served: IssuerServer, **policy: Any) -> Issuer:
    told = OidcPolicy(**{"issuer": served.url, "client_id": "nexa", **policy})
    return Issuer(told, RULES, clock=SystemClock())


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_a_claim_gives_a_role(served: IssuerServer, alg: str) -> None:
    it = known(served)

    ada = await it.verify(token(served.claimed(), alg=alg))
    ops = await it.verify(token(served.claimed(groups=["x", "ops"], aud=["nexa"])))
    boss = await it.verify(token(served.claimed(email="b", realm={"roles": ["boss"]})))

    assert (ada.role, ada.scope.namespaces) == ("viewer", ("team-a",))
    assert (ada.subject, ada.name) == ("u-1", "ada@example.com")
    assert ops.role == "operator"
    assert boss.role == "admin"
    assert served.asked.count("/keys") >= 1


async def test_who_fits_no_rule_stays_outside(served: IssuerServer) -> None:
    for claims in (
        {"email": "eve@example.com"},
        {"email_verified": False},
        {"email": "ada@example.com.evil.test"},
        {"groups": "operators", "email": None},
        {"realm": "boss", "email": None},
    ):
        with pytest.raises(Forbidden, match="no rule"):
            await known(served).verify(token(served.claimed(**claims)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": "https://evil.test"}, "another issuer"),
        ({"aud": "other"}, "another client"),
        ({"aud": ["nexa", "other"]}, "made for another"),
        ({"aud": None}, "another client"),
        ({"exp": 1}, "over"),
        ({"exp": "never"}, "no exp"),
        ({"exp": True}, "no exp"),
        ({"iat": 2**40}, "not valid yet"),
        ({"nbf": 2**40}, "not valid yet"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 1}, "names nobody"),
    ],
)
async def test_claims_that_are_not_for_us_are_refused(
    served: IssuerServer, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unauthorized, match=why):
        await known(served).verify(token(served.claimed(**change)))


async def test_no_signature_but_the_issuers_counts(served: IssuerServer) -> None:
    good = token(served.claimed())
    head, body, signature = good.split(".")
    public = str(RSA.public_key().public_numbers().n).encode()
    hs_head = b64(json.dumps({"alg": "HS256", "kid": "r1"}).encode())
    hs_words = f"{hs_head}.{body}"
    none = b64(json.dumps({"alg": "none"}).encode())
    forged = {
        "none": token(served.claimed(), alg="none"),
        "none without a key": f"{none}.{body}.",
        "symmetric": f"{hs_words}.{b64(hmac.digest(public, hs_words.encode(), sha256))}",
        "the other kind": token(served.claimed(), alg="ES256", kid="r1"),
        "other claims": f"{head}.{b64(json.dumps(served.claimed(sub='x')).encode())}.{signature}",
        "an unknown key": token(served.claimed(), kid="zz"),
        "crit": token(served.claimed(), crit=["exp"]),
        "padding": good + "=",
        "two parts": f"{head}.{body}",
        "no JSON": f"{b64(b'x')}.{body}.{signature}",
        "a list": f"{b64(b'[]')}.{body}.{signature}",
        "rubbish": "a.b.c",
        "short": f"{token(served.claimed(), alg='ES256').rpartition('.')[0]}.{b64(b'x' * 63)}",
        "too long": good + "A" * 20_000,
    }
    it = known(served)
    for text in forged.values():
        with pytest.raises(Unauthorized):
            await it.verify(text)
    assert (await it.verify(good)).subject == "u-1"


async def test_strangers_do_not_have_us_ask_the_issuer_all_the_time(
    served: IssuerServer,
) -> None:
    it = known(served)
    await it.verify(token(served.claimed()))
    before = len(served.asked)
    for _ in range(5):
        with pytest.raises(Unauthorized):
            await it.verify(token(served.claimed(), kid="zz"))

    assert len(served.asked) == before


async def test_an_issuer_that_cannot_be_trusted_is_told() -> None:
    with issuer() as it:
        for policy in (
            {"issuer": "http://issuer.test"},
            {"issuer": f"{it.url}/elsewhere"},
        ):
            with pytest.raises(Unavailable):
                await known(it, **policy).verify(token(it.claimed()))
        for described in (
            {"issuer": "https://other.test"},
            {"jwks_uri": 5},
            {"jwks_uri": "http://10.0.0.1/keys"},
            {"jwks_uri": f"{it.url}/device"},
        ):
            it.described = described
            with pytest.raises(Unavailable):
                await known(it).verify(token(it.claimed()))


async def test_an_id_token_lets_in_once_for_a_while(served: IssuerServer) -> None:
    store = MemoryStore()
    clock = SystemClock()
    access = Access(
        tokens=store.tokens,
        clock=clock,
        journal=RecordingJournal(),
        entropy=CountingEntropy(),
    )
    access.caught_up = True
    logins = Logins(
        access,
        clock=clock,
        entropy=CountingEntropy(),
        node="n",
        cluster=lambda: "nexa",
        oidc=known(served, session_s=600),
    )
    text = token(served.claimed())

    who, made = await logins.login(NewLogin(oidc=text), address="10.0.0.1")

    assert who.role == "viewer"
    assert who.id.startswith("token:oidc-")
    assert access.authenticate(made.token, address="10.0.0.1").name == "ada@example.com"
    assert made.expires is not None
    assert 500 < made.expires.timestamp() - time.time() <= 600
    with pytest.raises(Unauthorized, match="used before"):
        await logins.login(NewLogin(oidc=text), address="10.0.0.1")
    another = Logins(
        access,
        clock=clock,
        entropy=CountingEntropy(),
        node="m",
        cluster=lambda: "nexa",
        oidc=known(served, session_s=600),
    )
    with pytest.raises(Unauthorized, match="used before"):
        await another.login(NewLogin(oidc=text), address="10.0.0.1")
    with pytest.raises(Invalid, match="short-lived"):
        await access.rotate(made.id, overlap_s=0, by=identity("admin"))
    provider = logins.ways().oidc
    assert provider is not None
    assert provider.issuer == served.url

    for _ in range(25):
        with pytest.raises(NexaError) as refused:
            await logins.login(NewLogin(oidc="a.b.c"), address="10.0.0.2")
    assert refused.value.reason == "rate_limited"
