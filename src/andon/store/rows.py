"""Rows to structs and back, for tables whose columns are a struct's fields."""

from enum import Enum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping

T = TypeVar("T", bound=msgspec.Struct)


def to_struct(row: RowMapping, kind: type[T]) -> T:
    """The struct of one row; columns that the struct lacks are left out."""
    # The keys are a subclass of str, which msgspec does not take for field names.
    return msgspec.convert({str(name): value for name, value in row.items()}, kind)


def to_columns(value: msgspec.Struct) -> dict[str, Any]:
    """A struct's fields as column values."""
    columns: dict[str, Any] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        columns[name] = field.value if isinstance(field, Enum) else field
    return columns


def changed_columns(before: msgspec.Struct, after: msgspec.Struct) -> dict[str, Any]:
    """Only the columns that differ."""
    old = to_columns(before)
    return {name: value for name, value in to_columns(after).items() if value != old[name]}
