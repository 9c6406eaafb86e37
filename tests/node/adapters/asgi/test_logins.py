"""Logging in over REST: what is asked, and what is answered."""

import httpx
import msgspec

from nexa_node.adapters.asgi import login_examples as examples
from nexa_node.contract.access import TokenCreated
from nexa_node.contract.errors import Unauthorized
from nexa_node.contract.login import Challenge, LoginWays
from tests.node.adapters.asgi.fake_node import FakeNode, Port, opened


async def test_who_has_no_token_yet_may_ask_how_and_log_in(port: Port) -> None:
    async with httpx.AsyncClient(base_url=port.url, trust_env=False) as stranger:
        ways = await stranger.get("/v1/login")
        challenge = await stranger.post("/v1/login/challenge", json={"id": "k1"})
        proof = {"id": "k1", "nonce": "n", "signature": "s"}
        made = await stranger.post("/v1/login", json={"key": proof})

    assert msgspec.json.decode(ways.content, type=LoginWays) == examples.WAYS
    told = msgspec.json.decode(challenge.content, type=Challenge)
    assert told == examples.CHALLENGE
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert msgspec.json.decode(made.content, type=TokenCreated) == examples.LOGGED_IN
    wanted, address = port.node.asked[-1][1]
    assert wanted.key.id == "k1"
    assert address == "127.0.0.1"


async def test_a_proof_that_is_none_is_answered_401() -> None:
    refusal = Unauthorized("the signature is nobody's")
    async with opened(FakeNode(refusal=refusal)) as port:
        answer = await port.http.post(
            "/v1/login", json={"oidc": "x"}, headers={"Authorization": ""}
        )

    assert answer.status_code == 401
