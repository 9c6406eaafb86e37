"""`/openapi.json`: OpenAPI 3.1, from the table of operations and the contract's types."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from nexa_node.adapters.asgi.operation import BYTES, JSON, NDJSON, Operation
from nexa_node.adapters.asgi.plan_example import PLAN
from nexa_node.adapters.asgi.planning import has_plan_inside
from nexa_node.contract.errors import (
    Conflict,
    Duplicate,
    Forbidden,
    Invalid,
    NexaError,
    PayloadTooLarge,
    Problem,
    RateLimited,
    Unauthorized,
    problem,
)
from nexa_node.contract.plans import Plan
from nexa_node.contract.version import VERSION

_PROBLEM_MEDIA = "application/problem+json"
_EVERYWHERE: tuple[type[NexaError], ...] = (Unauthorized, Forbidden, RateLimited)
_PARAMETER = re.compile(r"\{(\w+)\}")
_FIRST_LINE = re.compile(r"\s*\n.*", re.DOTALL)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Describe `operations`."""
    table = tuple(operations)
    schemas = _Schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        described_here = _operation(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described_here
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nexa",
            "version": VERSION,
            "description": "What a nexa node answers. Errors are RFC 9457 problems with"
            " `reason` and `retryable`; lists answer `items` and `next_cursor`; an"
            " unknown query key is an error.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in table)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`nexa token create --role operator` makes one.",
                }
            },
            "schemas": schemas.components,
        },
    }


class _Schemas:
    """JSON schemas of all types the table names."""

    def __init__(self, table: tuple[Operation, ...]) -> None:
        kinds: list[Any] = [Problem, Plan]
        for one in table:
            kinds += [one.query, one.body, one.answer, one.streams]
        self._kinds = [kind for kind in kinds if kind is not None]
        self._found, self.components = msgspec.json.schema_components(
            self._kinds, ref_template="#/components/schemas/{name}"
        )
        self._queries = {
            one.query.__name__: self.components[one.query.__name__] for one in table
        }
        for name in self._queries:
            self.components.pop(name, None)

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema, or a reference to it."""
        return self._found[self._kinds.index(kind)]

    def query(self, kind: type) -> list[dict[str, Any]]:
        """The parameters a query Struct stands for."""
        schema = self._queries[kind.__name__]
        properties: dict[str, dict[str, Any]] = schema["properties"]
        required: list[str] = schema.get("required", [])
        return [
            _parameter("query", name, _without_null(each))
            | ({"required": True} if name in required else {})
            for name, each in properties.items()
        ]


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description or f"{operation.summary}.",
        "x-nexa-permission": operation.permission,
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, schemas),
    }
    if operation.open:
        told["security"] = [{}, {"token": []}]
    if operation.uploads:
        told["requestBody"] = {
            "required": True,
            "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}},
        }
    if operation.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {
                JSON: {
                    "schema": schemas.of(operation.body),
                    "example": msgspec.to_builtins(operation.body_example),
                }
            },
        }
    return told


def _operation_id(operation: Operation) -> str:
    if operation.handler is None:
        return "connect_" + operation.path.rpartition("/")[2]
    return getattr(operation.handler, "__name__")  # noqa: B009  # Callable has none


def _parameters(operation: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    told = [
        {**_parameter("path", name, {"type": "string"}), "required": True}
        for name in _PARAMETER.findall(operation.path)
    ]
    told += schemas.query(operation.query)
    if operation.idempotent or operation.repeatable:
        schema = {
            "type": "string",
            "maxLength": 128,
            "description": "The same key again is the same call: done once, answered"
            " as before."
            + ("" if operation.idempotent else " By this node, for ten minutes."),
        }
        told.append(_parameter("header", "Idempotency-Key", schema))
    if operation.conditional:
        seen = "The ETag of the value that was seen: only that one is replaced."
        none = "`*`: only if there is no value yet."
        for name, meaning in (("If-Match", seen), ("If-None-Match", none)):
            schema = {"type": "string", "description": meaning}
            told.append(_parameter("header", name, schema))
    return told


def _parameter(place: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "description"}
    told: dict[str, Any] = {"name": name, "in": place, "schema": rest}
    if "description" in schema:
        told["description"] = schema["description"]
    return told


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A key that is not there is how a query says null."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {str(operation.status): _success(operation, schemas)}
    for status, meaning in operation.also.items():
        told[str(status)] = {**told[str(operation.status)], "description": meaning}
    if operation.dangerous and not has_plan_inside(operation.answer):
        _add_plan(told, schemas)
    for status, errors in _by_status(_errors(operation)).items():
        if str(status) not in told:
            told[str(status)] = _refusal(errors, schemas)
    return told


def _add_plan(told: dict[str, Any], schemas: _Schemas) -> None:
    """With `dry_run` the plan is answered, whatever is answered without."""
    kinds: list[Any] = [schemas.of(Plan)]
    example = {"example": msgspec.to_builtins(PLAN)}
    meaning = "With `dry_run`: the plan."
    if "200" in told:
        content = told["200"]["content"]
        kinds.insert(0, content[JSON]["schema"])
        example = {"example": content[JSON]["example"]}
        described = {**content, JSON: {"schema": {"anyOf": kinds}, **example}}
        told["200"] = {"description": f"OK. {meaning}", "content": described}
    else:
        content = {JSON: {"schema": kinds[0], **example}}
        told["200"] = {"description": meaning, "content": content}


def _success(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described_as = HTTPStatus(operation.status).phrase
    if operation.answer is None or operation.websocket:
        return {"description": described_as}
    content = {
        operation.media.partition(";")[0]: {
            "schema": schemas.of(operation.answer),
            "example": msgspec.to_builtins(operation.example),
        }
    }
    if operation.streams is not None:
        content[NDJSON] = {"schema": schemas.of(operation.streams)}
    return {"description": described_as, "content": content}


def _errors(operation: Operation) -> list[type[NexaError]]:
    errors: list[type[NexaError]] = [] if operation.open else [*_EVERYWHERE]
    takes = operation.query.__struct_fields__ or "{" in operation.path
    if takes or operation.body is not None or operation.websocket:
        errors.append(Invalid)
    if operation.dangerous:
        errors.append(Conflict)
    if operation.repeatable or operation.idempotent:
        errors.append(Duplicate)
    if operation.body is not None or operation.uploads:
        errors.append(PayloadTooLarge)
    return list(dict.fromkeys([*errors, *operation.errors, NexaError]))


def _by_status(errors: list[type[NexaError]]) -> dict[int, list[type[NexaError]]]:
    found: dict[int, list[type[NexaError]]] = {}
    for error in errors:
        found.setdefault(error.status, []).append(error)
    return found


def _refusal(errors: list[type[NexaError]], schemas: _Schemas) -> dict[str, Any]:
    examples = {
        error.reason: {"value": msgspec.to_builtins(problem(error(_meaning(error))))}
        for error in errors
    }
    return {
        "description": " ".join(_meaning(error) for error in errors),
        "content": {
            _PROBLEM_MEDIA: {"schema": schemas.of(Problem), "examples": examples}
        },
    }


def _meaning(error: type[NexaError]) -> str:
    return _FIRST_LINE.sub("", error.__doc__ or error.reason)
