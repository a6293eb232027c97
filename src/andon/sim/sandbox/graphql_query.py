"""A small reader of GraphQL: one operation with variables, fields, arguments and inline fragments.

Enough for the queries that a fleet sends; named fragments and directives are refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from andon.sim.sandbox.refusals import ApiError

_TOKEN = re.compile(
    r'[\s,]+|#[^\n]*|(?P<spread>\.\.\.)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<number>-?[0-9]+(?:\.[0-9]+)?)'
    r"|(?P<variable>\$[A-Za-z_]\w*)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[{}()\[\]:!=@])"
)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A field, or an inline fragment (`on` is then the type and `name` empty)."""

    name: str
    alias: str
    on: str | None = None
    arguments: dict[str, Any] = {}
    selections: "tuple[Selection, ...]" = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    """`query` or `mutation`."""
    selections: tuple[Selection, ...]


def parse(text: str, variables: Mapping[str, Any]) -> Operation:
    """The operation of a document, its variables filled in; raises ApiError 200 with GraphQL's words."""
    return _Reader(text, variables).operation()


class _Reader:
    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._variables = dict(variables)
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise _wrong(f"Expected one of the tokens of GraphQL, actual: {text[place : place + 10]!r}")
            place = found.end()
            if found.lastgroup is not None:
                self._tokens.append((found.lastgroup, found[0]))
        self._tokens.append(("end", "end of file"))
        self._place = 0

    def operation(self) -> Operation:
        kind = "query"
        if self._peek() == "{":
            pass
        else:
            kind = self._take("name")
            if kind not in ("query", "mutation"):
                raise _wrong(f"Expected query or mutation, actual: {kind!r}")
            if self._tokens[self._place][0] == "name":
                self._place += 1
            if self._peek() == "(":
                self._declarations()
        selections = self._selections()
        if self._peek() != "end of file":
            raise _wrong(f"Expected the end of the document, actual: {self._peek()!r}")
        return Operation(kind=kind, selections=selections)

    def _declarations(self) -> None:
        self._take("mark", "(")
        while self._peek() != ")":
            name = self._take("variable")[1:]
            self._take("mark", ":")
            required = self._type()
            if self._peek() == "=":
                self._place += 1
                default = self._value()
                self._variables.setdefault(name, default)
            elif required and self._variables.get(name) is None:
                raise _wrong(f"Variable ${name} was provided invalid value")
        self._place += 1

    def _type(self) -> bool:
        """Reads a type; says whether it must have a value."""
        if self._peek() == "[":
            self._place += 1
            self._type()
            self._take("mark", "]")
        else:
            self._take("name")
        if self._peek() == "!":
            self._place += 1
            return True
        return False

    def _selections(self) -> tuple[Selection, ...]:
        self._take("mark", "{")
        found: list[Selection] = []
        while self._peek() != "}":
            found.append(self._selection())
        self._place += 1
        if not found:
            raise _wrong("Expected a field, actual: '}'")
        return tuple(found)

    def _selection(self) -> Selection:
        if self._peek() == "...":
            self._place += 1
            if self._take("name") != "on":
                raise _wrong("This sandbox reads inline fragments only: write `... on Type { fields }`")
            on = self._take("name")
            return Selection(name="", alias="", on=on, selections=self._selections())
        alias = name = self._take("name")
        if self._peek() == ":":
            self._place += 1
            name = self._take("name")
        arguments: dict[str, Any] = {}
        if self._peek() == "(":
            self._place += 1
            while self._peek() != ")":
                key = self._take("name")
                self._take("mark", ":")
                arguments[key] = self._value()
            self._place += 1
        inner = self._selections() if self._peek() == "{" else ()
        return Selection(name=name, alias=alias, arguments=arguments, selections=inner)

    def _value(self) -> Any:
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "string":
            return msgspec.json.decode(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "variable":
            if text[1:] not in self._variables:
                raise _wrong(f"Variable {text} is used and not declared, or has no value")
            return self._variables[text[1:]]
        if kind == "name":
            return {"true": True, "false": False, "null": None}.get(text, text)
        if text == "[":
            items: list[Any] = []
            while self._peek() != "]":
                items.append(self._value())
            self._place += 1
            return items
        if text == "{":
            fields: dict[str, Any] = {}
            while self._peek() != "}":
                key = self._take("name")
                self._take("mark", ":")
                fields[key] = self._value()
            self._place += 1
            return fields
        raise _wrong(f"Expected a value, actual: {text!r}")

    def _peek(self) -> str:
        return self._tokens[self._place][1]

    def _take(self, kind: str, text: str | None = None) -> str:
        found_kind, found = self._tokens[self._place]
        if found_kind != kind or (text is not None and found != text):
            raise _wrong(f"Expected {text or kind}, actual: {found!r}")
        self._place += 1
        return found


def _wrong(message: str) -> ApiError:
    """GraphQL answers 200 and tells of its errors in the body."""
    return ApiError(200, f"Parse error: {message}")
