"""The key by which a node signs how far its audit is: `audit.key`, mode 0600."""

from pathlib import Path

from nexa_node import private_files
from nexa_node.contract.errors import Unavailable


class AuditKey:
    """An Ed25519 key, made when it is first needed; its library is imported then."""

    def __init__(self, path: Path) -> None:
        """Keep it at `path`."""
        self._path = path

    def sign(self, content: bytes) -> bytes:
        """Sign.

        Raises:
            Unavailable: The key can't be read, or made.
        """
        return self._key().sign(content)

    def public(self) -> bytes:
        """The public half, raw."""
        return self._key().public_key().public_bytes_raw()

    def _key(self):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        kept = private_files.read(self._path)
        if kept is None:
            made = Ed25519PrivateKey.generate()
            private_files.write(self._path, made.private_bytes_raw())
            return made
        try:
            return Ed25519PrivateKey.from_private_bytes(kept)
        except ValueError as error:
            raise Unavailable(
                f"{self._path} is no key: {error}",
                remedy="move it away; checkpoints are signed by a new one then",
            ) from error
