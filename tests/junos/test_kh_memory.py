"""A daemon's memory between two handshakes (anchors KH-01, KH-02, KH-08, KP-03): keys are there, or they are not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ikesim.cli.common import ask
from ikesim.pki.store import PkiStore
from tests.cli.command import ikesim, running
from tests.cli.test_daemon_commands import Site
from tests.junos.memory import memory_of, parts_in, private_parts
from tests.support import REPOSITORY

KEYS = [("ecdsa", 256), ("ecdsa", 521), ("rsa", 2048), ("ed25519", None), ("ed448", None)]


def secrets_of(site: Site, kind: str, size: int | None) -> dict[str, list[bytes]]:
    """alice with a key of this kind and one secret of each other kind; what is secret in them."""
    state = site.folder / "state" / "alice"
    store = PkiStore.open(state)
    store.remove("alice")
    store.generate("alice", kind, size)
    request = store.request("alice", "CN=alice", fqdn=["alice.example"])
    store.load(site.ca.sign(request, "alice"), as_id="alice")
    found = {"pki": private_parts((state / "pki/keys/alice.key").read_bytes().split(b"\n", 2)[2])}
    for name in ("ike-psk", "manual-vpn"):
        value = os.urandom(32)
        for host in ("alice", "bob"):
            arguments = ("pki", "secret", "add", name, "--kind", name, "--hex", "--endpoint", site.files[host])
            done = ikesim(*arguments, given=value.hex())
            assert done.returncode == 0, done
            assert value.hex() not in done.stdout + done.stderr
        found[name] = [value]
    return found


@pytest.mark.parametrize(("kind", "size"), KEYS, ids=[f"{kind}-{size or ''}".strip("-") for kind, size in KEYS])
def test_kh_01_kh_02_kh_08_kp_03_between_two_handshakes_no_key_is_in_memory(
    tmp_path: Path, kind: str, size: int | None
) -> None:
    """The search finds every key with key-protection off, and none with it on.

    The preshared key is one that each handshake uses (RFC 8784).
    """
    site = Site(tmp_path)
    secrets = secrets_of(site, kind, size)
    for protected in (False, True):
        for name, peer in (("alice", "bob"), ("bob", "alice")):
            used = 'ppk-id = "shared"\nppk-secret = "ike-psk"\nppk-required = true'
            file = site.write(name, peer, endpoint=f"key-protection = {str(protected).lower()}", connection=used)
            file.write_text(file.read_text().replace("initial = 0.1", "initial = 2.0"))  # both ends share a process
        with running(site.files["alice"], site.files["bob"]) as daemon:
            daemon.wait_for("Ready")
            daemon.wait_for("Ready")
            assert ask(site.files["alice"], "POST", "/connections/bob/up")["result"] == "established"
            memory = memory_of(daemon.process.pid)
            found = {name: [parts_in(memory, part) for part in parts] for name, parts in secrets.items()}
            if protected:
                assert not any(sum(counts) for counts in found.values()), found
            else:
                assert all(all(counts) for counts in found.values()), found
            assert ask(site.files["alice"], "POST", "/connections/bob/up")["result"] == "established"


GENERATE = """
import sys
from pathlib import Path
from ikesim.pki.store import PkiStore
store = PkiStore.open(Path(sys.argv[1]), key_protection=True)
store.generate("alice", sys.argv[2])
store.request("alice", "CN=alice")
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519", "ed448"])
def test_kh_02_a_key_that_was_generated_tested_and_used_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    """In the very process that made it: what the library handed out is overwritten as well."""
    command = [sys.executable, "-c", GENERATE, tmp_path / "state", kind]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        memory = memory_of(process.pid)
        process.communicate()
    PkiStore.open(tmp_path / "state", key_protection=False)
    plain = (tmp_path / "state/pki/keys/alice.key").read_bytes()
    assert [parts_in(memory, part) for part in private_parts(plain.split(b"\n", 2)[2])] == [0] * (
        6 if kind == "rsa" else 1
    )
