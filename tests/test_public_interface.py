"""The names of `import ikesim`."""

import subprocess
import sys

import ikesim
from tests.support import REPOSITORY


def test_every_public_name_is_there_and_nothing_else() -> None:
    for name in ikesim.__all__:
        assert getattr(ikesim, name) is getattr(ikesim, name)
    assert len(ikesim.__all__) <= 15
    assert ikesim.__all__ == sorted(ikesim.__all__)
    assert not hasattr(ikesim, "no_such_name")


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys, ikesim; print(*(name for name in sys.modules if name.startswith('ikesim.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == []
