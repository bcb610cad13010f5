"""The administrators' side of the self-tests: their settings on disk, and who may change which of them.

The settings live in the state folder, not in the configuration: they are changed by their own commands only, each by
the role it belongs to (anchors TS-01 to TS-04).
"""

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ikesim.configuration.roles import Role, Roles
from ikesim.crypto import selftest
from ikesim.errors import ForbiddenError, UsageError
from ikesim.ike.self_tests import SelfTestSettings, outcome_document
from ikesim.pki import disk

if TYPE_CHECKING:
    from ikesim.daemon.host import EndpointHost

FILE = "self-tests.json"
MAX_INTERVAL = 366 * 86400.0
"""Seconds: a year."""


def load_settings(state: Path) -> SelfTestSettings:
    """The settings of an endpoint; the defaults where none were made. Raises UsageError when they are damaged."""
    path = state / FILE
    if not path.exists():
        return SelfTestSettings()
    try:
        document = json.loads(disk.read_private(path))
        enabled, interval, only = document["enabled"], document["interval"], document["only"]
        if not isinstance(enabled, bool) or not isinstance(interval, int | float) or not isinstance(only, list):
            raise TypeError
        selftest.select(only)
        return SelfTestSettings(enabled, float(interval), tuple(only))
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is damaged: remove it, and the self-tests are as they were at first") from None


def save_settings(state: Path, settings: SelfTestSettings) -> None:
    """Make settings last. Raises UsageError."""
    document = {"enabled": settings.enabled, "interval": settings.interval, "only": list(settings.only)}
    disk.write_private(state / FILE, json.dumps(document, indent=1).encode() + b"\n")


class SelfTestDesk:
    """What administrators may ask of the self-tests of one endpoint."""

    def __init__(self, host: "EndpointHost") -> None:
        self._host = host

    def show(self) -> dict[str, Any]:
        """How the tests stand; anybody may ask."""
        tests = self._host.endpoint.core.self_tests
        families: dict[str, list[str]] = {name: [] for name in selftest.FAMILIES}
        for test in selftest.TESTS.values():
            families[test.family].append(test.name)
        return {"endpoint": self._host.name, **tests.to_json(), "families": families}

    def run(self, user: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run the tests now: either role may; only the security administrator chooses which."""
        only = _names(body, "only")
        roles = (Role.SECURITY,) if only else (Role.SECURITY, Role.CRYPTOGRAPHIC)
        self._require(user, roles, "choose which self-tests run" if only else "run the self-tests")
        outcomes = self._host.self_test("on-demand", only or None)
        failed = [outcome for outcome in outcomes if not outcome.passed]
        return {
            "result": "failed" if failed else "passed",
            "reason": "self-test-failed" if failed else None,
            "outcomes": outcome_document(outcomes),
        }

    def switch(self, user: int, enabled: bool) -> dict[str, Any]:
        """Enable or disable the tests: the cryptographic administrator's right. An error state stays."""
        self._require(user, (Role.CRYPTOGRAPHIC,), f"{'enable' if enabled else 'disable'} the self-tests")
        return self._change(enabled=enabled)

    def schedule(self, user: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set how often the tests run, and which: the security administrator's right."""
        self._require(user, (Role.SECURITY,), "schedule the self-tests or choose which run")
        changes: dict[str, Any] = {}
        if body.get("interval") is not None:
            interval = body["interval"]
            if (
                isinstance(interval, bool)
                or not isinstance(interval, int | float)
                or not 0 <= interval <= MAX_INTERVAL
            ):
                raise UsageError(f"interval is 0 to {MAX_INTERVAL:.0f} seconds")
            changes["interval"] = float(interval)
        if body.get("only") is not None:
            changes["only"] = _names(body, "only")
            selftest.select(changes["only"])
        if not changes:
            raise UsageError("say an interval, or which tests run")
        return self._change(**changes)

    def _change(self, **changes: Any) -> dict[str, Any]:
        settings = replace(self._host.endpoint.core.self_tests.settings, **changes)
        save_settings(self._host.loaded.state, settings)
        self._host.configure_self_tests(settings)
        return self.show()

    def _require(self, user: int, any_of: tuple[Role, ...], what: str) -> None:
        """Raises ForbiddenError unless `user` has one of the roles."""
        roles: Roles = self._host.loaded.roles
        if not any(roles.has(role, user, os.geteuid()) for role in any_of):
            needed = " or a ".join(str(role).replace("-", " ") for role in any_of)
            raise ForbiddenError(
                f"only a {needed} may {what}, and user {user} is none: [roles] in {self._host.loaded.file} names them"
            )


def user_at(connection: socket.socket) -> int:
    """The user (uid) at the other end of a Unix socket, as the kernel noted it when it was connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _names(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{key} must be a list of names of tests or families")
    return tuple(value)
