"""Conditions on labels as people write them: `alertname="NodeDown"`, `team=~a|b`.

The one reader of them: silences, routes, inhibition and filters take the same words, which
are those of Alertmanager and of PromQL's selectors.
"""

import re
from collections.abc import Iterable

from nexa_node.contract.alerts import LabelMatcher, MatcherKind
from nexa_node.contract.errors import Invalid

LENGTH_MAX = 1000
_MATCHER = re.compile(
    r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"].*|))\s*',
    re.DOTALL,
)
_ONE_OF_SEVERAL = re.compile(
    r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\]|\\.)*"|[^"\s,]*)',
    re.DOTALL,
)
_BETWEEN = re.compile(r"\s*,\s*|\s+|\s*$")
MANY = 50
"""Conditions at most, of one silence or one filter."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_KINDS: dict[str, MatcherKind] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}
_MEANT = {"n": "\n", "t": "\t"}


def parse_matcher(text: str) -> LabelMatcher:
    """Read one condition; the value may stand in double quotes.

    Raises:
        Invalid: It is none.
    """
    found = _MATCHER.fullmatch(text[: LENGTH_MAX + 1])
    if found is None or len(text) > LENGTH_MAX:
        raise Invalid(
            f"{text[:80]!r} is no condition on a label",
            remedy='write name="value", name!="value", name=~"a|b" or name!~"a|b"',
        )
    quoted, plain = found[3], found[4]
    if quoted is None and (plain or "").rstrip().endswith('"'):
        raise Invalid(f"a quote is missing in {text[:80]!r}")
    value = (plain or "").strip() if quoted is None else _ESCAPED.sub(_meant, quoted)
    return LabelMatcher(name=found[1], kind=_KINDS[found[2]], value=value)


def parse_matchers(text: str) -> tuple[LabelMatcher, ...]:
    """Read conditions one after another, with commas or blanks between them.

    Braces around all of them, as PromQL and amtool have them, may be there or not. A
    value that holds a blank or a comma stands in double quotes. None at all is an empty
    tuple: whether that may be is the caller's to say.

    Raises:
        Invalid: Something in it is no condition, or there are too many.
    """
    rest = text.strip()
    if rest.startswith("{"):
        if not rest.endswith("}"):
            raise Invalid(
                f"a brace is missing in {text[:80]!r}", remedy='{name="value"}'
            )
        rest = rest[1:-1].strip().removesuffix(",")
    found: list[LabelMatcher] = []
    at = 0
    while at < len(rest):
        one = _ONE_OF_SEVERAL.match(rest, at)
        gap = None if one is None else _BETWEEN.match(rest, one.end())
        if one is None or gap is None or len(found) == MANY:
            raise Invalid(
                f"{rest[at : at + 80]!r} is no condition on a label"
                if len(found) < MANY
                else f"there are more than {MANY} conditions",
                remedy='write name="value", name!="value", name=~"a|b" or name!~"a|b"',
            )
        found.append(parse_matcher(one[0]))
        at = gap.end()
    return tuple(found)


def read_matchers(words: Iterable[str]) -> tuple[LabelMatcher, ...]:
    """Read the words of a command line: conditions, or several of them in braces.

    Raises:
        Invalid: One is no condition.
    """
    found: list[LabelMatcher] = []
    for word in words:
        if word.lstrip().startswith("{"):
            found += parse_matchers(word)
        else:
            found.append(parse_matcher(word))
    return tuple(found)


def written(matcher: LabelMatcher) -> str:
    """Write a condition so that `parse_matcher` reads the same."""
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"')
    value = value.replace("\n", "\\n").replace("\t", "\\t")
    return f'{matcher.name}{matcher.kind}"{value}"'


def _meant(found: re.Match[str]) -> str:
    return _MEANT.get(found[1], found[1])
