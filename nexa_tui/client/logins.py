"""Logging in by an Ed25519 key or another's word: for a token that soon ends."""

import base64
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.access import TokenCreated
from nexa_node.contract.errors import Invalid, NotFound, Unavailable
from nexa_node.contract.login import (
    Challenge,
    KeyProof,
    LoginWays,
    NewChallenge,
    NewLogin,
    OidcProvider,
    login_words,
)
from nexa_tui.client.contexts import keep_login
from nexa_tui.client.discovery import Target
from nexa_tui.client.keys import write_secret
from nexa_tui.client.rest import Rest

_OTHERS = 0o077
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ASK_S = 5.0
_POLL_MAX_S = 60.0
_RENEW = timedelta(minutes=1)


class Device(msgspec.Struct):
    """What the issuer answers who wants to log in elsewhere (RFC 8628)."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    interval: float = 5.0
    verification_uri_complete: str = ""


def make_signing_key(path: Path) -> str:
    """Write a new key to `path`, mode 0600, and return its public half, base64.

    Raises:
        Invalid: There is a file already, or it can't be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if path.exists() or path.is_symlink():
        raise Invalid(f"there is a file {path} already", remedy="choose another name")
    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_secret(path, pem)
    return base64.b64encode(made.public_key().public_bytes_raw()).decode()


def public_half(path: Path) -> str:
    """The public half of the key in a file, base64.

    Raises:
        NotFound: There is no such file.
        Invalid: It holds no such key, or others may read it.
    """
    return base64.b64encode(_key(path).public_key().public_bytes_raw()).decode()


def log_in_by_key(node: Rest, path: Path, token_id: str) -> TokenCreated:
    """Prove to have the key that was registered for a token.

    Raises:
        Invalid: The file holds no key.
        Unauthorized: It is another's.
    """
    key = _key(path)
    challenge = node.post(
        "/v1/login/challenge", Challenge, body=NewChallenge(id=token_id)
    )
    words = login_words(challenge, purpose="login", token_id=token_id)
    signature = base64.b64encode(key.sign(words)).decode()
    proof = KeyProof(id=token_id, nonce=challenge.nonce, signature=signature)
    return node.post("/v1/login", TokenCreated, body=NewLogin(key=proof))


def renewed(environ: Mapping[str, str], target: Target) -> Target:
    """The same target by a token that lives yet: logs in anew by its key if need be.

    Raises:
        NexaError: The key does not open the node any more, or there is no node.
    """
    login = target.login
    if login is None or environ.get("NEXA_TOKEN"):
        return target
    if login.until is not None and login.until - datetime.now(UTC) > _RENEW:
        return target
    with Rest(replace(target, token=None)) as node:
        made = log_in_by_key(node, Path(login.sign), login.id)
    keep_login(environ, target.name, made.token, until=made.expires)
    return replace(target, token=made.token)


def log_in_by_device(
    node: Rest,
    tell: Callable[[str, str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> TokenCreated:
    """Have somebody log in with a browser, anywhere, and wait until he has.

    Args:
        node: Of a cluster that has an issuer.
        tell: Told where to go, and which code to give there.
        sleep: Waits between two questions.

    Raises:
        Invalid: The cluster has no issuer.
        Unavailable: The issuer does not answer, or nobody logged in.
    """
    provider = node.get("/v1/login", LoginWays).oidc
    if provider is None:
        raise Invalid(
            "this cluster takes no logins by OpenID Connect",
            remedy="set [oidc] issuer and client_id in nexa.toml of its nodes",
        )
    token = _id_token(provider, tell, sleep)
    return node.post("/v1/login", TokenCreated, body=NewLogin(oidc=token))


def _id_token(
    provider: OidcProvider,
    tell: Callable[[str, str], None],
    sleep: Callable[[float], None],
) -> str:
    import httpx

    ca = os.environ.get("SSL_CERT_FILE")
    encrypted = provider.issuer.startswith("https://")
    with httpx.Client(
        timeout=_ASK_S, trust_env=bool(ca), verify=encrypted, follow_redirects=False
    ) as http:
        base = provider.issuer.rstrip("/")
        found = _answer(http.get, f"{base}/.well-known/openid-configuration")
        if found.get("issuer") != provider.issuer:
            raise _broken(provider, "its description is of another issuer")
        form = {"client_id": provider.client_id, "scope": " ".join(provider.scopes)}
        where, asked = (
            str(found.get("device_authorization_endpoint", "")),
            str(found.get("token_endpoint", "")),
        )
        if not where or not asked:
            raise _broken(provider, "it has no device login")
        device = msgspec.convert(_answer(http.post, where, data=form), Device)
        tell(
            device.verification_uri_complete or device.verification_uri,
            device.user_code,
        )
        form = {
            "grant_type": _DEVICE_GRANT,
            "device_code": device.device_code,
            "client_id": provider.client_id,
        }
        waited, every = 0.0, max(device.interval, 0.0)
        while waited <= device.expires_in:
            sleep(every)
            waited += max(every, 0.1)
            told = _answer(http.post, asked, data=form, refused=True)
            if isinstance(token := told.get("id_token"), str):
                return token
            match told.get("error"):
                case "authorization_pending":
                    continue
                case "slow_down":
                    every = min(every + 5.0, _POLL_MAX_S)
                case error:
                    raise _broken(provider, f"{error or 'it gave no ID token'}")
    raise _broken(provider, "nobody logged in in time")


def _answer(
    ask: Callable[..., Any], url: str, *, refused: bool = False, **how: Any
) -> dict[str, Any]:
    import httpx

    try:
        answer = ask(url, **how)
        if not (refused and answer.status_code == 400):
            answer.raise_for_status()
        told: Any = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"{url}: {error}", remedy="try again") from error
    if not isinstance(told, dict):
        raise Unavailable(f"{url} answers no object", remedy="try again")
    return told  # pyright: ignore[reportUnknownVariableType]  # JSON


def _broken(provider: OidcProvider, why: str) -> Unavailable:
    return Unavailable(
        f"the login at {provider.issuer} failed: {why}", remedy="nexa login --oidc"
    )


def _key(path: Path) -> Any:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if path.stat().st_mode & _OTHERS:
            raise Invalid(
                f"the key {path} is readable by other users", remedy=f"chmod 600 {path}"
            )
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise NotFound(
            f"there is no file {path}", remedy=f"nexa token key {path}"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(f"{path} holds no private key: {error}") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise Invalid(f"{path} holds no Ed25519 key", remedy="nexa token key FILE")
    return found
