"""An agent that proves who it is by an Ed25519 key: it signs its hello, and has no secret."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexa_node.contract.errors import Invalid
from nexa_node.contract.frames import Auth
from nexa_node.contract.login import Challenge, KeyProof, login_words

SIGN_VARIABLE = "NEXA_SIGN_FILE"
SIGN_ID_VARIABLE = "NEXA_SIGN_ID"
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, and the token that it was registered for (`nexa token create --public-key`)."""

    file: Path
    """PEM, mode 0600; read for each connection."""
    id: str
    """Of the token."""

    def sign(self, challenge: Challenge) -> Auth:
        """What hello brings.

        Raises:
            Invalid: The file can't be read, holds no such key, or others may read it.
        """
        words = login_words(challenge, purpose="session", token_id=self.id)
        signature = base64.b64encode(self._key().sign(words)).decode()
        proof = KeyProof(id=self.id, nonce=challenge.nonce, signature=signature)
        return Auth(key=proof)

    def _key(self) -> Any:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            if self.file.stat().st_mode & _OTHERS:
                raise Invalid(
                    f"the key {self.file} is readable by other users",
                    remedy=f"chmod 600 {self.file}",
                )
            found = serialization.load_pem_private_key(self.file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise Invalid(
                f"{self.file} holds no private key: {error}",
                remedy="nexa token key FILE makes one",
            ) from None
        if not isinstance(found, Ed25519PrivateKey):
            raise Invalid(
                f"{self.file} holds no Ed25519 key", remedy="nexa token key FILE"
            )
        return found


def signer_of(environ: Mapping[str, str]) -> Signer | None:
    """The key that `NEXA_SIGN_FILE` names, for the token `NEXA_SIGN_ID`; None without.

    Raises:
        Invalid: There is one of the two.
    """
    file, token_id = environ.get(SIGN_VARIABLE, ""), environ.get(SIGN_ID_VARIABLE, "")
    if not file and not token_id:
        return None
    if not file or not token_id:
        raise Invalid(
            f"{SIGN_VARIABLE} and {SIGN_ID_VARIABLE} belong together",
            remedy="set both, or neither",
        )
    return Signer(Path(file), token_id)
