"""Words whose letters only look alike: `аdmin` with a Cyrillic `а` is not `admin`.

Ids are ASCII and cannot do this; names that people give (of tokens, in messages) can.
The rule is the first half of Unicode's UTS 39, mixed scripts, for the alphabets whose
letters are drawn alike: a word that has letters of two of them.
"""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+")
_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "COPTIC")
"""Scripts by the first word of their letters' names in the Unicode database."""


def mixed_words(texts: Iterable[str]) -> tuple[str, ...]:
    """Words with letters of two alphabets that look alike, each once, as first met."""
    found = (
        word
        for text in texts
        if not text.isascii()
        for word in _WORD.findall(text)
        if len(_scripts(word)) > 1
    )
    return tuple(dict.fromkeys(found))


def spelled_out(word: str) -> str:
    """Say which letters of a word are of which alphabet: `а Cyrillic, dmin Latin`."""
    runs: list[tuple[str, str]] = []
    for letter in word:
        script = _script(letter)
        if runs and runs[-1][1] == script:
            runs[-1] = (runs[-1][0] + letter, script)
        else:
            runs.append((letter, script))
    return ", ".join(f"{letters} {script.capitalize()}" for letters, script in runs)


def warnings(texts: Iterable[str]) -> tuple[str, ...]:
    """A line for each word that may not be what it looks like."""
    return tuple(
        f"! {word} mixes alphabets: {spelled_out(word)}." for word in mixed_words(texts)
    )


def _scripts(word: str) -> frozenset[str]:
    return frozenset(_script(letter) for letter in word) & frozenset(_ALIKE)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
