"""The document under construction, and the list of what did not come along."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ikesim.configuration import read
from ikesim.errors import ConfigurationError, Problem, UsageError

Document = dict[str, Any]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ROUNDS = 50
"""Rounds of taking out what the check refuses; each takes out something."""
NAT_T = 4500


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was not carried over, or not as it was."""

    where: str
    """The statement, without values that may be secret."""
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The result: a document that passes the check, and what is not in it."""

    document: Document
    left_out: tuple[LeftOut, ...]
    source: str

    def toml(self) -> str:
        """The document as a file of ours, with what was left out as comments on top."""
        lines = [f"# Imported from {self.source}."]
        lines += [f"# Left out: {_line(item.where)}: {_line(item.why)}" for item in self.left_out]
        return "\n".join((*lines, "", *_tables(self.document, ()))) + "\n"


@dataclass(slots=True)
class Carrier:
    """Takes what a source says, in our words."""

    endpoint: str
    listen: tuple[str, ...] = ()
    """Addresses to listen on, where the operator said them."""
    document: Document = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    addresses: dict[str, None] = field(default_factory=dict)
    """The IKE sockets that connections need, in order."""

    def leave(self, where: str, why: str) -> None:
        """Note what did not come along."""
        item = LeftOut(where, why)
        if item not in self.left_out:
            self.left_out.append(item)

    def table(self, *path: str) -> Document:
        """A table of the document, made when it is not there."""
        here = self.document
        for part in path:
            here = here.setdefault(part, {})
        return here

    def finish(self, source: str) -> Imported:
        """Complete the endpoint, and take out what the check refuses, with its words."""
        listen = list(self.listen or self.addresses)
        if not listen:
            listen = ["127.0.0.1:500"]
            self.leave("endpoint.listen", f"{source} names no local address: write yours in place of 127.0.0.1:500")
        endpoint = {
            "name": object_name(self.endpoint),
            "listen": listen,
            "listen-nat-t": [f"{address.rpartition(':')[0]}:{NAT_T}" for address in listen],
            "state": f"state/{object_name(self.endpoint)}",
            **self.document.pop("endpoint", {}),
        }
        document = {"endpoint": endpoint, **{key: value for key, value in self.document.items() if value}}
        for _ in range(_ROUNDS):
            try:
                read(document, Path(source))
            except ConfigurationError as error:
                for problem in error.problems:
                    self._take_out(document, problem)
            else:
                return Imported(document, tuple(self.left_out), source)
        raise UsageError(f"{source} could not be made into a configuration: import it in parts")

    def _take_out(self, document: Document, problem: Problem) -> None:
        """Remove the innermost thing that a problem is about; what is required takes its table with it."""
        path = [part for part in problem.table.split(".") if part]
        keys = [part for part in re.split(r"[.\[\]]+", problem.key) if part]
        where = ".".join(part for part in (problem.table, problem.key) if part)
        for steps in ((*path, *keys), path):
            if steps and steps != ["endpoint"] and _remove(document, steps):
                self.leave(where, problem.message)
                return
        raise UsageError(f"the endpoint itself cannot be imported: {problem}")


def _remove(document: Document, steps: Any) -> bool:
    here: Any = document
    for step in steps[:-1]:
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        else:
            return False
    last = steps[-1]
    if isinstance(here, dict) and last in here:
        del here[last]
        return True
    if isinstance(here, list) and last.isdigit() and int(last) < len(here):
        del here[int(last)]
        return True
    return False


def object_name(text: str) -> str:
    """A name of ours for a name of theirs: letters, digits, dash and underscore, at most 32."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:32]
    return name or "unnamed"


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _tables(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """A table and those inside it; a short one in a line of its own."""
    plain = {key: value for key, value in values.items() if not _is_table(value)}
    lines: list[str] = []
    if path and (plain or not values):
        lines = [
            f"[{'.'.join(map(_key, path))}]",
            *(f"{_key(key)} = {_value(one)}" for key, one in plain.items()),
            "",
        ]
    for key, value in values.items():
        if _is_table(value):
            lines += _tables(value, (*path, key))
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys() & {"interval", "nonce", "rsa", "initial"}


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
