"""Nodes of two versions live in one cluster: what a newer one adds, an older one reads over.

Each record that is stored, and each thing that a node tells another one, is read here as a
newer nexa would write it: with a field more, on every level.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

import nexa_node.contract
from nexa_node.adapters.asgi import examples
from nexa_node.contract.cluster import Beat, NodeEntry
from tests import builders

MODULES = (
    "nexa_node.ports",
    "nexa_node.core.join_tokens",
    "nexa_node.core.shared",
    "nexa_node.services.cluster.relay",
    "nexa_node.services.cluster.rotation",
    "nexa_node.adapters.nats.leases",
    "nexa_node.adapters.nats.objects",
    "nexa_node.adapters.nats.streams",
    "nexa_node.adapters.files.membership",
    *(
        f"nexa_node.contract.{one.name}"
        for one in pkgutil.iter_modules(nexa_node.contract.__path__)
    ),
)
PEOPLE_WRITE = {"NewAck", "NewNote", "NewSilence", "SilenceMatcher"}
"""Of bodies that a person writes an unknown word is a mistake, and nothing is stored."""


def records() -> Iterator[type[msgspec.Struct]]:
    for name in MODULES:
        module = importlib.import_module(name)
        for found in vars(module).values():
            if not inspect.isclass(found) or not issubclass(found, msgspec.Struct):
                continue
            if found.__module__ == name:
                yield found


def newer(value: Any) -> Any:
    """The same as a later version writes it."""
    if isinstance(value, dict):
        known = {
            key: newer(each) for key, each in cast("dict[str, Any]", value).items()
        }
        return {**known, "from_the_future": {"some": "day"}}
    if isinstance(value, list):
        return [newer(each) for each in cast("list[Any]", value)]
    return value


@pytest.mark.parametrize("record", list(records()), ids=lambda one: one.__qualname__)
def test_a_record_may_have_more_fields_than_are_known(
    record: type[msgspec.Struct],
) -> None:
    if record.__name__ in PEOPLE_WRITE:
        return

    # An array may be longer than what is known, too: new fields come last.
    assert not record.__struct_config__.forbid_unknown_fields


BEAT = Beat(
    node="alpha",
    id="id-alpha",
    incarnation="i",
    seq=1,
    url="http://127.0.0.1:6392",
    version="0.9.0",
    state="running",
    health="healthy",
    host=builders.sample(),
    growth=examples.GROWTH,
)
ENTRY = NodeEntry(
    name="alpha",
    id="id-alpha",
    url="http://127.0.0.1:6392",
    route="127.0.0.1:7000",
    version="0.9.0",
    joined=builders.sample().time,
)


@pytest.mark.parametrize(
    "known",
    [BEAT, ENTRY, examples.TASK, examples.AGENT, builders.event(), examples.CLUSTER],
    ids=lambda one: type(one).__name__,
)
def test_what_a_newer_node_writes_is_read_as_what_is_known_of_it(
    known: msgspec.Struct,
) -> None:
    plain = msgspec.to_builtins(known)
    free = {"data", "result", "labels", "counts", "history"}
    later = {key: each if key in free else newer(each) for key, each in plain.items()}
    later["from_the_future"] = 1

    told = msgspec.json.decode(msgspec.json.encode(later), type=type(known))
    assert told == known
