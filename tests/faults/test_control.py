"""Faults switched on and off in a running daemon, and listed on the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Daemon, ikesim, refused, running
from tests.cli.test_daemon_commands import Site

pytestmark = pytest.mark.xdist_group("loopback")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        yield daemon


def test_faults_are_switched_while_the_daemon_runs(site: Site, daemon: Daemon) -> None:
    alice, bob = site.files["alice"], site.files["bob"]

    def faults(*arguments: str) -> str:
        done = ikesim("lab", "faults", *arguments)
        assert done.returncode == 0, done
        return done.stdout

    assert faults("--endpoint", str(alice)) == "alice: no fault is on\n"
    assert faults("auth-by-another-key", "--endpoint", str(alice)) == "alice: 1 auth-by-another-key\n"
    assert faults("log-id", "--endpoint", str(bob)) == "bob: 1 log-id\n"
    done = ikesim("up", "bob", "--endpoint", alice, "--json")
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (1, "peer-refused")
    refusal = next(item for item in iter(lambda: daemon.wait_for("SaRefused"), None) if item["endpoint"] == "bob")
    assert refusal["reason"] == "auth-bad-signature"
    assert faults("--off", "1", "--endpoint", str(alice)) == "alice: no fault is on\n"
    given = ("drop-message", "exchange=IKE_AUTH", "times=1")
    assert faults(*given, "--endpoint", str(alice)) == "alice: 2 drop-message exchange=IKE_AUTH times=1\n"
    # the message that is lost is sent again: the tunnel comes up
    done = ikesim("up", "bob", "--endpoint", alice)
    assert done.returncode == 0, done
    assert daemon.wait_for("Retransmitted")["endpoint"] == "alice"
    assert ikesim("ping", "bob", "10.2.0.1", "--endpoint", alice).returncode == 0
    noted = faults("--endpoint", str(bob)).splitlines()
    assert noted[0] == "bob: 1 log-id"
    assert noted[-1] == "    IKE_AUTH request 1: IDr fqdn:bob.example"
    # timers, and words in the clear, at a moment of one's choice
    faults("trigger-timer", "timer=rekey", "--endpoint", str(alice))
    assert daemon.wait_for("Rekeyed")
    faults("unencrypted-notify", "--endpoint", str(bob))
    assert ikesim("ping", "bob", "10.2.0.1", "--endpoint", alice).returncode == 0
    assert faults("--off", "all", "--endpoint", str(alice)) == "alice: no fault is on\n"
    assert "there is no fault 'drop'" in refused(3, "lab", "faults", "drop", "--endpoint", str(alice))
    assert "no fault with number 9 is on" in refused(3, "lab", "faults", "--off", "9", "--endpoint", str(alice))
    sentence = refused(2, "lab", "faults", "drop-message", "times=x", "--endpoint", str(alice))
    assert sentence == "drop-message: times is int, not 'x'"


def test_every_fault_is_listed_with_its_rows_and_one_line_of_help() -> None:
    done = ikesim("lab", "faults", "--json")
    found = json.loads(done.stdout)["faults"]
    rows = {row for item in found for row in item["rows"]}
    owed = {f"DH{number:02}" for number in range(1, 24)}
    owed |= {f"DI{number:02}" for number in (*range(1, 11), *range(20, 33), *range(40, 47), *range(50, 61))}
    owed |= {f"DC{number:02}" for number in (*range(1, 20), 21, 22, 23, 25, 26)}
    # ikesim has no CRL refresh timer to lose (DI56): a CRL is fetched when a decision needs it
    assert owed - rows == {"DI56"}
    assert all(item["help"].endswith((".", ")")) or len(item["help"]) > 10 for item in found)
    assert len({item["name"] for item in found}) == len(found)
    text = ikesim("lab", "faults").stdout
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "  drop-message              Lose messages. [DH05, DI02, DI55]" in text
    one = ikesim("lab", "faults", "drop-message").stdout.splitlines()
    assert "      times=0" in one and "      exchange=empty" in one
    assert refused(3, "lab", "faults", "nothing").startswith("there is no fault 'nothing'")
    assert refused(2, "lab", "faults", "drop-message", "times=1") == "switching needs --endpoint CONFIG"
