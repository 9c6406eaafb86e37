"""Conditions on labels as people write them: `alertname="NodeDown"`, `team=~a|b`."""

import re

from nexa_node.contract.alerts import LabelMatcher, MatcherKind
from nexa_node.contract.errors import Invalid

LENGTH_MAX = 1000
_MATCHER = re.compile(
    r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"].*|))\s*',
    re.DOTALL,
)
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


def written(matcher: LabelMatcher) -> str:
    """Write a condition so that `parse_matcher` reads the same."""
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"')
    value = value.replace("\n", "\\n").replace("\t", "\\t")
    return f'{matcher.name}{matcher.kind}"{value}"'


def _meant(found: re.Match[str]) -> str:
    return _MEANT.get(found[1], found[1])
