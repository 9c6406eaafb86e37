"""`--data`: JSON, a file, or standard input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.errors import Invalid


def read_data(given: str | None, read_input: Callable[[], bytes]) -> Any:
    """Read what `--data` names.

    Args:
        given: JSON, `@FILE`, `-`, or None. A file, or input, that isn't JSON becomes
            one string of its text.
        read_input: Reads all of standard input.

    Raises:
        Invalid: It can't be read, is no JSON, or is neither JSON nor UTF-8.
    """
    if given is None:
        return None
    if given == "-":
        return _json_or_text(read_input())
    if given.startswith("@"):
        try:
            return _json_or_text(Path(given[1:]).read_bytes())
        except OSError as error:
            raise Invalid(
                f"the file {given[1:]} can't be read: {error.strerror}",
                remedy=f"ls -l {given[1:]}",
            ) from error
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"--data is no JSON: {error}",
            remedy=f"quote a text twice: --data '\"{given[:20]}\"'; or give @FILE",
        ) from error


def _json_or_text(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        pass
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Invalid(
            "the data is neither JSON nor UTF-8 text",
            remedy="encode it: base64 -w0 FILE | nexa task submit TYPE --data -",
        ) from error
