"""The lab of the interop tests: namespaces, a strongSwan, a PKI. Made once for the module that uses it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.charon import CHARON
from tests.support import lacking

INSTALL = (
    "apt-get install -y --no-install-recommends strongswan-charon strongswan-swanctl strongswan-pki "
    "libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins iproute2 iputils-ping"
)


@pytest.fixture(scope="session")
def machine_has_the_lab() -> None:
    """Skip, with the command that would help, where real peers cannot run (with CI=true: fail)."""
    if os.geteuid() != 0:
        lacking("network namespaces need root: sudo scripts/test tests/interop")
    missing = [tool for tool in ("pki", "swanctl", "ip", "ping", "setpriv") if shutil.which(tool) is None]
    if missing or not CHARON.exists():
        lacking(f"strongSwan or its tools are missing: {INSTALL}")
    if not Path("/dev/net/tun").exists():
        lacking("strongSwan's user-space ESP needs a TUN device: modprobe tun")


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """A folder with a short path (those of UNIX sockets end at 107 octets), removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ikesim-") as folder:
        yield Path(folder)
