"""A daemon as a process, and the commands that ask it."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ikesim.cli.common import ask
from tests.cli.command import PATIENCE, Daemon, ikesim, refused, running
from tests.daemon.endpoints import Ca, write_config


class Site:
    """alice and bob as files, on ports that were free a moment ago."""

    def __init__(self, folder: Path, *, crl_of_alice: bool = True) -> None:
        self.folder = folder
        self.ca = Ca.create()
        network = "127.{}.{}".format(*os.urandom(2).replace(b"\0", b"\1"))
        self.addresses = {"alice": f"{network}.1", "bob": f"{network}.2"}
        """Nobody else's: a port that was free a moment ago still is, also beside other tests."""
        self.ports = {name: free_ports(address) for name, address in self.addresses.items()}
        self.files: dict[str, Path] = {}
        for name, peer in (("alice", "bob"), ("bob", "alice")):
            store = self.ca.enrol(folder / "state" / name, name)
            if crl_of_alice or name == "bob":
                store.load(self.ca.crl(), crl="north")
            self.write(name, peer)

    def write(self, name: str, peer: str, **settings: str) -> Path:
        remote = (self.addresses[peer], *self.ports[peer])
        self.files[name] = write_config(
            self.folder, name, peer, address=self.addresses[name], listen=self.ports[name], remote=remote, **settings
        )
        return self.files[name]


def free_ports(address: str) -> tuple[int, int]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind((address, 0))
        two.bind((address, 0))
        return one.getsockname()[1], two.getsockname()[1]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    """Both endpoints in one process."""
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        yield daemon


def test_two_endpoints_in_one_process_from_ready_to_the_last_delete(site: Site, daemon: Daemon) -> None:
    alice = ("--endpoint", site.files["alice"])
    done = ikesim("up", "bob", *alice, "--json")
    assert done.returncode == 0, done
    verdict = json.loads(done.stdout)
    assert (verdict["result"], verdict["reason"]) == ("established", None)
    assert verdict["decision"]["accepted"] is True
    assert set(verdict) >= {"result", "reason", "sa", "decision"}

    done = ikesim("ping", "bob", "10.2.0.1", *alice, "--count", "2", "--json")
    assert (done.returncode, json.loads(done.stdout)["received"]) == (0, 2)
    assert "2 sent, 2 received, 0 lost" in ikesim("ping", "bob", "10.2.0.1", *alice, "--count", "2").stdout

    document = json.loads(ikesim("status", *alice, "--json").stdout)
    assert set(document) >= {"endpoint", "listen", "ike_sas", "counters"}
    (sa,) = document["ike_sas"]
    assert set(sa) >= {
        "id", "connection", "state", "role", "spi_i", "spi_r", "local", "remote", "identity", "proposal",
        "established_at", "decision", "child_sas",
    }  # fmt: skip
    assert set(sa["child_sas"][0]) >= {
        "name", "state", "spi_in", "spi_out", "local_ts", "remote_ts", "bytes_in", "bytes_out",
    }  # fmt: skip
    assert "fqdn:bob.example" in ikesim("status", *alice).stdout

    assert ikesim("rekey", "bob", *alice, "--child", "net").returncode == 0
    assert ikesim("rekey", "bob", *alice).returncode == 0
    assert ikesim("down", "bob", *alice).returncode == 0
    assert ikesim("reload", *alice).returncode == 0
    assert refused(3, "down", "bob", *alice).startswith("connection bob is not up; start it with: ikesim up bob")

    assert ikesim("up", "bob", *alice).returncode == 0
    assert daemon.stop(signal.SIGINT) == 0
    kinds = [(event["endpoint"], event["event"]) for event in daemon.events]
    assert kinds[:2] == [("alice", "Ready"), ("bob", "Ready")]
    closed = [
        event["reason"] for event in daemon.events if event["endpoint"] == "bob" and event["event"] == "SaClosed"
    ]
    assert closed[:2] == ["rekeyed", "deleted-by-peer"]
    # both ends stop at once: their last DELETEs cross
    assert closed[2:] in (["deleted-by-peer"], ["deleted-by-us"])
    assert all({"event", "time", "endpoint"} <= set(event) for event in daemon.events)
    assert len(daemon.log.splitlines()) >= len(daemon.events)


def test_the_ready_file_gets_the_ready_lines(site: Site, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with running(site.files["alice"], site.files["bob"], "--ready-file", ready) as daemon:
        events = [daemon.wait_for("Ready"), daemon.wait_for("Ready")]
        assert ikesim("status", "--endpoint", site.files["bob"]).returncode == 0
        daemon.stop()
    assert [json.loads(line) for line in ready.read_text().splitlines()] == events
    assert {event["endpoint"]: event["listen"] for event in events} == {
        name: [f"{site.addresses[name]}:{site.ports[name][0]}"] for name in site.ports
    }


def test_a_refusal_is_exit_code_1_and_its_decision_a_tree(site: Site) -> None:
    site.ca.revoke("bob")
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        crl = site.folder / "north.crl"
        crl.write_bytes(site.ca.crl())
        assert ikesim("pki", "load", crl, "--crl", "north", "--endpoint", site.files["alice"]).returncode == 0
        done = ikesim("up", "bob", "--endpoint", site.files["alice"])
        assert (done.returncode, done.stderr) == (1, "")
        assert "cert-revoked" in done.stdout
        document = json.loads(ikesim("up", "bob", "--endpoint", site.files["alice"], "--json").stdout)
        assert (document["result"], document["reason"], document["by"]) == ("refused", "cert-revoked", "us")
        serial = document["decision"]["certificate"]["serial"]
        assert serial.removeprefix("0x") in done.stdout.replace(":", "")


def test_a_refusal_for_missing_revocation_data_ends_with_the_command_that_supplies_it(tmp_path: Path) -> None:
    """And that command does supply it."""
    site = Site(tmp_path, crl_of_alice=False)
    config = site.files["alice"]
    with running(config, site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        done = ikesim("up", "bob", "--endpoint", config)
        assert done.returncode == 1
        assert "crl-missing" in done.stdout
        command = f"ikesim pki load FILE.crl --crl north --endpoint {config}"
        assert done.stdout.splitlines()[-1] == f"to supply it: {command}"
        crl = tmp_path / "north.crl"
        crl.write_bytes(site.ca.crl())
        assert ikesim(*command.replace("FILE.crl", str(crl)).split()[1:]).returncode == 0
        assert ikesim("up", "bob", "--endpoint", config).returncode == 0
        daemon.stop()
        assert f"to supply it: {command}" in daemon.log


def test_nobody_answers_is_exit_code_6(site: Site) -> None:
    with running(site.files["alice"]) as daemon:
        daemon.wait_for("Ready")
        done = ikesim("up", "bob", "--endpoint", site.files["alice"], "--timeout", "0.2s", "--json")
        assert done.returncode == 6
        assert json.loads(done.stdout)["reason"] == "nobody-answered"


def test_an_unknown_connection_is_exit_code_3(site: Site, daemon: Daemon) -> None:
    sentence = refused(3, "up", "carol", "--endpoint", site.files["alice"])
    assert sentence == "alice has no connection 'carol'; it has: bob"


def test_a_port_in_use_is_one_sentence(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        taken = (site.addresses["alice"], site.ports["alice"][0])
        other.bind(taken)
        assert f"UDP {taken[0]}:{taken[1]} is in use" in last_line(2, "run", site.files["alice"])


def last_line(code: int, *arguments: str | Path) -> str:
    """How a command ends that logged something before."""
    done = ikesim(*arguments)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_state_folder_open_to_others_is_one_sentence(site: Site) -> None:
    state = site.folder / "state" / "alice"
    state.chmod(0o755)
    sentence = refused(2, "run", site.files["alice"])
    assert f"{state} is open to others (mode 0755)" in sentence
    assert f"chmod 700 {state}" in sentence


def test_a_second_daemon_on_the_same_state_is_one_sentence(site: Site, daemon: Daemon) -> None:
    sentence = refused(2, "run", site.files["alice"])
    assert sentence.startswith(f"another daemon (process {daemon.process.pid}) already runs on the state folder")


def test_a_state_left_behind_by_a_killed_daemon_is_taken_over(site: Site) -> None:
    with running(site.files["alice"]) as killed:
        killed.wait_for("Ready")
        killed.stop(signal.SIGKILL)
    with running(site.files["alice"]) as daemon:
        daemon.wait_for("Ready")
        assert ikesim("status", "--endpoint", site.files["alice"]).returncode == 0


def test_a_state_path_of_150_characters_works(tmp_path: Path) -> None:
    """A Unix socket's address holds 108 octets."""
    name = "x" * max(1, 150 - len(str(tmp_path.resolve())) - 1)
    state = tmp_path / name
    ca = Ca.create()
    ca.enrol(state, "alice").load(ca.crl(), crl="north")
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", state=name)
    assert len(str(state.resolve())) >= 150
    with running(file) as daemon:
        daemon.wait_for("Ready")
        assert json.loads(ikesim("status", "--endpoint", file, "--json").stdout)["endpoint"] == "alice"
        assert daemon.stop() == 0
    assert not (state / "control.sock").exists()


def test_the_control_socket_is_its_owners_alone(site: Site, daemon: Daemon) -> None:
    mode = os.stat(site.folder / "state" / "alice" / "control.sock").st_mode
    assert mode & 0o777 == 0o600


def test_what_the_store_lacks_is_said_at_start_with_the_command_that_helps(tmp_path: Path) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    with running(file) as daemon:
        daemon.wait_for("Ready")
        daemon.stop()
    assert f"ikesim pki key generate alice --type ecdsa --endpoint {file}" in daemon.log
    assert f"ikesim pki load FILE --ca north --endpoint {file}" in daemon.log


def test_a_daemon_whose_events_nobody_reads_goes_on_and_ends(site: Site) -> None:
    """Its pipe holds 64 KiB, eight handshakes say more than twice that."""
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        for _ in range(8):
            verdict = ask(site.files["alice"], "POST", "/connections/bob/up", {"timeout": 20})
            assert verdict["result"] == "established"
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(PATIENCE) == 0
        assert daemon.process.stdout is not None
        assert 32_768 < len(daemon.process.stdout.read()) < 131_072


def test_a_capture_and_keys_are_written_only_when_asked_for(site: Site, tmp_path: Path) -> None:
    capture, keys = tmp_path / "run.pcapng", tmp_path / "keys"
    arguments = (site.files["alice"], site.files["bob"], "--capture", capture, "--keys", keys)
    with running(*arguments) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        assert ikesim("up", "bob", "--endpoint", site.files["alice"]).returncode == 0
        daemon.stop()
    assert capture.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert len((keys / "ikev2_decryption_table").read_text().splitlines()) == 1
    assert len((keys / "esp_sa").read_text().splitlines()) == 2
    assert keys.stat().st_mode & 0o777 == 0o700
    missing = tmp_path / "no" / "run.pcapng"
    assert str(missing) in last_line(2, "run", site.files["alice"], "--capture", missing)
