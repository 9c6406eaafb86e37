"""The agent protocol as JSON Schema 2020-12, made from the contract itself.

    python -m nexa_node.contract.schema > docs/nexa.v1.schema.json

The document validates any frame of `nexa.v1`, batches included. What a frame can't say
of itself (which result belongs to which method) is in `x-methods`.
"""

import ast
import inspect
import sys
from types import ModuleType
from typing import Any

import msgspec

from nexa_node.contract import agents, errors, frames, messages, tasks

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE = "#/$defs/{name}"

Document = dict[str, Any]


def schema() -> Document:
    """Make the whole document."""
    defs = _definitions()
    calls = {
        f"{method} call": _call(method, params, defs)
        for method, (params, _) in _methods().items()
    }
    answers = {"answer": _answer("result", {}), "refusal": _answer("error", ERROR)}
    frame = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in (*calls, *answers)]}
    return {
        "$schema": DIALECT,
        "$id": "urn:nexa:v1",
        "title": "The frames of nexa.v1",
        "anyOf": [
            {"$ref": "#/$defs/frame"},
            {
                "type": "array",
                "items": {"$ref": "#/$defs/frame"},
                "minItems": 1,
                "maxItems": frames.BATCH_LIMIT,
            },
        ],
        "x-methods": {
            method: {
                "from": "node" if method in frames.NODE_METHODS else "agent",
                "params": _reference(params),
                "result": _reference(result),
            }
            for method, (params, result) in _methods().items()
        },
        "$defs": {"frame": frame, **calls, **answers, **defs},
    }


def descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The string under each field of a Struct, its bases' included, by encoded name."""
    found: dict[str, str] = {}
    names = {one.name: one.encode_name for one in msgspec.structs.fields(kind)}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("nexa_node.contract"):
            told = _strings_under_fields(base)
            found |= {names[name]: text for name, text in told.items() if name in names}
    return found


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every Struct of the protocol by its name."""
    modules: tuple[ModuleType, ...] = (agents, errors, frames, messages, tasks)
    return {
        name: kind
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    }


ERROR: Document = {"$ref": "#/$defs/ErrorObject"}


def _methods() -> dict[str, tuple[type[msgspec.Struct], Any]]:
    return {**frames.METHODS, **frames.NODE_METHODS}


def _definitions() -> dict[str, Document]:
    kinds: list[Any] = [errors.ErrorObject, messages.ObjectRef]
    for params, result in _methods().values():
        kinds += [params] if result in (None, frames.Json) else [params, result]
    _, defs = msgspec.json.schema_components(kinds, ref_template=TEMPLATE)
    known = structs()
    for name, body in defs.items():
        for field, text in descriptions(known[name]).items():
            body["properties"][field]["description"] = text
        for field in _times(known[name]):
            body["properties"][field]["format"] = "date-time"
    return dict(sorted(defs.items()))


def _times(kind: type[msgspec.Struct]) -> list[str]:
    """The members that are moments: msgspec calls them strings."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return [
        field.encode_name
        for field in info.fields
        if "DateTimeType" in str(field.type) and "StructType" not in str(field.type)
    ]


def _reference(kind: Any) -> Document | None:
    if kind is None:
        return None
    return {} if kind is frames.Json else {"$ref": f"#/$defs/{kind.__name__}"}


def _call(
    method: str, params: type[msgspec.Struct], defs: dict[str, Document]
) -> Document:
    needs = ["params"] if defs[params.__name__].get("required") else []
    members: Document = {
        "jsonrpc": {"const": "2.0"},
        "method": {"const": method},
        "params": _reference(params),
    }
    asks = method in frames.METHODS or frames.NODE_METHODS[method][1] is not None
    if asks:
        members["id"] = {
            "type": ["string", "integer"],
            "description": "Without one it is a notification: nothing is answered.",
        }
    return {
        "type": "object",
        "properties": members,
        "required": ["jsonrpc", "method", *needs],
    }


def _answer(member: str, body: Document) -> Document:
    return {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer", "null"]},
            member: body,
        },
        "required": ["jsonrpc", "id", member],
        "not": {"required": ["method"]},
    }


def _strings_under_fields(kind: type) -> dict[str, str]:
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: " ".join(inspect.cleandoc(str(after.value.value)).split())
        for field, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def text() -> str:
    """The document as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
