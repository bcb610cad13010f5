"""A process killed at any write leaves the old state or the new one (anchors ST-01).

A process forks one that does an operation; its calls of open, fsync, rename and unlink are counted, and at one of
them it kills itself with SIGKILL, before or after the call. Every step is tried until the operation survives; after
each kill the operation is done again, undisturbed.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ikesim.pki.store import PkiStore
from tests.pki.store_world import NOW, World
from tests.support import REPOSITORY

HARNESS = """
import json, os, shutil, signal, sys
from datetime import datetime
from pathlib import Path

from ikesim.errors import IkesimError
from ikesim.pki.store import PkiStore

source, target, operation = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
now = datetime.fromisoformat(sys.argv[4])
count = 0


def deadly(call, step):
    def tick():
        global count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*arguments, **options):
        tick()
        result = call(*arguments, **options)
        tick()
        return result

    return wrapped


def operate(folder):
    store = PkiStore.open(folder / "state", clock=lambda: now)
    match operation:
        case "generate":
            store.generate("carol", "ed25519")
        case "request":
            store.request("bob", "CN=bob")
        case "load-local":
            store.load(folder / "alice.der", as_id="alice")
        case "load-ca":
            store.load(folder / "south.der", ca="south")
        case "load-crl":
            store.load(folder / "new.crl", crl="north")
        case "remove":
            store.remove_ca("north")
        case "remove-key":
            store.vault.delete("bob")


def run(folder, step):
    child = os.fork()
    if child == 0:
        try:
            if step:
                for name in ("open", "fsync", "replace", "unlink", "fdopen"):
                    setattr(os, name, deadly(getattr(os, name), step))
                Path.unlink = deadly(Path.unlink, step)
            operate(folder)
        except IkesimError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


statuses = []
for step in range(1, 200):
    shutil.copytree(source, target / f"step-{step}", copy_function=shutil.copy2)
    status = run(target / f"step-{step}", step)
    shutil.copytree(target / f"step-{step}", target / f"again-{step}", copy_function=shutil.copy2)
    statuses.append((status, run(target / f"again-{step}", 0) if status else 0))
    if status == 0:
        break
print(json.dumps(statuses))
"""
OPERATIONS = ["generate", "request", "load-local", "load-ca", "load-crl", "remove", "remove-key"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_st_01_a_kill_at_every_write_leaves_the_old_or_the_new_state(operation: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    request = world.request("alice")
    world.store.generate("bob")
    world.store.load(world.north.certificate, ca="north")
    world.store.load(world.north.crl(NOW))
    (world.folder / "alice.der").write_bytes(world.issuing.issue(request, None, None, NOW))
    (world.folder / "south.der").write_bytes(world.south.certificate)
    (world.folder / "new.crl").write_bytes(world.north.crl(NOW))
    statuses = _run(world.folder, tmp_path, operation)
    old = _contents(world.folder, operation)
    states = [_contents(tmp_path / f"step-{step}", operation) for step in range(1, len(statuses) + 1)]
    new = states[-1]
    assert new != old
    assert [status for status, _ in statuses] == [-signal.SIGKILL] * (len(statuses) - 1) + [0]
    assert len(statuses) >= 8, "too few steps: the kill did not reach the writes"
    turn = states.index(new)
    assert states == [old] * turn + [new] * (len(states) - turn), "old until one step, new ever after"
    assert 0 < turn < len(states) - 1
    for step, (_, again) in enumerate(statuses, 1):
        assert again == 0 or states[step - 1] == new, "what a kill left behind must not stand in the way"
        assert _contents(tmp_path / f"again-{step}", operation) == new


def _run(source: Path, target: Path, operation: str) -> list[tuple[int, int]]:
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, source, target, operation, NOW.isoformat()],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return [(status, again) for status, again in json.loads(done.stdout)]


def _contents(folder: Path, operation: str) -> dict[str, Any]:
    """Everything that the store says it holds; opening it is part of the test. A new key counts by its presence."""
    store = PkiStore.open(folder / "state")
    pairs = store.key_pairs().values()
    return {
        "own": {name: (own.certificate, own.chain, own.waiting) for name, own in store.own_certificates().items()},
        "ca": {name: ca.certificate for name, ca in store.ca_certificates().items()},
        "crls": {name: [crl.crl for crl in crls] for name, crls in store.crls().items()},
        "keys": [pair.id if operation == "generate" else (pair.id, pair.fingerprint) for pair in pairs],
    }
