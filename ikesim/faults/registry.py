"""Every fault by name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any, TypeVar

from ikesim.errors import NotFoundError
from ikesim.faults import (
    auth,
    certificates,
    flow,
    headers,
    identities,
    life,
    messages,
    negotiation,
    probes,
    proofs,
    revocation,
    sealed,
)
from ikesim.faults.base import Fault, Named
from ikesim.faults.scene import SceneFault

N = TypeVar("N", bound=Named)


def _collect(modules: Iterable[ModuleType], kind: type[N]) -> dict[str, type[N]]:
    """The faults of some modules, in the order of the text: classes that stand for rows of the tables."""
    found: dict[str, type[N]] = {}
    for module in modules:
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, kind) and item.rows and item.__module__ == module.__name__:
                found[item.title()] = item
    return found


FAULTS: Mapping[str, type[Fault]] = _collect(
    (messages, headers, negotiation, flow, life, auth, sealed, probes), Fault
)
"""What is attached to a running endpoint."""
SCENES: Mapping[str, type[SceneFault]] = _collect((certificates, identities, proofs, revocation), SceneFault)
"""What is prepared before two endpoints meet."""


def make(name: str, options: Mapping[str, Any] | None = None) -> Fault:
    """A fault for a running endpoint, by name. Raises NotFoundError, UsageError for its options."""
    kind = FAULTS.get(name)
    if kind is None:
        if name in SCENES:
            raise NotFoundError(f"{name} is prepared before endpoints meet: it cannot be switched on")
        near = get_close_matches(name, FAULTS, 1)
        raise NotFoundError(f"there is no fault {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    fault = kind.of(options or {})
    assert isinstance(fault, Fault)
    return fault


def catalogue() -> list[dict[str, Any]]:
    """Every fault as a document: name, rows, help, options with their defaults, and whether it can be switched."""
    return [
        {
            "name": name,
            "rows": list(kind.rows),
            "help": kind.help(),
            "options": {key.replace("_", "-"): _default(item) for key, item in kind.options().items()},
            "switchable": issubclass(kind, Fault),
        }
        for name, kind in ({**FAULTS, **SCENES}).items()
    ]


def _default(item: Any) -> Any:
    value = item.default
    return value.hex() if isinstance(value, bytes) else value
