"""An agent that signs its hello."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexa_node.agent.arguments import parse
from nexa_node.agent.signing import Signer, signer_of
from nexa_node.contract.errors import Invalid
from nexa_node.contract.login import Challenge, login_words

CHALLENGE = Challenge(
    nonce="n", node="id", cluster="nexa", expires=datetime(2026, 3, 1, tzinfo=UTC)
)
RUN = ("run", "--id", "a", "--capability", "wc")


def written(path: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return path


def test_a_challenge_is_signed_for_a_session(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    auth = Signer(written(tmp_path / "k", key), "t1").sign(CHALLENGE)

    assert auth.token is None
    assert auth.key is not None
    words = login_words(CHALLENGE, purpose="session", token_id="t1")
    key.public_key().verify(base64.b64decode(auth.key.signature), words)


def test_a_key_that_is_none_or_is_no_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no private key"):
        Signer(tmp_path / "none", "t1").sign(CHALLENGE)
    path = written(tmp_path / "k", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Invalid, match="no Ed25519"):
        Signer(path, "t1").sign(CHALLENGE)
    path.chmod(0o640)
    with pytest.raises(Invalid, match="other users"):
        Signer(path, "t1").sign(CHALLENGE)


def test_the_key_is_named_by_options_or_the_environment() -> None:
    environ = {"NEXA_SIGN_FILE": "/k", "NEXA_SIGN_ID": "t1"}
    mine = Signer(Path("/k"), "t1")
    assert signer_of(environ) == mine
    assert signer_of({}) is None
    with pytest.raises(Invalid, match="belong together"):
        signer_of({"NEXA_SIGN_ID": "t1"})

    words = (*RUN, "--sign", "/k", "--sign-id", "t1", "--", "true")
    assert parse(words, {}).signer == mine
    assert parse((*RUN, "--", "true"), environ).signer == mine
    with pytest.raises(Invalid, match="--sign-id"):
        parse((*RUN, "--sign", "/k", "--", "true"), {})
