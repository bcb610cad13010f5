"""The same seed and the same calls give the same history, octet for octet (design: state is plain data)."""

import copy
import os
import subprocess
import sys
from hashlib import sha256

import pytest

from ikesim.testing import Pair, SimPki, assert_established
from tests.support import REPOSITORY

STORY = """
import sys
from tests.ike.test_determinism import story
print(story(sys.argv[1]))
"""


def story(key: str) -> str:
    """A digest of everything that happened: IKE_AUTH with fetches, pings, both kinds of rekeying, a lossy network."""
    pki = SimPki("determinism")
    for name in ("alice", "bob"):
        pki.issue(name, key=key)
    settings = {"rekey_time": 300.0, "child": {"rekey_time": 100.0, "proposals": "aes128gcm16-x25519"}}
    pair = Pair.of(
        pki, seed="determinism", crls="http", alice=settings, bob=settings, loss=0.1, jitter=0.01, duplicate=0.1
    )
    pair.up()
    pair.ping(5)
    pair.world.run_until(500.0)
    pair.ping(5, by="bob")
    digest = sha256()
    for entry in pair.world.network.log:
        digest.update(repr((entry.sent_at, entry.source, entry.destination, entry.octets, entry.notes)).encode())
    for host in (pair.alice, pair.bob):
        for event in host.events:
            digest.update(repr(event.to_json()).encode())
        digest.update(repr(pair.sas(host)).encode())
    assert len(pair.world.network.log) > 60
    return digest.hexdigest()


@pytest.mark.parametrize("key", ["ecdsa", "ed25519", "ed448"])
def test_two_runs_say_the_same_octets(key: str) -> None:
    assert story(key) == story(key)


@pytest.mark.parametrize("key", ["ecdsa", "ed25519"])
def test_two_hash_seeds_say_the_same_octets(key: str) -> None:
    # set order and hash() differ between these interpreters
    found = {
        subprocess.run(
            [sys.executable, "-c", STORY, key],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "20259")
    }
    assert found == {story(key)}


def test_another_seed_says_other_octets(ike_pki: SimPki) -> None:
    first, second = (Pair.of(ike_pki, seed=seed) for seed in ("one", "two"))
    for pair in (first, second):
        pair.up()
    assert not {entry.octets for entry in first.world.network.log} & {
        entry.octets for entry in second.world.network.log
    }


@pytest.mark.parametrize("moment", [0.0, 0.005, 0.015, 0.025, 0.035, 0.045, 50.0, 100.035, 300.0])
def test_a_copy_at_any_moment_goes_on_identically(ike_pki: SimPki, moment: float) -> None:
    settings = {"jitter": 0.0, "rekey_time": 250.0, "child": {"rekey_time": 100.0}}
    pair = Pair.of(ike_pki, seed="copied", crls="http", alice=settings, bob=settings)
    pair.alice.initiate("bob")
    pair.world.run_until(moment)
    twin: Pair = copy.deepcopy(pair)
    # one goes on while the other stands still, then the other: they share nothing that could change
    for one in (twin, pair):
        one.world.run_until(400.0)
        assert_established(one)
        assert one.ping() == 1
    logs = [[(entry.sent_at, entry.octets) for entry in one.world.network.log] for one in (pair, twin)]
    assert logs[0] == logs[1]
    assert [event.to_json() for event in pair.bob.events] == [event.to_json() for event in twin.bob.events]


def test_one_more_draw_of_one_purpose_shifts_nothing_else(ike_pki: SimPki) -> None:
    # design: a stream for each purpose. Another nonce leaves SPIs and ephemeral keys as they were.
    first, second = (Pair.of(ike_pki, seed="streams") for _ in range(2))
    second.alice.ports.entropy("nonce", 32)
    for pair in (first, second):
        pair.up()
    ours, theirs = (pair.sas(pair.alice)[0] for pair in (first, second))
    assert ours["spi_i"] == theirs["spi_i"]
    assert ours["spi_r"] == theirs["spi_r"]
    requests = [pair.world.network.log[0].octets for pair in (first, second)]
    assert requests[0] != requests[1]
