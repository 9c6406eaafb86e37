"""`{{ $labels.node }} has {{ $value | humanizePercentage }}`: Prometheus' templates.

Of Go's template language what alerts use: labels, the value, formats one after another.
The rest is refused when the rule is loaded, not when it fires at night.
"""

import math
import re
from collections.abc import Callable, Mapping

_PART = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_LABEL = re.compile(
    r'(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)|index \$labels "([^"]+)"'
)
_VALUE = re.compile(r"\$value|\.Value")
_PRINTF = re.compile(r'printf "(%(?:\.(\d+))?([fges]))"(?:\s+(.+))?', re.DOTALL)
LENGTH_MAX = 4096
"""Characters of what a template gives."""


class TemplateError(Exception):
    """A template that is not understood."""


def expand(template: str, labels: Mapping[str, str], value: float) -> str:
    """Fill a template in; a label that is not there is empty.

    Raises:
        TemplateError: Part of it is not understood.
    """

    def filled(found: re.Match[str]) -> str:
        return _evaluated(found[1], labels, value)

    return _PART.sub(filled, template)[:LENGTH_MAX]


def check_template(template: str) -> None:
    """See that `expand` will understand a template.

    Raises:
        TemplateError: It will not.
    """
    if "{{" in _PART.sub("", template):
        raise TemplateError("a {{ is not closed")
    expand(template, {}, 1.0)


def _evaluated(text: str, labels: Mapping[str, str], value: float) -> str:
    first, *formats = (part.strip() for part in text.split("|"))
    found = _operand(first, labels, value)
    for name in formats:
        found = _formatted(name, found)
    return _shown(found)


def _operand(text: str, labels: Mapping[str, str], value: float) -> str | float:
    label = _LABEL.fullmatch(text)
    if label is not None:
        return labels.get(label[1] or label[2], "")
    if _VALUE.fullmatch(text):
        return value
    printed = _PRINTF.fullmatch(text)
    if printed is not None and printed[4]:
        return _printed(printed, _operand(printed[4], labels, value))
    name, _, rest = text.partition(" ")
    if name in _FORMATS and rest:
        return _formatted(name, _operand(rest.strip(), labels, value))
    raise TemplateError(
        f"{{{{ {text} }}}} is not supported: use $labels.NAME, $value,"
        f" {', '.join(_FORMATS)}, printf"
    )


def _formatted(name: str, given: str | float) -> str:
    printed = _PRINTF.fullmatch(name)
    if printed is not None:
        return _printed(printed, given)
    if name in ("toUpper", "toLower", "title"):
        text = _shown(given)
        return {"toUpper": text.upper(), "toLower": text.lower()}.get(
            name, text.title()
        )
    function = _FORMATS.get(name)
    if function is None:
        raise TemplateError(f"the function {name} is not supported")
    try:
        return function(float(given))
    except ValueError:
        return _shown(given)


def _printed(found: re.Match[str], given: str | float) -> str:
    if found[3] == "s":
        return _shown(given)
    try:
        return f"{float(given):.{found[2] or 6}{found[3]}}"
    except ValueError:
        return _shown(given)


def _shown(given: str | float) -> str:
    if isinstance(given, str):
        return given
    if math.isnan(given) or math.isinf(given):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(given)]
    return (
        f"{given:.16g}" if given != int(given) or abs(given) > 1e15 else str(int(given))
    )


def _significant(number: float) -> str:
    return f"{number:.4g}"


def _humanize(number: float) -> str:
    if number == 0 or math.isnan(number) or math.isinf(number):
        return _significant(number)
    prefix = ""
    if abs(number) >= 1:
        for step in ("k", "M", "G", "T", "P", "E", "Z", "Y"):
            if abs(number) < 1000:
                break
            prefix, number = step, number / 1000
    else:
        for step in ("m", "u", "n", "p", "f", "a", "z", "y"):
            if abs(number) >= 1:
                break
            prefix, number = step, number * 1000
    return f"{_significant(number)}{prefix}"


def _humanize_1024(number: float) -> str:
    prefix = ""
    if abs(number) > 1 and math.isfinite(number):
        for step in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
            if abs(number) < 1024:
                break
            prefix, number = step, number / 1024
    return f"{_significant(number)}{prefix}"


def _humanize_duration(seconds: float) -> str:
    if math.isnan(seconds) or math.isinf(seconds):
        return _significant(seconds)
    if seconds == 0:
        return "0s"
    if abs(seconds) < 1:
        prefix = ""
        for step in ("m", "u", "n", "p", "f", "a", "z", "y"):
            if abs(seconds) >= 1:
                break
            prefix, seconds = step, seconds * 1000
        return f"{_significant(seconds)}{prefix}s"
    sign, whole = ("-" if seconds < 0 else ""), int(abs(seconds))
    days, hours = whole // 86400, whole // 3600 % 24
    minutes, rest = whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    if minutes:
        return f"{sign}{minutes}m {rest}s"
    return f"{_significant(seconds)}s"


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "humanize": _humanize,
    "humanize1024": _humanize_1024,
    "humanizeDuration": _humanize_duration,
    "humanizePercentage": lambda number: f"{_significant(number * 100)}%",
}
