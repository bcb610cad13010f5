"""From TOML to checked tables: every fault is collected, and what is sound is kept for the checks that follow.

Each table is read key by key, so that one bad value hides neither its neighbours' faults nor the references that
lead to its table.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ikesim.configuration import schema
from ikesim.configuration.values import MAX_GROUP_NAME, MAX_NAME, check_name, kind, nearest, shown
from ikesim.errors import ConfigurationError, Problem

M = TypeVar("M", bound=schema.Table)
Position = tuple[int, ...]

_SHAPES: Mapping[str, type[schema.Table]] = {
    "endpoint": schema.EndpointTable,
    "roles": schema.RolesTable,
    "pki.ca-profile.NAME": schema.CaProfileTable,
    "pki.ca-profile.NAME.revocation-check": schema.RevocationCheck,
    "pki.trusted-ca-group.NAME": schema.TrustedCaGroupTable,
    "connection.NAME": schema.ConnectionTable,
    "connection.NAME.child.NAME": schema.ChildTable,
}


@dataclass(frozen=True, slots=True)
class Checked(Generic[M]):
    """One table after reading: `model` holds the sound values, `failed` names the fields that are not to be used."""

    path: tuple[str, ...]
    model: M
    failed: frozenset[str]

    def has(self, *names: str) -> bool:
        """Whether all these fields may be used."""
        return self.failed.isdisjoint(names)


@dataclass(slots=True)
class Tables:
    """Everything that a file declares."""

    endpoint: Checked[schema.EndpointTable] | None = None
    roles: Checked[schema.RolesTable] | None = None
    profiles: dict[str, Checked[schema.CaProfileTable]] = field(default_factory=dict)
    groups: dict[str, Checked[schema.TrustedCaGroupTable]] = field(default_factory=dict)
    connections: dict[str, Checked[schema.ConnectionTable]] = field(default_factory=dict)
    children: dict[str, dict[str, Checked[schema.ChildTable]]] = field(default_factory=dict)


class Problems:
    """The faults of one file, kept in the order in which the file has their causes."""

    def __init__(self, file: str, document: Mapping[str, Any]) -> None:
        self._file = file
        self._document = document
        self._found: list[tuple[Position, Problem]] = []

    def add(self, table: Sequence[str], key: str, message: str) -> None:
        """Note a fault of `key` ("" for the table itself) in `table`."""
        location = [*table, *(part for part in re.split(r"[.\[\]]+", key) if part)]
        self._found.append((self._position(location), Problem(self._file, ".".join(table), key, message)))

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_any(self) -> None:
        """Raise ConfigurationError if there were any."""
        if self._found:
            raise ConfigurationError([problem for _, problem in sorted(self._found, key=lambda item: item[0])])

    def _position(self, location: Sequence[str]) -> Position:
        """Where a key stands; what is absent comes last in its table."""
        here: object = self._document
        position: list[int] = []
        for part in location:
            if isinstance(here, dict) and part in here:
                position.append(list(here).index(part))
                here = here[part]
            elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
                position.append(int(part))
                here = here[int(part)]
            else:
                position.append(len(here) if isinstance(here, (dict, list)) else 0)
                break
        return tuple(position)


def read_tables(document: Mapping[str, Any], problems: Problems) -> Tables:
    """Every table of the document, checked on its own."""
    tables = Tables()
    _refuse_unknown((), document, ("endpoint", "roles", "pki", "connection"), problems)
    _refuse_other_uses(document, problems)
    if "endpoint" not in document:
        problems.add(("endpoint",), "", "the table [endpoint] is required")
    elif isinstance(document["endpoint"], dict):
        tables.endpoint = _read_table(schema.EndpointTable, ("endpoint",), document["endpoint"], problems)
    else:
        problems.add((), "endpoint", f"expected a table, not {kind(document['endpoint'])}")
    if "roles" in document:
        roles = _sub_table((), document, "roles", problems)
        tables.roles = _read_table(schema.RolesTable, ("roles",), roles, problems)
    pki = _sub_table((), document, "pki", problems)
    _refuse_unknown(("pki",), pki, ("ca-profile", "trusted-ca-group"), problems)
    for name, table in _named(("pki", "ca-profile"), pki, problems).items():
        tables.profiles[name] = _read_table(schema.CaProfileTable, ("pki", "ca-profile", name), table, problems)
    for name, table in _named(("pki", "trusted-ca-group"), pki, problems, MAX_GROUP_NAME).items():
        path = ("pki", "trusted-ca-group", name)
        tables.groups[name] = _read_table(schema.TrustedCaGroupTable, path, table, problems)
    for name, table in _named(("connection",), document, problems).items():
        own = {key: value for key, value in table.items() if key != "child"}
        tables.connections[name] = _read_table(
            schema.ConnectionTable, ("connection", name), own, problems, ("child",)
        )
        path = ("connection", name, "child")
        tables.children[name] = {
            child: _read_table(schema.ChildTable, (*path, child), values, problems)
            for child, values in _named(path, table, problems).items()
        }
    return tables


def _refuse_other_uses(document: Mapping[str, Any], problems: Problems) -> None:
    """A certificate bound to anything but a connection: SSH and web administration have no part in this PKI."""

    def look(path: tuple[str, ...], table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if key in _CERTIFICATE_KEYS:
                problems.add(path, key, "a certificate of the PKI serves IKE only (SC-04): name it in a connection")
            elif isinstance(value, dict):
                look((*path, key), value)

    for name, table in document.items():
        if name not in ("endpoint", "roles", "pki", "connection") and isinstance(table, dict):
            look((name,), table)


_CERTIFICATE_KEYS = frozenset({"local-certificate", "pki-local-certificate", "certificate", "certificate-id"})
"""What names a certificate, in our configuration and in Junos' statements for services."""


def _sub_table(path: tuple[str, ...], parent: Mapping[str, Any], key: str, problems: Problems) -> Mapping[str, Any]:
    value = parent.get(key, {})
    if isinstance(value, dict):
        return value
    problems.add(path, key, f"expected a table, not {kind(value)}")
    return {}


def _named(
    path: tuple[str, ...], parent: Mapping[str, Any], problems: Problems, limit: int = MAX_NAME
) -> dict[str, dict[str, Any]]:
    """The tables [PATH.NAME], with their names checked."""
    found = {}
    for name, value in _sub_table(path[:-1], parent, path[-1], problems).items():
        if not isinstance(value, dict):
            problems.add(path, name, f"expected a table [{'.'.join(path)}.NAME], not {kind(value)}")
            continue
        try:
            check_name(name, limit)
        except ValueError as error:
            problems.add(path, name, str(error))
        found[name] = value
    return found


def _read_table(
    model: type[M], path: tuple[str, ...], values: Mapping[str, Any], problems: Problems, also: Iterable[str] = ()
) -> Checked[M]:
    """Read one table key by key; `also` are keys that are read elsewhere."""
    good: dict[str, Any] = {}
    failed: set[str] = set()
    aliases = {str(info.alias): name for name, info in model.model_fields.items()}
    _refuse_unknown(path, values, (*aliases, *also), problems)
    for alias, name in aliases.items():
        if alias in values:
            try:
                good[name] = _adapter(model, name).validate_python(values[alias], strict=True)
            except ValidationError as error:
                failed.add(name)
                for detail in error.errors(include_url=False):
                    _add_detail(path, alias, detail, model, problems)
        elif model.model_fields[name].is_required():
            failed.add(name)
            problems.add(path, alias, f"is required and missing from [{'.'.join(path)}]")
    return Checked(path, cast(M, model.model_construct(**good)), frozenset(failed))


@lru_cache(maxsize=256)
def _adapter(model: type[schema.Table], name: str) -> TypeAdapter[Any]:
    """A validator for one field alone (a model reports nothing about its own keys once one of them is missing)."""
    info = model.model_fields[name]
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return TypeAdapter(annotation)


def _refuse_unknown(
    path: tuple[str, ...], values: Mapping[str, Any], accepted: Iterable[str], problems: Problems
) -> None:
    known = tuple(accepted)
    for key in values:
        if key not in known:
            problems.add(path, key, _unknown(key, known))


def _unknown(key: str, accepted: Sequence[str]) -> str:
    """What to say about a key that its table does not have."""
    homes = [name for name, model in _SHAPES.items() if key in _keys(model)]
    if homes:
        return f"unknown key here; it belongs into [{homes[0]}]"
    return f"unknown key{nearest(key, accepted)}; accepted are {', '.join(accepted)}"


def _keys(model: type[schema.Table]) -> tuple[str, ...]:
    return tuple(str(info.alias) for info in model.model_fields.values())


def _model_at(model: type[schema.Table], keys: Sequence[str | int]) -> type[schema.Table]:
    """The model of the innermost table on the way along `keys`."""
    for key in keys:
        for info in model.model_fields.values():
            if info.alias == key and isinstance(info.annotation, type) and issubclass(info.annotation, schema.Table):
                model = info.annotation
                break
    return model


def _add_detail(
    path: tuple[str, ...], alias: str, detail: ErrorDetails, model: type[schema.Table], problems: Problems
) -> None:
    """One of pydantic's errors as a Problem, in the words of a configuration file."""
    table, keys = path, [alias, *detail["loc"]]
    if alias == "revocation-check" and len(keys) > 1:
        table, keys = (*path, alias), keys[1:]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys).lstrip(".")
    context: Mapping[str, Any] = detail.get("ctx") or {}
    value = detail["input"]
    match detail["type"]:
        case "value_error":
            message = str(context["error"])
        case "missing":
            message = "is required and missing"
        case "extra_forbidden":
            message = _unknown(str(keys[-1]), _keys(_model_at(model, [alias, *detail["loc"]])))
        case "literal_error":
            accepted = re.findall(r"'([^']*)'", str(context["expected"]))
            message = f"{shown(value)} is not accepted{nearest(value, accepted)}; accepted are {', '.join(accepted)}"
        case "greater_than":
            message = f"{shown(value)} is not accepted: it must be greater than {context['gt']:g}"
        case "greater_than_equal":
            message = f"{shown(value)} is not accepted: at least {context['ge']:g} is"
        case "less_than_equal":
            message = f"{shown(value)} is not accepted: at most {context['le']:g} is"
        case "too_short":
            message = "must not be empty"
        case "too_long":
            message = f"has {context['actual_length']} entries, at most {context['max_length']} are accepted"
        case "string_too_short":
            message = "must not be empty"
        case "string_pattern_mismatch":
            message = f"{shown(value)} is not an e-mail address of the form NAME@DOMAIN"
        case other:
            expected = _EXPECTED.get(other)
            message = f"expected {expected}, not {kind(value)}" if expected else str(detail["msg"])
    problems.add(table, key, message)


_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
