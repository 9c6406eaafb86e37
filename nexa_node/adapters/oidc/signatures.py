"""Signatures of ID tokens: RS256 and ES256 by a published key, and nothing else.

No algorithm is taken from a token's word alone: the key says what it is for, the token
must agree, and what is symmetric or `none` is not known here at all.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from nexa_node.contract.errors import Unauthorized

TOKEN_MAX = 16 * 1024
RSA_BITS_MIN = 2048


def read(token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Read the claims of a token that one of these keys signed.

    Args:
        token: Header, claims and signature, each base64url, dots between.
        keys: Of the issuer's key set.

    Raises:
        Unauthorized: It is no such token, or nobody's here.
    """
    parts = token.split(".")
    if len(token) > TOKEN_MAX or len(parts) != 3:
        raise _refused("it is no signed token")
    header, claims = _object(parts[0]), _object(parts[1])
    if "crit" in header or header.get("typ", "JWT") not in ("JWT", "jwt", "at+jwt"):
        raise _refused("it asks for what is not understood here")
    algorithm, key_id = header.get("alg"), header.get("kid")
    signature = _bytes(parts[2])
    words = f"{parts[0]}.{parts[1]}".encode()
    for key in keys:
        if key_id is not None and key.get("kid") != key_id:
            continue
        if _fits(key, algorithm) and _is_signed(key, signature, words):
            return claims
    raise _refused("no key of the issuer signed it")


def names_key(token: str, keys: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the key that a token names is among these; False if it names none."""
    key_id = _object(token.partition(".")[0]).get("kid")
    return any(key.get("kid") == key_id for key in keys)


def _fits(key: Mapping[str, Any], algorithm: object) -> bool:
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    kind = key.get("kty"), key.get("crv"), algorithm
    return kind in {("RSA", None, "RS256"), ("EC", "P-256", "ES256")}


def _is_signed(key: Mapping[str, Any], signature: bytes, words: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        if key["kty"] == "RSA":
            public = rsa.RSAPublicNumbers(
                _number(key["e"]), _number(key["n"])
            ).public_key()
            if public.key_size < RSA_BITS_MIN:
                return False
            public.verify(signature, words, padding.PKCS1v15(), hashes.SHA256())
        else:
            if len(signature) != 64:
                return False
            point = ec.EllipticCurvePublicNumbers(
                _number(key["x"]), _number(key["y"]), ec.SECP256R1()
            ).public_key()
            whole = encode_dss_signature(
                int.from_bytes(signature[:32], "big"),
                int.from_bytes(signature[32:], "big"),
            )
            point.verify(whole, words, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, KeyError, ValueError, TypeError):
        return False
    return True


def _object(part: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(_bytes(part))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refused("it can't be read") from None
    if not isinstance(told, dict):
        raise _refused("it can't be read")
    return cast("dict[str, Any]", told)


def _bytes(part: object) -> bytes:
    if not isinstance(part, str) or "=" in part:
        raise _refused("it can't be read")
    try:
        text = part.translate(_URL_SAFE) + "=" * (-len(part) % 4)
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("it can't be read") from None


_URL_SAFE = str.maketrans("-_+/", "+/??")


def _number(part: object) -> int:
    try:
        return int.from_bytes(_bytes(part), "big")
    except Unauthorized as error:
        raise ValueError(error.message) from error


def _refused(why: str) -> Unauthorized:
    return Unauthorized(
        f"the ID token is not taken: {why}", remedy="log in again: nexa login --oidc"
    )
