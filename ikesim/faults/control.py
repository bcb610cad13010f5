"""Faults in the control API of a daemon.

    GET    /faults              what is on, with what probes noted; and every fault there is
    POST   /faults              {"name": NAME, "options": {OPTION: value}}; answers with its number
    DELETE /faults/NUMBER       switch one off
    DELETE /faults              switch all off

The registry is imported when somebody asks: a daemon that nobody spoils does not pay for it.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ikesim.daemon.host import EndpointHost
from ikesim.errors import UsageError
from ikesim.ike.events import to_json

if TYPE_CHECKING:
    from ikesim.faults.base import Fault
    from ikesim.faults.switchboard import Switchboard


def register(app: web.Application, host: EndpointHost) -> None:
    """Add the resources to the control API of an endpoint (`ikesim.daemon.control.registrations`)."""
    api = _Faults(host)
    app.add_routes(
        [
            web.get("/faults", api.show),
            web.post("/faults", api.enable),
            web.delete("/faults", api.clear),
            web.delete("/faults/{number}", api.disable),
        ]
    )


class _Faults:
    def __init__(self, host: EndpointHost) -> None:
        self._host = host
        self._made: Switchboard | None = None

    @property
    def _board(self) -> "Switchboard":
        if self._made is None:
            from ikesim.faults.switchboard import Switchboard
            from ikesim.faults.target import Target

            self._made = Switchboard(Target.running(self._host))
        return self._made

    async def show(self, request: web.Request) -> web.StreamResponse:
        """What is on, and what there is."""
        from ikesim.faults.registry import catalogue

        return web.json_response({**self._active(), "faults": [item for item in catalogue() if item["switchable"]]})

    async def enable(self, request: web.Request) -> web.StreamResponse:
        """Switch one on."""
        from ikesim.faults.registry import make

        try:
            body = await request.json()
        except ValueError as error:
            raise UsageError(f"the body is not JSON: {error}") from None
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise UsageError('a fault is {"name": NAME, "options": {...}}')
        options = body.get("options", {})
        if not isinstance(options, dict):
            raise UsageError("options is not a JSON object")
        number = self._board.enable(make(body["name"], options))
        return web.json_response({"number": number, **self._active()})

    async def disable(self, request: web.Request) -> web.StreamResponse:
        """Switch one off."""
        number = request.match_info["number"]
        if not number.isdigit():
            raise UsageError(f"{number!r} is not the number of a fault")
        self._board.disable(int(number))
        return web.json_response(self._active())

    async def clear(self, request: web.Request) -> web.StreamResponse:
        """Switch all off."""
        self._board.clear()
        return web.json_response(self._active())

    def _active(self) -> dict[str, Any]:
        active = self._board.active if self._made is not None else {}
        return {
            "endpoint": self._host.name,
            "active": [{"number": number, **describe(fault)} for number, fault in active.items()],
        }


def describe(fault: "Fault") -> dict[str, Any]:
    """A fault that is on: its name, the options that differ from what they are by default, what it noted."""
    options = {
        item.name.replace("_", "-"): to_json(getattr(fault, item.name))
        for item in fields(fault)
        if item.name in fault.options() and getattr(fault, item.name) != item.default
    }
    return {"name": fault.title(), "options": options, "notes": list(getattr(fault, "notes", ()))}
