"""Configurations of others as ours: Junos' `set` lines and strongSwan's swanctl.conf become a TOML document.

What is carried over passes `ikesim config check`; what is not is listed with its reason. Nothing is dropped silently:
whatever no rule took is in the list, and so is every value that the check of the result refuses.
"""

from pathlib import Path

from ikesim.configuration.importing.carrying import Imported, LeftOut
from ikesim.errors import NotFoundError, UsageError

__all__ = ["Imported", "LeftOut", "import_file", "import_text"]

MAX_OCTETS = 16 * 1024 * 1024
"""Of one file; the largest of the field have a few hundred thousand lines of which few are about VPNs."""


def import_file(path: Path, *, name: str | None = None, listen: tuple[str, ...] = ()) -> Imported:
    """The configuration in a file. Raises NotFoundError, UsageError."""
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(octets) > MAX_OCTETS:
        raise UsageError(f"{path} has more than {MAX_OCTETS >> 20} MiB: that is no configuration")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8") from None
    return import_text(text, path.name, name=name, listen=listen)


def import_text(text: str, source: str, *, name: str | None = None, listen: tuple[str, ...] = ()) -> Imported:
    """The configuration in a text of either form; `source` is what it is called. Raises UsageError."""
    first = next((line.split()[0] for line in text.splitlines() if line.split() and line.strip()[0] != "#"), "")
    if first in ("set", "delete", "activate", "deactivate"):
        from ikesim.configuration.importing.junos import carry
    else:
        from ikesim.configuration.importing.swanctl import carry
    stem = source.partition(".")[0]
    return carry(text, name or (stem if stem and stem != "swanctl" else "endpoint"), listen).finish(source)
