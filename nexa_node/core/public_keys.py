"""Ed25519 keys by which somebody proves who he is. Pure."""

import base64
import binascii

from nexa_node.contract.errors import Invalid

KEY_BYTES = 32
SIGNATURE_BYTES = 64


def check_public_key(text: str) -> None:
    """Refuse what is no Ed25519 key in base64.

    Raises:
        Invalid: It is none.
    """
    if _bytes(text, KEY_BYTES) is None:
        raise Invalid(
            "this is no Ed25519 public key: 32 bytes, in base64",
            remedy="nexa token key FILE makes a key, and prints the public one",
            details={"field": "public_key"},
        )


def is_signed_by(public_key: str, signature: str, words: bytes) -> bool:
    """Say whether that key's owner signed these words."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw, signed = _bytes(public_key, KEY_BYTES), _bytes(signature, SIGNATURE_BYTES)
    if raw is None or signed is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signed, words)
    except (InvalidSignature, ValueError):
        return False
    return True


def _bytes(text: str, length: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == length else None
