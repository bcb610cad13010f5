"""Cryptographic self-tests and their two administrators (anchors TS-01 to TS-04)."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ikesim.crypto import selftest
from ikesim.daemon import commands
from ikesim.daemon.control import ControlServer
from ikesim.daemon.self_tests import load_settings
from ikesim.daemon.state import SOCKET_NAME
from ikesim.errors import CryptoError, ForbiddenError, UsageError
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import ChildDown, SaClosed, SaEstablished, SaRefused, SelfTested
from ikesim.ike.self_tests import SelfTestSettings
from ikesim.ike.status import status
from ikesim.pki.store import PkiStore
from ikesim.reasons import Reason
from ikesim.sim.host import SimHost
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki
from tests.cli.command import ikesim, refused, running
from tests.daemon.endpoints import write_config
from tests.daemon.test_host import Lab, lab_in

ME = os.getuid()
OTHER = 54321
"""Somebody else."""
ALL = tuple(selftest.TESTS)


def break_test(host: SimHost, name: str) -> None:
    """From now on one test computes something else."""
    host.hooks.on_self_test = lambda sa, test, computed: bytes(len(computed)) if test == name else None


def standing(pair: Pair, host: SimHost) -> dict[str, Any]:
    assert isinstance(host.endpoint, Endpoint)
    return status(host.endpoint, pair.world.now)


@pytest.fixture
def pair() -> Pair:
    return Pair.of(SimPki())


# What a failure does.


@pytest.mark.parametrize("broken", ["alice", "bob"])
def test_a_failed_self_test_makes_the_endpoint_refuse_new_sas_and_say_so(pair: Pair, broken: str) -> None:
    host = pair.alice if broken == "alice" else pair.bob
    break_test(host, "ecp-384")
    host.self_test()
    document = standing(pair, host)
    assert (document["state"], document["reason"]) == ("error", "self-test-failed")
    assert document["self_test"]["failed"] == {"ecp-384": "does not give the answer of RFC 5903 8"}
    (event,) = host.of(SelfTested)
    assert (event.trigger, event.passed, event.ran, event.failed) == ("on-demand", False, len(ALL), ("ecp-384",))

    verdict = pair.up(by="alice")
    assert isinstance(verdict, SaRefused)
    if broken == "alice":
        assert (verdict.by, verdict.reason) == ("us", Reason.SELF_TEST_FAILED)
        assert not pair.world.network.log, "nothing was sent"
    else:
        assert verdict.by == "peer"
        assert [event.reason for event in pair.bob.of(SaRefused)] == [Reason.SELF_TEST_FAILED]
    assert standing(pair, pair.peer(host))["state"] == "operational"

    host.hooks.on_self_test = None
    host.self_test(["aes-gcm"])
    assert standing(pair, host)["state"] == "error", "another test that passes says nothing about this one"
    host.self_test(["ecp"])
    assert standing(pair, host)["state"] == "operational"
    assert isinstance(pair.up(by="alice"), SaEstablished)


@pytest.mark.parametrize("broken", ["alice", "bob"])
def test_a_handshake_that_is_under_way_when_a_self_test_fails_is_refused(broken: str) -> None:
    pair = Pair.of(SimPki(), delay=0.5)
    host = pair.alice if broken == "alice" else pair.bob
    break_test(host, "ed25519")
    pair.world.at(1.25, lambda world: host.self_test() and None)
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert [event.reason for event in host.of(SaRefused)] == [Reason.SELF_TEST_FAILED]
    assert pair.alice.established == pair.bob.established == []


@pytest.mark.parametrize("broken", ["alice", "bob"])
def test_sas_that_are_up_carry_on_but_nothing_is_made_from_them(pair: Pair, broken: str) -> None:
    assert isinstance(pair.up(), SaEstablished)
    host = pair.alice if broken == "alice" else pair.bob
    break_test(host, "sha256")
    host.self_test()
    before = [child.id for child in pair.children(pair.alice)]
    (sa,) = pair.alice.established
    pair.alice.create_child(sa, "net")
    pair.alice.rekey(sa)
    pair.alice.rekey(before[0])
    pair.world.settle()
    assert pair.alice.established == [sa]
    assert [child.id for child in pair.children(pair.alice)] == before
    assert pair.ping(2) == 2
    if broken == "alice":
        assert [event.reason for event in pair.alice.of(ChildDown)] == [Reason.SELF_TEST_FAILED]


def test_a_computation_that_ends_in_an_error_is_a_failed_test(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> bytes:
        raise CryptoError("the library is not in the mood")

    monkeypatch.setattr("ikesim.crypto.exchange.agree", fails)
    outcomes = pair.alice.self_test(["curve448"])
    assert [outcome.detail for outcome in outcomes] == ["could not be computed: the library is not in the mood"]
    assert standing(pair, pair.alice)["state"] == "error"


# When they run.


def test_ts_02_periodic_runs_come_by_the_virtual_clock_and_end_in_the_error_state(pair: Pair) -> None:
    pair.alice.configure_self_tests(SelfTestSettings(interval=3600.0, only=("hash", "ed25519")))
    pair.world.run_until(3599.0)
    assert pair.alice.of(SelfTested) == []
    pair.world.run_until(3600.0 * 3)
    events = pair.alice.of(SelfTested)
    assert [(event.trigger, event.ran, event.passed) for event in events] == [("periodic", 5, True)] * 3
    assert [(event.time - pair.pki.now).total_seconds() for event in events] == [3600.0, 7200.0, 10800.0]
    break_test(pair.alice, "sha1")
    pair.world.run_until(3600.0 * 4)
    assert pair.alice.of(SelfTested)[-1].failed == ("sha1",)
    assert isinstance(pair.up(), SaRefused)
    pair.alice.configure_self_tests(SelfTestSettings(interval=0.0))
    pair.world.run_until(3600.0 * 9)
    assert len(pair.alice.of(SelfTested)) == 4


def test_ts_01_disabled_self_tests_do_not_run_whatever_the_schedule(pair: Pair) -> None:
    pair.alice.configure_self_tests(SelfTestSettings(enabled=False, interval=60.0))
    pair.world.run_until(600.0)
    assert pair.alice.of(SelfTested) == []
    with pytest.raises(ForbiddenError, match="disabled; a cryptographic administrator may enable them"):
        pair.alice.self_test()


def test_ts_01_disabling_does_not_end_an_error_state(pair: Pair) -> None:
    break_test(pair.alice, "sha1")
    pair.alice.self_test()
    pair.alice.configure_self_tests(SelfTestSettings(enabled=False))
    assert standing(pair, pair.alice)["state"] == "error"
    assert isinstance(pair.up(), SaRefused)


def test_ts_03_a_subset_runs_exactly_those(pair: Pair) -> None:
    ran: list[str] = []
    pair.alice.hooks.on_self_test = lambda sa, test, computed: ran.append(test)
    pair.alice.configure_self_tests(SelfTestSettings(only=("ecdsa", "aes-gcm-128")))
    pair.alice.self_test()
    assert ran == ["aes-gcm-128", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ecdsa-p521-sha512"]
    ran.clear()
    pair.alice.self_test(["ed448"])
    assert ran == ["ed448"]
    with pytest.raises(UsageError, match="no self-test 'rot13'"):
        pair.alice.configure_self_tests(SelfTestSettings(only=("rot13",)))


@pytest.mark.parametrize("fault", ["known answers", "pairwise consistency"])
@pytest.mark.parametrize("kind", ["ecdsa", "ed25519", "ed448", "rsa"])
def test_a_key_is_tested_after_its_generation_and_destroyed_when_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, kind: str
) -> None:
    store = PkiStore.open(tmp_path / "state", key_protection=True)
    with monkeypatch.context() as patched:
        if fault == "known answers":
            patched.setattr("ikesim.crypto.selftest.sign", lambda key, scheme, octets: bytes(64))
        else:
            patched.setattr("ikesim.pki.vault.sign", lambda key, scheme, octets: bytes(64))
        with pytest.raises((CryptoError, ValueError)) as caught:
            store.generate("alice", kind)
    assert "self-test-failed: after alice was generated" in str(caught.value)
    assert store.key_pairs() == {}
    assert list((tmp_path / "state/pki/keys").glob("*.key")) == []
    assert store.generate("alice", kind).kind == kind, "the ID is free"
    loose = PkiStore.open(tmp_path / "loose", self_tests=False)
    monkeypatch.setattr("ikesim.crypto.selftest.run", lambda *arguments: pytest.fail("disabled"))
    loose.generate("alice", kind)


# Who may what.


@asynccontextmanager
async def alice(folder: Path, roles: str = "") -> AsyncIterator[tuple[Lab, aiohttp.ClientSession]]:
    """alice alone with her control API."""
    async with lab_in(folder) as lab:
        lab.enrol("alice")
        await lab.start("alice", address="127.0.0.1", endpoint=f"[roles]\n{roles}" if roles else "")
        server = ControlServer(lab.alice)
        await server.start()
        connector = aiohttp.UnixConnector(str(lab.alice.loaded.state / SOCKET_NAME))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield lab, session
        await server.stop()


async def ask(session: aiohttp.ClientSession, method: str, resource: str, body: Any = None) -> tuple[int, Any]:
    async with session.request(method, f"http://localhost/self-test{resource}", json=body) as response:
        return response.status, await response.json()


RIGHTS = {
    ("POST", "/enable", None): "cryptographic",
    ("POST", "/disable", None): "cryptographic",
    ("POST", "/schedule", '{"interval": 60}'): "security",
    ("POST", "/schedule", '{"only": ["hash"]}'): "security",
    ("POST", "/run", '{"only": ["hash"]}'): "security",
    ("POST", "/run", None): "either",
    ("GET", "", None): "anybody",
}


@pytest.mark.parametrize("mine", ["", "cryptographic", "security", "cryptographic security"])
async def test_ts_01_ts_02_ts_03_ts_04_each_administrator_may_what_is_theirs_and_no_more(
    tmp_path: Path, mine: str
) -> None:
    """The whole matrix through the socket, where the kernel says who asks."""
    roles = "\n".join(
        f"{role}-administrator = [{ME if role in mine.split() else OTHER}]" for role in ("cryptographic", "security")
    )
    async with alice(tmp_path, roles) as (lab, session):
        before = load_settings(lab.alice.loaded.state)
        for (method, resource, body), right in RIGHTS.items():
            allowed = right == "anybody" or right in mine.split() or (right == "either" and bool(mine))
            code, document = await ask(session, method, resource, json.loads(body) if body else None)
            if allowed:
                assert code == 200, (resource, document)
            else:
                assert (code, document["exit_code"]) == (403, 4), (resource, document)
                assert f"user {ME} is none: [roles] in" in document["error"]
                assert right == "either" or f"only a {right} administrator may" in document["error"]
            if resource == "/disable" and allowed:
                assert (await ask(session, "POST", "/enable"))[0] == 200
        if not mine:
            assert load_settings(lab.alice.loaded.state) == before, "a refusal changes nothing"


async def test_without_roles_the_user_who_runs_the_daemon_is_both_administrators(tmp_path: Path) -> None:
    async with alice(tmp_path) as (lab, session):
        assert [event.trigger for event in lab.of("alice", SelfTested)] == ["start"]
        code, document = await ask(session, "POST", "/schedule", {"interval": 90, "only": ["prf", "aes-cbc-256"]})
        assert (code, document["interval"], document["only"]) == (200, 90.0, ["prf", "aes-cbc-256"])
        code, document = await ask(session, "POST", "/run")
        assert [item["name"] for item in document["outcomes"]][-1] == "aes-cbc-256"
        assert len(document["outcomes"]) == 5
        code, document = await ask(session, "POST", "/disable")
        assert document["enabled"] is False
        code, document = await ask(session, "POST", "/run")
        assert (code, document["exit_code"]) == (403, 4)
        assert "disabled" in document["error"]
        for body in (
            {"interval": -1},
            {"interval": "daily"},
            {"interval": 1e12},
            {"only": "hash"},
            {"only": [1]},
            {},
        ):
            code, document = await ask(session, "POST", "/schedule", body)
            assert (code, document["exit_code"]) == (400, 2), body
    assert load_settings(lab.alice.loaded.state) == SelfTestSettings(False, 90.0, ("prf", "aes-cbc-256"))


async def test_settings_outlive_the_daemon_and_a_start_obeys_them(tmp_path: Path) -> None:
    async with alice(tmp_path) as (lab, session):
        await ask(session, "POST", "/schedule", {"only": ["hash"]})
    async with alice(tmp_path / "again") as (again, session):
        state = again.alice.loaded.state
    shutil.copy(lab.alice.loaded.state / "self-tests.json", state)
    async with lab_in(tmp_path / "again") as third:
        third.stores["alice"] = PkiStore.open(state)
        await third.start("alice", address="127.0.0.1")
        assert [(event.trigger, event.ran) for event in third.of("alice", SelfTested)] == [("start", 4)]


async def test_a_daemon_whose_self_test_fails_at_start_runs_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab_in(tmp_path) as lab:
        for name in ("alice", "bob"):
            lab.enrol(name)
        with monkeypatch.context() as patched:
            patched.setattr("ikesim.crypto.selftest.verify_auth", lambda *arguments, **named: None)
            await lab.start_both()
        document = lab.alice.status()
        assert (document["state"], document["reason"]) == ("error", "self-test-failed")
        verdict = await commands.up(lab.alice, "bob", 5)
        assert (verdict["result"], verdict["reason"], verdict["by"]) == ("refused", "self-test-failed", "us")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ikesim-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


CLIENT = """
import json, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(f"POST {sys.argv[2]} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n".encode())
answer = b""
while part := connection.recv(65536):
    answer += part
sys.stdout.write(answer.decode().partition("\\r\\n\\r\\n")[2])
"""


@pytest.mark.skipif(ME != 0, reason="only root can act as another user")
async def test_ts_01_ts_04_another_user_acts_through_the_administrators_socket(
    tmp_path: Path, open_folder: Path
) -> None:
    """That user may do what the role allows, root may not, and nothing but self-tests is offered there."""
    place = open_folder / "administration.sock"
    roles = f'cryptographic-administrator = [{OTHER}]\nsecurity-administrator = [0]\nsocket = "{place}"'

    async def as_other(resource: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-c", CLIENT, place, resource, user=OTHER, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return json.loads(out)

    async with alice(tmp_path, roles) as (lab, session):
        assert (await as_other("/self-test/disable"))["enabled"] is False
        assert load_settings(lab.alice.loaded.state).enabled is False
        assert "only a security administrator" in (await as_other("/self-test/schedule"))["error"]
        for resource in ("/connections/bob/down", "/reload", "/self-testing"):
            answer = await as_other(resource)
            assert (answer["exit_code"], "it offers /self-test only" in answer["error"]) == (4, True)
        assert (await ask(session, "POST", "/enable"))[0] == 403
        assert (await as_other("/self-test/enable"))["enabled"] is True
    assert not place.exists()


# The command line.


def test_the_command_line_runs_shows_schedules_and_switches(tmp_path: Path) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    endpoint = ("--endpoint", file)
    assert "ikesim self-test run without --endpoint tests this installation" in refused(
        3, "self-test", "show", *endpoint
    )
    with running(file) as daemon:
        daemon.wait_for("Ready")
        done = ikesim("self-test", "run", "--only", "hash,ed25519", *endpoint)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "5 self-tests, 0 failed")
        assert ikesim("self-test", "schedule", "--every", "24h", "--only", "prf", *endpoint).returncode == 0
        shown = json.loads(ikesim("self-test", "show", *endpoint, "--json").stdout)
        assert (shown["state"], shown["interval"], shown["only"]) == ("passed", 86400.0, ["prf"])
        assert "DISABLED" in ikesim("self-test", "disable", *endpoint).stdout
        assert "disabled" in refused(4, "self-test", "run", *endpoint)
        assert json.loads(ikesim("status", *endpoint, "--json").stdout)["self_test"]["enabled"] is False
    file.write_text(
        file.read_text().replace("[endpoint]", f"[roles]\nsecurity-administrator = [{OTHER}]\n[endpoint]")
    )
    with running(file) as daemon:
        daemon.wait_for("Ready")
        assert "only a security administrator may" in refused(4, "self-test", "schedule", "--never", *endpoint)


def test_the_command_line_tests_the_installation_and_names_what_there_is() -> None:
    done = ikesim("self-test", "run", "--only", "ml-kem", "--json")
    assert (done.returncode, json.loads(done.stdout)["result"]) == (0, "passed")
    assert "there is no self-test 'des'; the families are hash, prf" in refused(
        2, "self-test", "run", "--only", "des"
    )
    assert "say --every TIME" in ikesim("self-test", "schedule", "--endpoint", "x").stderr


def test_roles_name_users_that_exist(tmp_path: Path) -> None:
    roles = '[roles]\nsecurity-administrator = ["nobody-here", true]\nadmin = []'
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", endpoint=roles)
    done = ikesim("config", "check", file)
    assert done.returncode == 2
    assert "roles.security-administrator[0]: 'nobody-here' is no user of this host" in done.stderr
    assert "roles.security-administrator[1]: true is no user" in done.stderr
    assert "roles.admin: unknown key" in done.stderr


def test_no_sa_outlives_its_time_in_the_error_state() -> None:
    """What cannot be rekeyed ends when its lifetime does."""
    pair = Pair.of(SimPki(), alice={"rekey_time": 100.0}, bob={"rekey_time": 100.0})
    assert isinstance(pair.up(), SaEstablished)
    for host in (pair.alice, pair.bob):
        break_test(host, "sha1")
        host.self_test()
    pair.world.run_until(pair.world.now + 200.0)
    reasons = {event.reason for host in (pair.alice, pair.bob) for event in host.of(SaClosed)}
    assert Reason.LIFETIME_EXPIRED in reasons
    assert pair.alice.established == pair.bob.established == []
