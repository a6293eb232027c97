"""GitHub's published description, ready for use: which operation a call is, and what fits its schemas.

Reads `github_openapi_facts.json`. Two things are stricter than a plain validator: a field or a query
parameter that the description does not know is a mismatch. One is looser: where schemas of a `oneOf`
overlap (an empty list is a list of texts and of objects) any of them is enough.
"""

import functools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from tests.contract.unpublished import corrected

Schema = dict[str, Any]
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("uri", raises=ValueError)
def _is_address(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


def as_json_schema(given: Schema) -> Schema:
    """A schema of OpenAPI 3.0 as one of JSON Schema: `nullable` becomes a choice with null."""
    out: Schema = {}
    for key, value in given.items():
        if key in ("oneOf", "anyOf"):
            out["anyOf"] = [as_json_schema(each) for each in value]
        elif key == "allOf":
            out[key] = [as_json_schema(each) for each in value]
        elif key == "properties":
            out[key] = {name: as_json_schema(each) for name, each in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            out[key] = as_json_schema(value)
        elif key != "nullable":
            out[key] = value
    return {"anyOf": [out, {"type": "null"}]} if given.get("nullable") else out


class Operation:
    """One published call."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name = name
        """`METHOD /path/{template}`."""
        self.method, self.template = name.split(" ")
        self.parameters: list[dict[str, Any]] = facts["parameters"]
        self.request: dict[str, Any] | None = facts.get("request")
        self.responses: dict[str, Schema | None] = facts["responses"]
        self.pattern = re.compile("/".join(map(_part, self.template.split("/"))))


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    # The name of a branch may hold slashes.
    return f"(?P<{part[1:-1]}>{'.+' if part == '{ref}' else '[^/]+'})"


class Contract:
    """Everything that is published about the calls in the slice."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._schemas: dict[str, Schema] = {name: as_json_schema(each) for name, each in facts["schemas"].items()}
        self._validators: dict[int, tuple[Schema, Schema, Draft202012Validator]] = {}
        self.operations = {name: Operation(name, each) for name, each in facts["operations"].items()}

    def find(self, method: str, path: str) -> Operation | None:
        """The operation of a real path; words of a template go before its parameters."""
        fitting = [
            operation
            for operation in self.operations.values()
            if operation.method == method and operation.pattern.fullmatch(path)
        ]
        return min(fitting, key=lambda operation: operation.template.count("{"), default=None)

    def schema(self, name: str) -> Schema:
        """A named schema."""
        return {"$ref": f"#/schemas/{name}"}

    def mismatches(self, value: Any, schema: Schema) -> list[str]:
        """Where `value` does not fit, a sentence each, with the place."""
        kept = self._validators.get(id(schema))
        if kept is None:
            wanted = as_json_schema(schema)
            ready = Draft202012Validator({**wanted, "schemas": self._schemas}, format_checker=_FORMATS)
            # The schema itself is kept, so that its id stays its own.
            kept = self._validators.setdefault(id(schema), (schema, wanted, ready))
        _, wanted, ready = kept
        found = [f"{_place(error.absolute_path)}: {_short(error.message)}" for error in ready.iter_errors(value)]
        return found + [f"{place}: GitHub knows no such field" for place in self._unknown(value, [wanted], "$")]

    def _leaves(self, schema: Schema) -> Iterator[Schema]:
        """The schema with its references followed and its choices laid side by side."""
        if "$ref" in schema:
            yield from self._leaves(self._schemas[schema["$ref"].removeprefix("#/schemas/")])
            return
        yield schema
        for key in ("anyOf", "allOf"):
            for each in schema.get(key, ()):
                yield from self._leaves(each)

    def _unknown(self, value: Any, schemas: list[Schema], place: str) -> Iterator[str]:
        leaves = [leaf for schema in schemas for leaf in self._leaves(schema)]
        if isinstance(value, list):
            items = [leaf["items"] for leaf in leaves if isinstance(leaf.get("items"), dict)]
            for number, each in enumerate(value if items else ()):
                yield from self._unknown(each, items, f"{place}[{number}]")
        elif isinstance(value, dict):
            more = [leaf["additionalProperties"] for leaf in leaves if leaf.get("additionalProperties")]
            for name, each in value.items():
                known = [leaf["properties"][name] for leaf in leaves if name in leaf.get("properties", {})]
                known += [] if known else [schema for schema in more if isinstance(schema, dict)]
                if known:
                    yield from self._unknown(each, known, f"{place}.{name}")
                elif not more and any("properties" in leaf for leaf in leaves):
                    # Without any properties it is a free-form object: anything may stand in it.
                    yield f"{place}.{name}"


def _place(path: Any) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:120]} ... {message[-70:]}"


@functools.cache
def contract() -> Contract:
    """The committed slice."""
    return Contract(corrected(json.loads((Path(__file__).parent / "github_openapi_facts.json").read_text())))
