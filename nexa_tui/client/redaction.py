"""Secrets, taken out of what is kept: a recording is shown to others.

What looks like a secret goes, wherever it stands: nexa's own tokens, the well-known forms
of other tokens, passwords in addresses, and the values of keys that are called so. It is
a net with meshes: a password in the middle of a sentence does not look like one.
"""

import re
from typing import Any, cast

MASK = "[redacted]"

_TOKENS = "|".join(
    (
        r"nx[aj]\d?[_.][A-Za-z0-9_.\-]{8,}",
        r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?",
        r"(?:sk|pk|rk)-[A-Za-z0-9_\-]{16,}",
        r"gh[pousr]_[A-Za-z0-9]{20,}",
        r"xox[abprs]-[A-Za-z0-9\-]{10,}",
        r"AKIA[0-9A-Z]{16}",
        r"S[UAONCX][A-Z2-7]{54,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    )
)
_NAMED = (
    r"(?P<name>[\w\-]*(?:password|passwd|secret|token|api[_\-]?key|credential"
    r"|authorization)[\w\-]*[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s\"',;&}]{3,}"
)
_USERINFO = r"(?<=://)[^/@\s\"]+@"
_BEARER = r"(?P<bearer>bearer\s+)[A-Za-z0-9_\-.~+/=]{8,}"
_SECRET = re.compile(
    f"(?:{_TOKENS})|{_NAMED}|{_USERINFO}|{_BEARER}", re.IGNORECASE | re.DOTALL
)
_IDENTITY = re.compile(r"token:[A-Za-z0-9_\-]{1,24}")
"""Who did something: the id of a token, which is no secret, and stands by itself."""
_NAME = re.compile(
    r"password|passwd|secret|(?:^|[_\-])token$|api[_\-]?key|credential|authorization"
    r"|private[_\-]?key",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text, with each secret masked that can be told by its form or its name."""
    if _IDENTITY.fullmatch(text):
        return text
    return _SECRET.sub(_masked, text)


def scrubbed(value: Any) -> Any:
    """The same for all texts in what JSON can say; keys that name secrets lose theirs."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {
            redacted(key): MASK
            if isinstance(one, str) and one and _NAME.search(key)
            else scrubbed(one)
            for key, one in table.items()
        }
    if isinstance(value, list | tuple):
        return [scrubbed(one) for one in cast("list[Any]", value)]
    return value


def _masked(found: re.Match[str]) -> str:
    if found["name"]:
        return found["name"] + MASK
    if found["bearer"]:
        return found["bearer"] + MASK
    return MASK + "@" if found[0].endswith("@") else MASK
