"""Fixtures for all tests."""

from pathlib import Path

import pytest

from tests.support import REPOSITORY, lacking

pytest_plugins = ["tests.interop.table"]

VECTORS = REPOSITORY.parent / "shared" / "vectors"


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of known answers (`../shared/vectors`, beside the repository); its files are read in place."""
    if not VECTORS.is_dir():
        lacking("the known answers are not there: expected the folder shared/vectors beside the repository")
    return VECTORS
