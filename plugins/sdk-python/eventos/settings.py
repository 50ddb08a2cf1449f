"""Converts the settings of a handler, which are texts, to the types of a dataclass of its author."""

import dataclasses
import enum
import json
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")


def read(settings: dict[str, str], cls: type[T]) -> T:
    """Returns an instance of the dataclass. Raises a ValueError that names the setting and what was expected."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"config.typed takes a dataclass, not {cls!r}")
    try:
        return _dataclass({key: _Text(text) for key, text in settings.items()}, cls)
    except _Invalid as invalid:
        raise ValueError(f"invalid settings: {invalid}") from None


class _Invalid(Exception):
    """What is wrong with which setting."""


class _Text(str):
    """A setting: a string as it is, or any other value as JSON. The type that is asked for says which of them it is."""


def _dataclass(members: dict[str, Any], cls: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    hints = typing.get_type_hints(cls)
    for key in members:
        if key not in fields:
            raise _Invalid(f"unknown key `{key}`; expected one of {', '.join(fields)}")
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in members and not has_default:
            raise _Invalid(f"missing key `{name}`")
    return cls(**{key: _convert(member, hints[key], key) for key, member in members.items()})


def _convert(value: Any, to: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(to), typing.get_args(to)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, key)
    if isinstance(value, _Text):
        is_text = to is str or origin is typing.Literal or isinstance(to, type) and issubclass(to, enum.Enum)
        value = str(value) if is_text else _parse(value)
    if to is Any:
        return value
    if origin is typing.Literal:
        _require(value in arguments, value, " or ".join(map(repr, arguments)), key)
        return value
    if dataclasses.is_dataclass(to):
        _require(isinstance(value, dict), value, "a table", key)
        return _dataclass(value, to)
    if isinstance(to, type) and issubclass(to, enum.Enum):
        values = {member.value: member for member in to}
        _require(value in values, value, " or ".join(map(repr, values)), key)
        return values[value]
    return _convert_plain(value, origin or to, arguments, key)


def _convert_union(value: Any, arguments: tuple[Any, ...], key: str) -> Any:
    if type(None) in arguments and value is None:
        return None
    invalid = None
    for argument in arguments:
        try:
            if argument is not type(None):
                return _convert(value, argument, key)
        except _Invalid as error:
            invalid = error
    raise invalid or _Invalid(f"`{key}`: its type is not supported")


def _convert_plain(value: Any, to: Any, arguments: tuple[Any, ...], key: str) -> Any:
    if to is float:
        _require(isinstance(value, (int, float)) and not isinstance(value, bool), value, "a number", key)
        return float(value)
    if to is int:
        _require(isinstance(value, int) and not isinstance(value, bool), value, "an integer", key)
        return value
    if to is bool or to is str:
        _require(isinstance(value, to), value, "true or false" if to is bool else "a string", key)
        return value
    if to in (list, tuple, set, frozenset):
        _require(isinstance(value, list), value, "a list", key)
        return to(_convert(item, arguments[0] if arguments else Any, key) for item in value)
    if to is dict:
        _require(isinstance(value, dict), value, "a table", key)
        return {name: _convert(item, arguments[1] if arguments else Any, key) for name, item in value.items()}
    raise TypeError(f"config.typed does not support the type {to!r} of `{key}`")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return str(text)


def _require(holds: bool, value: Any, expected: str, key: str) -> None:
    if not holds:
        raise _Invalid(f"`{key}` is {json.dumps(value, ensure_ascii=False)}; expected {expected}")
