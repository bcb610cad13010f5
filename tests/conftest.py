"""Fixtures for all tests, and which tests never run beside each other."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import IN_CI, REPOSITORY, lacking

pytest_plugins = ["tests.interop.table"]

# A continuous integration run tries the same inputs each time; everybody else's tries new ones.
settings.register_profile("ci", derandomize=True)
if IN_CI:
    settings.load_profile("ci")

VECTORS = REPOSITORY.parent / "shared" / "vectors"

SERIAL = {
    "tests/interop/": "real peers: made for one module, ended with it",
    "tests/lab/": "loopback ports",
    "tests/test_documents.py": "loopback ports",
}
"""Start of a test's ID -> the group of tests that run on one worker, one after the other."""


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of known answers (`../shared/vectors`, beside the repository); its files are read in place."""
    if not VECTORS.is_dir():
        lacking("the known answers are not there: expected the folder shared/vectors beside the repository")
    return VECTORS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadgroup` by SERIAL: pytest-xdist 3.8 loses its own group marks under pytest 9."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((group for start, group in SERIAL.items() if nodeid.startswith(start)), nodeid)

    return Scheduling(config, log)
