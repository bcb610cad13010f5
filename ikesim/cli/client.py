"""HTTP over the control socket of a running daemon."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from ikesim.cli.common import EXIT_NOBODY_ANSWERED
from ikesim.configuration import state_folder
from ikesim.daemon.state import SOCKET_NAME, socket_path
from ikesim.errors import IkesimError, NotFoundError


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, place: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._place = place

    def connect(self) -> None:
        """Connect to the Unix socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with socket_path(self._place.parent, self._place.name) as path:
            self.sock.connect(path)


class RemoteError(IkesimError):
    """An error that the daemon reported."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def ask(
    config: Path,
    method: str,
    resource: str,
    body: Any = None,
    *,
    timeout: float | None = 60.0,
    through: Path | None = None,
) -> Any:
    """Ask the daemon of an endpoint; its JSON answer. `through` names another socket than that of its state folder.

    Raises NotFoundError when none runs, RemoteError for what it refuses, ConfigurationError.
    """
    state = state_folder(config)
    connection = _UnixConnection(through or state / SOCKET_NAME, timeout)
    try:
        connection.request(method, resource, None if body is None else json.dumps(body))
        response = connection.getresponse()
        document = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotFoundError(f"no daemon runs on {state}; start one with: ikesim run {config}") from None
    except TimeoutError:
        raise RemoteError(f"the daemon on {state} does not answer", EXIT_NOBODY_ANSWERED) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RemoteError(f"the daemon on {state} cannot be asked: {error}", IkesimError.exit_code) from None
    finally:
        connection.close()
    if response.status != 200:
        raise RemoteError(str(document.get("error", response.reason)), int(document.get("exit_code", 5)))
    return document
