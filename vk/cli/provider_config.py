"""The provider's own configuration: file, environment and ``--set`` fill its ``config_class``.

``--set`` comes before the environment (a field's ``metadata={"env": "NAME"}``), that before the
file. Strings from those two become what the field's type says; a file is taken at its word. Values
may be secrets: no message made here shows one (a config class's own validators may).
"""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.strategies import configure_union_passthrough

from vk.cli import values
from vk.cli.files import read_mapping
from vk.errors import ConfigError
from vk.provider import Provider
from vk.settings import Settings

__all__ = ["load", "load_for", "type_name"]

_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    types.NoneType: "nothing",
}
_Plain = TypeVar("_Plain")


def load(
    config_class: type[Any] | None,
    *,
    provider: str,
    file: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    node_name: str = "",
) -> Any:
    """Return an instance of ``config_class``, None where the provider has none.

    Raises ConfigError: one line that names place, key and what was expected.
    """
    if config_class is None:
        if file is not None or overrides:
            flag = "--set" if file is None else "--provider-config"
            raise ConfigError(f"{flag}: provider {provider!r} takes no configuration")
        return None
    fields = _fields(config_class)
    data = _from_file(config_class, file, node_name)
    places = dict.fromkeys(data, f"--provider-config: {file}: ")
    for key, field in fields.items():
        text = (environment or {}).get(field.metadata.get("env", ""))
        if text:  # an empty variable counts as unset
            data[key], places[key] = _from_text(text, field.type), f"{field.metadata['env']}: "
    for key, text in (overrides or {}).items():
        places[_put(data, key, text, fields)] = "--set: "
    for key in data:
        if key not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise ConfigError(
                f"{places[key]}unknown key {key!r} for provider {provider!r}, known: {known}"
            )
    _check(fields, data, places, provider)
    return _structure(config_class, data, places, provider)


def load_for(settings: Settings, provider_class: type[Provider]) -> Any:
    """Return the configuration that a node with these settings gives its provider, as `load`."""
    return load(
        provider_class.config_class,
        provider=settings.provider,
        file=settings.provider_config,
        overrides=settings.provider_settings,
        environment=os.environ,
        node_name=settings.node_name,
    )


def _fields(config_class: type[Any]) -> dict[str, Any]:
    resolved = attrs.fields(attrs.resolve_types(config_class))
    return {field.name: field for field in resolved if field.init}


def type_name(kind: Any) -> str:
    """Say in words what a field of type ``kind`` takes."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        named = [type_name(item) for item in arguments if item is not types.NoneType]
        return " or ".join(named)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    origin = origin or kind
    if origin in _NAMES:
        return _NAMES[origin]
    if _is(origin, Mapping) or attrs.has(origin):
        return "a mapping"
    if _is(origin, list, tuple, set, frozenset) or getattr(origin, "__name__", "") == "Sequence":
        return "a list"
    return "a value" if origin in (Any, None) else getattr(origin, "__name__", str(origin))


def _is(kind: Any, *classes: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, classes)


def _from_file(config_class: type[Any], file: Path | None, node_name: str) -> dict[str, Any]:
    if file is None:
        return {}
    data = read_mapping(file, setting="--provider-config")
    translate = getattr(config_class, "from_file", None)
    if translate is None:
        return dict(data)
    try:
        return dict(translate(data, node_name))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(f"--provider-config: {file}: {error}") from error


def _put(data: dict[str, Any], key: str, text: str, fields: Mapping[str, Any]) -> str:
    """Write ``key`` (``field`` or ``field.key``, into a mapping) and return the field's key."""
    first, dot, rest = key.partition(".")
    if key in fields or not dot or first not in fields:
        data[key] = _from_text(text, fields[key].type) if key in fields else text
        return key
    kind = fields[first].type
    if type_name(kind) != "a mapping":
        raise ConfigError(f"--set: {key}: {first} is {type_name(kind)} and has no keys")
    inner = _fields(kind) if attrs.has(kind) else {}
    before = data.get(first)
    data[first] = dict(before) if isinstance(before, Mapping) else {}
    if inner:
        _put(data[first], rest, text, inner)
    else:
        data[first][rest] = _from_text(text, (*get_args(kind), str, str)[1])
    return first


def _from_text(text: str, kind: Any) -> Any:
    """Turn a string into what ``kind`` asks for; what does not fit stays and is refused later."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        members = [item for item in arguments if item is not types.NoneType]
        return text if str in members or len(members) != 1 else _from_text(text, members[0])
    expected = type_name(kind)
    try:
        if kind is bool:
            return values.boolean(text)
        if kind in (int, float):
            return kind(text)
        if expected == "a list" and not text.lstrip().startswith("["):
            return [_from_text(item.strip(), (*arguments, str)[0]) for item in text.split(",")]
        if expected in ("a list", "a mapping"):
            return _from_yaml(text)
    except ValueError:
        return text
    return text


def _from_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error


def _check(
    fields: Mapping[str, Any], data: Mapping[str, Any], places: Mapping[str, str], provider: str
) -> None:
    """Refuse what is missing, and what a field's own converter (such as tuple) would let pass."""
    for key, field in fields.items():
        expected = type_name(field.type)
        if key not in data and field.default is attrs.NOTHING:
            variable = field.metadata.get("env")
            ways = f"--provider-config, --set{f' or {variable}' if variable else ''}"
            raise ConfigError(f"{key}: provider {provider!r} expects {expected}, from {ways}")
        if expected == "a list" and isinstance(data.get(key), str):
            raise ConfigError(f"{places[key]}{key}: expected a list, not a text")


def _structure(
    config_class: type[Any], data: dict[str, Any], places: Mapping[str, str], provider: str
) -> Any:
    try:
        return _converter().structure(data, config_class)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        path, reason = _first(error)
        path = path or _culprit(config_class, data)
        only = set(places.values()) if len(set(places.values())) == 1 else {""}
        place = places.get(path.partition(".")[0].partition("[")[0], *only)
        named = f"{path}: " if path else f"configuration of provider {provider!r}: "
        raise ConfigError(f"{place}{named}{reason}") from error


def _first(error: BaseException, path: str = "") -> tuple[str, str]:
    """Return path and reason of the first of the errors that ``error`` groups."""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        extra = ", ".join(sorted(map(str, error.extra_fields)))
        known = ", ".join(sorted(field.name for field in attrs.fields(error.cl)))
        return path, f"unknown key {extra}, known: {known}"
    if isinstance(error, BaseExceptionGroup):
        inner = error.exceptions[0]
        for note in getattr(inner, "__notes__", ()):
            if isinstance(note, cattrs.AttributeValidationNote):
                path = f"{path}.{note.name}" if path else note.name
            elif isinstance(note, cattrs.IterableValidationNote):
                path = f"{path}[{note.index!r}]"
        return _first(inner, path)
    if isinstance(error, KeyError):
        return path, f"missing key {error}"
    # attrs' validators hand attribute and value along; only the first argument is the text.
    return path, " ".join(str(error.args[0] if error.args else error).split())


def _culprit(config_class: type[Any], data: Mapping[str, Any]) -> str:
    """Return the key whose own converter refuses its value; empty: none does."""
    for key, field in _fields(config_class).items():
        if key in data and callable(field.converter):
            try:
                field.converter(data[key])
            except (ValueError, TypeError):
                return key
    return ""


def _converter() -> cattrs.Converter:
    """Return a converter that takes no value for another: no text for a number, no 1 for true."""
    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
    configure_union_passthrough(bool | int | float | str | None, converter)

    def strict(kind: type[_Plain], accepted: tuple[type, ...]) -> None:
        def structure(value: Any, _: Any) -> _Plain:
            if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
                raise ValueError(f"expected {_NAMES[kind]}, not {_told(value)}")
            return kind(value)  # type: ignore[call-arg] # each of the plain kinds takes a value

        converter.register_structure_hook(kind, structure)

    strict(bool, (bool,))
    strict(int, (int,))
    strict(float, (int, float))
    strict(str, (str,))
    strict(Path, (str, Path))
    for expected, accepted in (
        ("a list", (list, tuple, set, frozenset)),
        ("a mapping", (Mapping,)),
    ):
        _guard(converter, expected, accepted)
    return converter


def _guard(converter: cattrs.Converter, expected: str, accepted: tuple[type, ...]) -> None:
    """Refuse a value of another shape before cattrs walks it: it takes a text for a list."""
    inside: list[Any] = []

    def matches(kind: Any) -> bool:
        union = get_origin(kind) in (Union, types.UnionType)
        return not union and kind not in inside and type_name(kind) == expected

    def factory(kind: Any) -> Any:
        inside.append(kind)  # so that this asks for cattrs' own hook and not for the guard again
        inner = converter.get_structure_hook(kind, cache_result=False)
        inside.remove(kind)

        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, accepted):
                raise ValueError(f"expected {expected}, not {_told(value)}")
            return inner(value, kind)

        return structure

    converter.register_structure_hook_factory(matches, factory)


def _told(value: Any) -> str:
    return type_name(type(value))
