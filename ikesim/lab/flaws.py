"""Endpoints that do one thing wrong, attached to the core's hooks: what proves that a demonstration can fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ikesim.daemon import control, run
from ikesim.daemon.host import EndpointHost
from ikesim.ike.ids import SaId
from ikesim.ike.sa import InstalledChild

Flaw = Callable[[EndpointHost], None]


def esp_key_bit(host: EndpointHost) -> None:
    """Every CHILD SA sends with a key that differs from the negotiated one in a bit."""
    before = host.ports.hooks.on_install

    def on_install(sa: SaId | None, installed: Any) -> None:
        if before is not None:
            before(sa, installed)
        if isinstance(installed, InstalledChild):
            outbound = host.endpoint.core.children[installed.spi_in].outbound
            outbound.key = bytes([outbound.key[0] ^ 1]) + outbound.key[1:]

    host.ports.hooks.on_install = on_install


FLAWS: dict[str, Flaw] = {"esp-key-bit": esp_key_bit}


def run_flawed(flaw: Flaw, config: Path, *, capture: Path | None = None, keys: Path | None = None) -> None:
    """As `ikesim run CONFIG`, with the flaw."""
    control.registrations.append(lambda app, host: flaw(host))
    run.main([config], capture=capture, keys=keys)
