"""Cursors: where a list goes on, as text that means nothing to its reader."""

import base64
import binascii

import msgspec

from nexa_node.contract.errors import Invalid
from nexa_node.contract.rest import PAGE_MAX
from nexa_node.core.ordering import Key

CURSOR_MAX = 256
"""Characters; ids are slugs of at most 63."""

_decoder = msgspec.json.Decoder(tuple[float, str])


def encode_cursor(key: Key) -> str:
    """Write down the last key of a page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> Key | None:
    """Read a cursor; None for the first page.

    Raises:
        Invalid: It was not made by `encode_cursor`.
    """
    if cursor is None:
        return None
    padded = cursor[:CURSOR_MAX] + "=" * (-len(cursor[:CURSOR_MAX]) % 4)
    try:
        return _decoder.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Invalid(
            f"the cursor {cursor[:40]!r} is none of ours",
            remedy="give back next_cursor of the page before, or none for the first",
        ) from error


def page_size(limit: int) -> int:
    """The limit that is kept: at least one, at most `PAGE_MAX`."""
    return max(1, min(limit, PAGE_MAX))
