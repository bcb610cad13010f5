"""The PKI store of an endpoint for commands, and telling a daemon that runs on it what changed."""

from pathlib import Path
from typing import TYPE_CHECKING

from ikesim.errors import NotFoundError

if TYPE_CHECKING:
    from ikesim.configuration import LoadedConfig
    from ikesim.pki.store import PkiStore


def open_store(endpoint: Path) -> "tuple[LoadedConfig, PkiStore]":
    """The configuration of an endpoint and its store. Raises ConfigurationError, UsageError."""
    from ikesim.configuration import load
    from ikesim.daemon.self_tests import load_settings
    from ikesim.pki.store import PkiStore

    loaded = load(endpoint)
    return loaded, PkiStore.open(
        loaded.state,
        key_protection=loaded.endpoint.key_protection,
        wrapping_key=loaded.wrapping_key,
        self_tests=load_settings(loaded.state).enabled,
    )


def tell_daemon(endpoint: Path) -> str | None:
    """Let a daemon that runs on this endpoint judge its SAs by what the store holds now.

    None: it did, or none runs. Else the sentence that says why it did not: the store itself has changed all the same.
    """
    from ikesim.cli.client import RemoteError, ask

    try:
        ask(endpoint, "POST", "/trust-changed", timeout=10.0)
    except NotFoundError:
        return None
    except RemoteError as error:
        return f"the daemon could not be told: {error}; ikesim reload --endpoint {endpoint} tells it"
    return None
