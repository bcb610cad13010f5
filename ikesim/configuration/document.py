"""The configuration file itself: from disk to TOML values, without looking at what they mean.

Light on imports: the commands that only talk to a running daemon need the state folder and nothing else.
"""

import tomllib
from pathlib import Path
from typing import Any, NoReturn

from ikesim.errors import ConfigurationError, Problem

MAX_OCTETS = 1024 * 1024
"""A configuration file larger than this is a mistake (a device file, a log)."""


def read_document(path: Path) -> dict[str, Any]:
    """The file as TOML values. Raises ConfigurationError, with the line where there is one."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_OCTETS + 1)
    except FileNotFoundError:
        _refuse(path, "there is no such file")
    except IsADirectoryError:
        _refuse(path, "is a folder, not a configuration file")
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror or error}")
    if len(octets) > MAX_OCTETS:
        _refuse(path, f"is larger than {MAX_OCTETS} octets: this is no configuration file")
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        _refuse(path, f"is not UTF-8 text (at line {octets.count(10, 0, error.start) + 1})")
    except tomllib.TOMLDecodeError as error:
        _refuse(path, f"is not TOML: {error}")
    except RecursionError:
        _refuse(path, "is not usable TOML: it is nested too deeply")


def state_folder(path: Path) -> Path:
    """The state folder that a configuration names, absolute. Raises ConfigurationError."""
    endpoint = read_document(path).get("endpoint")
    state = endpoint.get("state") if isinstance(endpoint, dict) else None
    if not isinstance(state, str) or not state:
        message = "is required and missing: it says where the endpoint's control socket is"
        raise ConfigurationError([Problem(str(path), "endpoint", "state", message)])
    return resolved_state(path, state)


def resolved_state(file: Path, state: str) -> Path:
    """The absolute path of a state folder that `file` names."""
    return Path(file.absolute().parent, state).resolve()


def _refuse(path: Path, message: str) -> NoReturn:
    raise ConfigurationError([Problem(str(path), "", "", message)])
