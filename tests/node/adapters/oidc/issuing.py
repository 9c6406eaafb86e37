"""An OpenID Connect issuer: a real server, real keys, the device flow."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def keys() -> list[dict[str, Any]]:
    of_rsa, of_ec = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    return [
        {"kty": "RSA", "kid": "r1", "use": "sig", "alg": "RS256",
         "n": number(of_rsa.n), "e": number(of_rsa.e)},
        {"kty": "EC", "kid": "e1", "crv": "P-256", "x": number(of_ec.x), "y": number(of_ec.y)},
    ]  # fmt: skip


def token(claims: dict[str, Any], *, alg: str = "RS256", **header: Any) -> str:
    kid = {"RS256": "r1", "ES256": "e1"}.get(alg)
    head = {"alg": alg, "kid": kid, "typ": "JWT", **header}
    words = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{words}.{b64(sign(alg, words.encode()))}"


def sign(alg: str, words: bytes) -> bytes:
    if alg == "RS256":
        return RSA.sign(words, padding.PKCS1v15(), hashes.SHA256())
    if alg == "ES256":
        r, s = decode_dss_signature(EC.sign(words, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return b""


class IssuerServer:
    """What it says, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.pending = 1
        """How often the device is told to wait."""
        self.refusal = ""
        self.claims: dict[str, Any] = {
            "email": "ada@example.com",
            "email_verified": True,
        }
        self.described: dict[str, Any] = {}

    def claimed(self, **change: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.url, "aud": "nexa", "sub": "u-1", "iat": now, "exp": now + 300,
            **self.claims, **change,
        }  # fmt: skip

    def answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, Any]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/keys",
                    "device_authorization_endpoint": f"{self.url}/device",
                    "token_endpoint": f"{self.url}/token",
                    **self.described,
                }
            case "/keys":
                return 200, {"keys": keys()}
            case "/device":
                return 200, {
                    "device_code": "d-1", "user_code": "WDJB-MJHT", "expires_in": 60,
                    "verification_uri": f"{self.url}/go", "interval": 0,
                }  # fmt: skip
            case "/token":
                if form.get("device_code") != ["d-1"]:
                    return 400, {"error": "invalid_grant"}
                if self.refusal:
                    return 400, {"error": self.refusal}
                if self.pending:
                    self.pending -= 1
                    return 400, {"error": "authorization_pending"}
                return 200, {"id_token": token(self.claimed())}
        return 404, {}


@contextmanager
def issuer() -> Iterator[IssuerServer]:
    """Serve on a free port."""
    it = IssuerServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            self._answer(parse_qs(self.rfile.read(length).decode()))

        def _answer(self, form: dict[str, list[str]]) -> None:
            it.asked.append(self.path)
            status, told = it.answer(self.path, form)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
