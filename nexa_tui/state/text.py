"""Foreign text made harmless: the one function every word from outside goes through.

What must stay true: the result holds nothing that a terminal acts on or that a reader
cannot see, is one line, is never longer than the limit, and cleaning it again changes
nothing. Something that was removed leaves a mark: a control character its picture
(`␛`), anything else unseen `�`.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

ELLIPSIS = "…"
REPLACEMENT = "\ufffd"
MARKS_MAX = 3
"""Combining marks kept on one character; living languages need no more."""

_UNSEEN = re.compile(
    # Printable for Python, but blank or without a width of its own on the screen: fillers
    # of Hangul and Khmer, selectors of variations, the braille blank.
    "[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_SOFTENED = {"\t": " ", "\n": "␊", "\u2028": "␊", "\u2029": "␊"}
_PICTURES = 0x2400
_DELETE = 0x7F
_PICTURE_OF_DELETE = "\u2421"
_FIRST_MARK = "\u0300"


def clean(text: str, limit: int = 200) -> str:
    """Make one line of foreign text harmless.

    Args:
        text: Anything at all; lone surrogates too.
        limit: Characters of the result at most, at least 1; a cut is told by `…`.

    Returns:
        Printable text without control, formatting, unseen or private characters,
        and with at most `MARKS_MAX` combining marks on a character.
    """
    if len(text) <= limit and text.isprintable() and _plain(text):
        return text
    # Marks may shrink the text, so a little more than the limit is looked at.
    made = "".join(islice(_characters(text[: limit * 8 + 64]), limit + 1))
    if len(made) <= limit and len(text) <= limit * 8 + 64:
        return made
    return made[: max(0, limit - 1)] + ELLIPSIS


def clean_lines(text: str, width: int = 500, lines: int = 200) -> tuple[str, ...]:
    """Make foreign text of several lines harmless.

    Args:
        text: Anything at all.
        width: Characters of a line at most.
        lines: Lines at most; the last one then says how many are not shown.
    """
    parts = text.replace("\r\n", "\n").split("\n")
    shown = [clean(part, width) for part in parts[:lines]]
    if len(parts) > lines:
        shown[-1] = f"{ELLIPSIS} {len(parts) - lines + 1} more lines"
    return tuple(shown)


def cut(text: str, limit: int) -> str:
    """Shorten text that is clean already."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + ELLIPSIS


def is_seen(character: str) -> bool:
    """Whether a terminal shows one character, and does nothing else because of it."""
    return character.isprintable() and _UNSEEN.match(character) is None


def _plain(text: str) -> bool:
    if text.isascii():
        return True
    return _UNSEEN.search(text) is None and not any(map(_suspect, text))


def _suspect(character: str) -> bool:
    """Whether a character needs its neighbours to be judged, or is a space of its own."""
    return character >= "\u00a0" and unicodedata.category(character)[0] in "MZ"


def _characters(text: str) -> Iterator[str]:
    marks = MARKS_MAX  # a mark with nothing to sit on would sit on the border
    for character in text:
        if character < _FIRST_MARK and character.isprintable():
            marks = 0
            yield character
        elif unicodedata.category(character)[0] == "M" and not _UNSEEN.match(character):
            marks += 1
            if marks <= MARKS_MAX:
                yield character
            elif marks == MARKS_MAX + 1:
                yield REPLACEMENT
        else:
            marks = 0
            yield _seen(character)


def _seen(character: str) -> str:
    if character in _SOFTENED:
        return _SOFTENED[character]
    code = ord(character)
    if code < ord(" "):
        return chr(_PICTURES + code)
    if code == _DELETE:
        return _PICTURE_OF_DELETE
    if unicodedata.category(character) == "Zs":
        return " "
    if character.isprintable() and not _UNSEEN.match(character):
        return character
    return REPLACEMENT
