"""What the documents say is what the code does."""

import re
from pathlib import Path

from nexa_node.contract import errors, frames
from nexa_tui.commands.table import BY_NAME

ROOT = Path(__file__).parents[2]


def rows(path: str, pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, (ROOT / path).read_text(), flags=re.MULTILINE)


def test_every_method_is_documented_with_its_parameters() -> None:
    told = {
        method: (direction, params, result)
        for method, direction, params, result in rows(
            "docs/protocol.md",
            r"^\| `([a-z._]+)` \| (\w+ → \w+) \| `(\w+)` \| (?:`(\w+)` )?\|",
        )
    }
    spoken = {
        method: ("agent → node", params.__name__, result.__name__)
        for method, (params, result) in frames.METHODS.items()
    } | {
        method: ("node → agent", params.__name__, result.__name__ if result else "")
        for method, (params, result) in frames.NODE_METHODS.items()
    }

    assert told == spoken


def test_every_error_is_documented() -> None:
    told = rows("docs/protocol.md", r"^\| (1\d{3}) \| (\w+) \| (yes|no) \| (\d+) \|")

    assert told == [
        (str(one.code), one.reason, "yes" if one.retryable else "no", str(one.status))
        for one in errors.APPLICATION_ERRORS
    ]


def test_every_command_in_the_documents_exists() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for text in texts:
        for noun, verb in re.findall(
            r"`nexa ([a-z]+)(?: ([a-z]+))?[^`]*`", text.read_text()
        ):
            assert noun in BY_NAME, f"{text.name}: nexa {noun}"
            verbs = BY_NAME[noun].verbs
            assert not verb or not verbs or verb in verbs, f"{text.name}: {noun} {verb}"
