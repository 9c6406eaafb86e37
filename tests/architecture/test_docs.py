"""What the documents say is what the code does."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from nexa_node.contract import schema
from nexa_tui.commands.table import BY_NAME
from tests.sessions import sessions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs/make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_code_is_up_to_date(make: ModuleType) -> None:
    for name in make.PAGES:
        page = (ROOT / "docs" / name).read_text()
        assert make.page(page) == page, "run: python docs/make.py"
    published = (ROOT / "docs/nexa.v1.schema.json").read_text()
    assert published == schema.text(), "run: python docs/make.py"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def test_every_frame_of_the_examples_satisfies_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(schema.schema())
    page = (ROOT / "docs/protocol.md").read_text()
    frames = [
        line.frame
        for session in sessions(page)
        for line in session.lines
        if line.sent and "error" not in line.frame
    ]

    assert len(frames) > 30
    for frame in frames:
        validator.validate({"jsonrpc": "2.0", **_filled(frame)})


def test_every_command_in_the_documents_exists() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for text in texts:
        for noun, verb in re.findall(
            r"`nexa ([a-z][a-z-]*)(?: ([a-z-]+))?[^`]*`", text.read_text()
        ):
            assert noun in BY_NAME, f"{text.name}: nexa {noun}"
            verbs = BY_NAME[noun].verbs
            assert not verb or not verbs or verb in verbs, f"{text.name}: {noun} {verb}"


def _filled(value: object) -> object:
    """Give placeholders that stand for numbers one."""
    if value == "<seq>":
        return 1
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each) for each in value]
    return value
