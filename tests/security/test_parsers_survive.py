"""What reads text from outside: it answers or refuses in its own words, soon, in little memory.

Frames of the agent protocol (T10), configuration files, join tokens, tokens, rule files.
The frames have a long form of their own, `python -m tests.fuzz.frames`.

    make fuzz                        20,000 inputs for each instead of a few
"""

import os
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexa_node.adapters.files.config import load_settings
from nexa_node.adapters.files.config_meaning import ConfigInvalid
from nexa_node.adapters.files.config_text import example
from nexa_node.core import join_tokens
from nexa_node.core.access import make_token, parse_token
from nexa_node.core.alerting.rules import RuleError, load
from nexa_node.core.codec import JsonCodec, Malformed, MsgpackCodec
from tests.tui.hostile import CORPUS

EXAMPLES = int(os.environ.get("NEXA_TEST_EXAMPLES", "60"))
MIB = 1024 * 1024
short = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 1000,
    suppress_health_check=list(HealthCheck),
)

RULES = (Path(__file__).parents[2] / "nexa_node/rules/builtin.yaml").read_text()
SOME_RULES = "groups:\n" + "\n".join(RULES.partition("groups:\n")[2].splitlines()[:80])
TOML = example()
JOIN = join_tokens.make(
    bytes(range(40)), ca_sha256=bytes(32), addresses=("10.0.0.7:6392",)
).text()


@st.composite
def damaged(draw: st.DrawFn, whole: str) -> str:
    """A right text, of which pieces were cut, doubled, moved or replaced."""
    text = whole
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        upto = min(len(text), at + draw(st.integers(0, 40)))
        piece = draw(
            st.one_of(
                st.just(""),
                st.just(text[at:upto] * 2),
                st.text(max_size=12),
                st.sampled_from(CORPUS),
                st.sampled_from(
                    ["[", "]", "{", "}", "&a", "*a", "!!python/object:os.system",
                     "1e999", "-" * 40, "\t", '"', "'", "\x00", "= = =", "[[[", "{{"]
                ),
            )
        )  # fmt: skip
        text = text[:at] + piece + text[upto:]
    return text


def read_config(text: str, folder: Path) -> None:
    path = folder / "nexa.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_settings(path, environ={})
    except ConfigInvalid as refused:
        assert refused.message  # noqa: PT017 (either way is right)


@short
@given(text=st.one_of(st.text(max_size=300), damaged(TOML)))
def test_a_configuration_is_taken_or_refused(text: str, tmp_path_factory: Any) -> None:
    read_config(text, tmp_path_factory.getbasetemp())


@short
@given(
    key=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=30),
    value=st.one_of(st.text(max_size=50), st.sampled_from(CORPUS)),
)
def test_a_variable_is_taken_or_refused(key: str, value: str) -> None:
    for name in (
        f"NEXA_{key}",
        f"NEXA_NODE_{key}",
        "NEXA_NODE_PORT",
        "NEXA_HTTP_NAMES",
    ):
        with suppress(ConfigInvalid):
            load_settings(Path("/nowhere/nexa.toml"), environ={name: value})


@short
@given(text=st.one_of(st.text(max_size=200), damaged(JOIN)))
def test_a_join_token_is_whole_or_refused_and_never_quoted(text: str) -> None:
    try:
        parts = join_tokens.parse(text)
    except join_tokens.BadToken as refused:
        secret = JOIN.rpartition(".")[2]
        told = f"{refused.message} {refused.remedy} {refused.details}"
        assert secret not in told
    else:
        assert parts.text().strip() == text.strip()


TOKEN = make_token(bytes(range(40))).text


@short
@given(text=st.one_of(st.text(max_size=100), damaged(TOKEN)))
def test_a_token_that_is_not_whole_is_none(text: str) -> None:
    found = parse_token(text)

    assert found is None or found.text == text


@short
@given(text=st.one_of(st.text(max_size=300), damaged(SOME_RULES)))
def test_a_rule_file_is_taken_or_refused(text: str) -> None:
    with suppress(RuleError):
        load(text, file="a.yaml")


def survive(kind: type[JsonCodec] | type[MsgpackCodec], data: bytes) -> None:
    """What is read can be written, and is the same when it is read again."""
    codec = kind()
    try:
        codec.open(data)
        value = codec.read(data, Any)
    except Malformed:
        return
    written = codec.write(value)
    codec.open(written)
    assert codec.write(codec.read(written, Any)) == written


POISON: dict[str, bytes] = {
    "33 deep": b"[" * 33 + b"]" * 33,
    "201 deep": b"[" * 201 + b"]" * 201,
    "a million deep": b"[" * 500_000 + b"]" * 500_000,
    "objects a million deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a key twice": b'{"a":1,"a":2}',
    "a key twice, escaped": b'{"a":1,"\\u0061":2}',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":1e999}',
    "a key of 64 KiB": b'{"' + b"k" * 65536 + b'":1}',
    "objects, a string without end": b"[" + b"{}," * 20_000 + b'"' + b'\\"' * 400_000,
    "a million objects": b"[" + b"{}," * 330_000 + b"{}]",
    "digits": b"1" * 200_000,
    "half a pair": b'"\\ud800"',
    "zero": b"\x00" * 1000,
}


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("kind", [JsonCodec, MsgpackCodec])
def test_poison_is_refused_or_goes_through_whole_in_little_memory(
    kind: type[JsonCodec], name: str
) -> None:
    tracemalloc.start()
    try:
        survive(kind, POISON[name])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 16 * MIB


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip


@short
@given(
    made=values,
    raw=st.binary(max_size=80),
    cut=st.tuples(st.integers(0, 60), st.integers(0, 5)),
)
def test_whatever_is_taken_can_be_told_on(
    made: Any, raw: bytes, cut: tuple[int, int]
) -> None:
    writers: tuple[tuple[type[Any], Callable[[Any], bytes]], ...] = (
        (JsonCodec, msgspec.json.encode),
        (MsgpackCodec, msgspec.msgpack.encode),
    )
    for kind, encode in writers:
        survive(kind, raw)
        with suppress(OverflowError):
            whole = encode(made)
            survive(kind, whole)
            survive(kind, whole[: cut[0]] + raw[: cut[1]] + whole[cut[0] + cut[1] :])
