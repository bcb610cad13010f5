"""Several processes at work on one store: a daemon keeps fetched CRLs while commands load and remove."""

import os
import subprocess
import sys
from pathlib import Path

from tests.pki.store_world import NOW, World
from tests.support import REPOSITORY

WRITER = """
import sys
from datetime import datetime
from pathlib import Path
from ikesim.pki.store import PkiStore

number, folder, now = sys.argv[1], Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
store = PkiStore.open(folder / "state", clock=lambda: now)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(5):
    store.generate(f"key-{number}-{turn}", "ed25519")
    store.request(f"key-{number}-{turn}", f"CN={number}")
    store.load(folder / "north.der", ca=f"ca-{number}-{turn}")
    store.save_fetched_crl(f"ca-{number}-{turn}", (folder / "north.crl").read_bytes(), "http://crl.example")
    store.snapshot()
store.remove(f"key-{number}-0")
"""
WRITERS = 4


def test_st_01_writers_at_the_same_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "north.der").write_bytes(world.north.certificate)
    (tmp_path / "north.crl").write_bytes(world.north.crl(NOW))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number), tmp_path, NOW.isoformat()],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(WRITERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, b"")
    expected = {f"key-{number}-{turn}" for number in range(WRITERS) for turn in range(1, 5)}
    assert set(world.store.key_pairs()) == world.store.snapshot().pending == expected
    profiles = {f"ca-{number}-{turn}" for number in range(WRITERS) for turn in range(5)}
    assert set(world.store.ca_certificates()) == set(world.store.crls()) == profiles
