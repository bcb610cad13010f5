"""The plugin in a project of a user: five lines, and a failure that tells its story."""

import os
import subprocess
import sys
from pathlib import Path

FIVE_LINES = """
from ikesim.testing import assert_refused

def test_revoked_peer_is_refused(ike_pair, ike_pki):
    ike_pki.revoke("bob")
    pair = ike_pair()
    pair.up()
    assert_refused(pair, reason="cert-revoked")
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "-W",
            "error",
            "test_mine.py",
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_five_lines_of_a_user(tmp_path: Path) -> None:
    done = run(tmp_path, FIVE_LINES)
    assert "1 passed" in done.stdout, done.stdout


def test_a_failed_assertion_tells_decision_seed_fates_and_events_once(tmp_path: Path) -> None:
    done = run(tmp_path, FIVE_LINES.replace('    ike_pki.revoke("bob")\n', ""))
    assert done.returncode == 1
    assert "expected a refusal with cert-revoked, but nobody refused: alice and bob hold an IKE SA" in done.stdout
    assert "alice decided: Accepted: fqdn:bob.example leads through" in done.stdout
    assert done.stdout.count("seed 'test_revoked_peer_is_refused'") == 1
    assert "#1 t=0.000000 192.0.2.1:500 -> 192.0.2.2:500 IKE_SA_INIT request 0" in done.stdout
    assert "delivered at 0.010000" in done.stdout
    assert "SaEstablished sa=" in done.stdout


def test_another_failure_shows_the_story_of_every_pair(tmp_path: Path) -> None:
    text = """
def test_mine(ike_pair):
    first, second = ike_pair(), ike_pair(seed="another")
    second.up()
    assert first.alice.established
"""
    done = run(tmp_path, text)
    first, second = done.stdout.split("ikesim pair 1")[1].split("ikesim pair 2")
    assert "seed 'test_mine'" in first
    assert "datagrams:\nnone" in first
    assert "seed 'another'" in second
    assert "SaEstablished sa=" in second


def test_the_assertions_are_fixtures_too(tmp_path: Path) -> None:
    text = """
def test_up(ike_pair, assert_established, assert_refused):
    pair = ike_pair()
    pair.up()
    assert_established(pair)
"""
    assert "1 passed" in run(tmp_path, text).stdout


def test_a_test_run_without_the_fixtures_imports_nothing_of_the_core(tmp_path: Path) -> None:
    text = """
import sys

def test_light():
    assert not [name for name in sys.modules if name.startswith(("ikesim.ike", "ikesim.sim", "cryptography"))]
"""
    assert "1 passed" in run(tmp_path, text).stdout
