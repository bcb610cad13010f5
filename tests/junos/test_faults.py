"""What can go wrong with a store: one clear sentence, the exit code of the table, and nothing lost."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ikesim.cli.main import cli
from ikesim.errors import UsageError
from ikesim.pki.authority import Authority
from ikesim.testing import Pair, assert_established, assert_refused
from tests.cli.command import running
from tests.cli.test_pki_command import CONFIG
from tests.pki.store_world import DAY, NOW, World
from tests.support import REPOSITORY

MakePair = Callable[..., Pair]
NO_ROOM = 64
"""Octets that a file may have when the disk is full: less than any that ikesim writes."""


class Site:
    """alice with a certificate, its CA and a CRL, and what else can be loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state/alice"
        self.partition = self.state / "pki"
        (folder / "alice.toml").write_text(CONFIG.replace(":5500", ":0").replace("127.0.0.2:0", "127.0.0.2:5500"))
        now = datetime.now(UTC)
        self.north = Authority.create("north", now=now)
        self.south = Authority.create("south", now=now)
        self.give("north.der", self.north.certificate)
        self.give("south.der", self.south.certificate)
        self.give("old.crl", self.north.crl(now))
        self.run("pki", "key", "generate", "alice")
        self.run("pki", "request", "alice", "--subject", "CN=alice", "--fqdn", "alice.example", "--out", "alice.csr",
                 "--format", "der")  # fmt: skip
        request = (folder / "alice.csr").read_bytes()
        self.give("alice.der", self.north.issue(request, None, None, now))
        self.give("future.der", self.north.issue(request, None, None, now + timedelta(days=3)))
        for file, where in (("alice.der", ()), ("north.der", ("--ca", "north")), ("old.crl", ())):
            self.run("pki", "load", file, *where)
        self.give("new.crl", self.north.crl(now))

    def give(self, name: str, octets: bytes) -> None:
        (self.folder / name).write_bytes(octets)

    def run(self, *arguments: str, code: int = 0, full: bool = False) -> str:
        """One command; what it printed, or its one sentence. `full`: no file can be written."""
        if full:
            status, out, error = self._in_a_process(arguments)
        else:
            with contextlib.chdir(self.folder):
                done = CliRunner().invoke(cli, [*arguments, "--endpoint", "alice.toml"])
            status, out, error = done.exit_code, done.stdout, done.stderr
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert status == code, (out, error)
        assert "Traceback" not in error
        if code in (0, 1):
            return out
        (sentence,) = error.splitlines()
        return sentence.removeprefix("ikesim: ")

    def _in_a_process(self, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        """Where no file can grow beyond NO_ROOM."""
        done = subprocess.run(
            [sys.executable, "-m", "ikesim", *arguments, "--endpoint", "alice.toml"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=_no_room,
        )
        return done.returncode, done.stdout, done.stderr

    def contents(self) -> Any:
        """All that the store holds."""
        return json.loads(self.run("pki", "ls", "--json"))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.partition)): path.read_bytes()
            for path in sorted(self.partition.rglob("*"))
            if path.is_file() and path.name != "lock"
        }


def _no_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (NO_ROOM, NO_ROOM))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    """A copy of the one that was made."""
    copy = Site.__new__(Site)
    copy.__dict__ |= made.__dict__
    copy.folder = tmp_path / "site"
    shutil.copytree(made.folder, copy.folder)
    copy.state = copy.folder / "state/alice"
    copy.partition = copy.state / "pki"
    return copy


# What does not belong together


def test_a_certificate_of_another_key_is_forbidden_and_nothing_changes(site: Site) -> None:
    site.run("pki", "key", "generate", "carol")
    before = site.files()
    said = site.run("pki", "load", "future.der", "--as", "carol", code=4)
    assert "it belongs to alice: load it as that" in said
    assert site.files() == before


def test_a_name_that_is_taken_is_refused_and_its_key_stays(site: Site) -> None:
    before = site.files()
    assert "an ID is free again after ikesim pki rm alice" in site.run("pki", "key", "generate", "alice", code=2)
    assert "ikesim pki rm --ca north makes room" in site.run("pki", "load", "south.der", "--ca", "north", code=2)
    assert site.files() == before


# A full disk


@pytest.mark.parametrize(
    "command",
    [
        ("key", "generate", "carol", "--type", "ed25519"),
        ("request", "alice", "--subject", "CN=alice"),
        ("load", "south.der", "--ca", "south"),
        ("load", "new.crl"),
        ("rm", "--crl", "north"),
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_a_full_disk_loses_nothing_and_the_command_works_once_there_is_room(
    site: Site, command: tuple[str, ...]
) -> None:
    before, held = site.contents(), site.files()
    said = site.run("pki", *command, code=2, full=True)
    assert "cannot be written: file too large" in said
    assert {name: site.files()[name] for name in held} == held
    assert site.contents() == before
    site.run("pki", *command)
    assert site.contents() != before or command[0] == "request"


# A damaged store


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_half_written_index_is_named_and_nothing_is_swept_away(site: Site, share: float) -> None:
    index = site.partition / "index.json"
    whole = index.read_bytes()
    index.write_bytes(whole[: int(share * len(whole))])
    before = site.files()
    for command in (("ls",), ("load", "south.der", "--ca", "south"), ("check",)):
        assert "index.json is damaged: restore the state folder" in site.run("pki", *command, code=2)
    assert site.files() == before
    index.write_bytes(whole)
    assert len(site.contents()["certificates"]) == 2


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_an_object_that_is_not_what_the_index_says_is_named(site: Site, damage: str) -> None:
    path = sorted((site.partition / "objects").glob("*.der"))[0]
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-7] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    before = site.files()
    for command in (("ls",), ("load", "south.der", "--ca", "south")):
        assert f"{path.name} is damaged" in site.run("pki", *command, code=2)
    assert site.files() == before
    path.write_bytes(whole)
    path.chmod(0o600)
    assert len(site.contents()["certificates"]) == 2


def test_a_half_written_key_is_named_and_the_rest_is_still_there(site: Site) -> None:
    key = site.partition / "keys/alice.key"
    key.write_bytes(key.read_bytes()[:-9])
    said = site.run("pki", "ls", code=2)
    assert "alice.key is not a key of this vault, or is damaged" in said
    assert site.run("pki", "show", "--ca", "north").startswith("Certificate identifier: north")


def test_a_daemon_does_not_start_on_a_damaged_store(site: Site) -> None:
    (site.partition / "index.json").write_bytes(b"{")
    with running(site.folder / "alice.toml") as daemon:
        daemon.process.wait(60)
        assert daemon.stop() == 2
    assert "index.json is damaged" in daemon.log


@pytest.mark.parametrize(
    "place", ["notes.txt", "objects/notes.txt", "keys/notes.txt", "secrets/notes.txt", "objects/more/x"]
)
def test_a_foreign_file_in_the_store_is_named_and_never_removed(site: Site, place: str) -> None:
    foreign = site.partition / place
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("not of this store\n")
    named = foreign.parent if foreign.name == "x" else foreign
    for command in (("ls",), ("load", "new.crl")):
        said = site.run("pki", *command, code=2)
        assert f"{named.name} does not belong into the PKI store: move it elsewhere" in said
    assert foreign.read_text() == "not of this store\n"
    shutil.rmtree(named) if named.is_dir() else named.unlink()
    site.run("pki", "load", "new.crl")


def test_what_a_killed_writer_left_behind_is_no_foreign_file(site: Site) -> None:
    for place in (".new-index.json", "objects/.new-ab.der", f"objects/{'ab' * 32}.der", "keys/.new-carol.key"):
        (site.partition / place).write_bytes(b"half")
        (site.partition / place).chmod(0o600)
    site.run("pki", "load", "new.crl")
    assert not (site.partition / f"objects/{'ab' * 32}.der").exists(), "the next writer sweeps it"


# A clock that was set back


def test_a_certificate_of_the_future_is_loaded_with_a_warning_and_not_verified(site: Site) -> None:
    site.run("pki", "request", "alice", "--subject", "CN=alice", "--fqdn", "alice.example")
    document = json.loads(site.run("pki", "load", "future.der", "--json"))
    assert any(warning.startswith("it is not valid before") for warning in document["warnings"])
    verdict = json.loads(site.run("pki", "verify", "alice", "--no-fetch", "--json", code=1))
    assert verdict["reason"] == "cert-not-yet-valid"


def test_a_store_outlives_a_clock_that_was_set_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    certificate = world.enrol()
    world.store.load(world.north.certificate, ca="north")
    newest = world.north.crl(NOW)
    world.store.load(newest)
    world.now = NOW - 400 * DAY
    store = world.open()
    assert store.snapshot().local["alice"].certificate == certificate
    older = world.north.crl(NOW - 300 * DAY, number=0)
    with pytest.raises(UsageError, match="is older than the CRL held"):
        store.load(older)
    assert store.snapshot().crls["north"] == (newest,), "the number decides, not the clock"
    again = store.load(world.north.crl(NOW), crl="north")
    assert any("not valid before" in warning for warning in again.warnings)


def test_a_host_whose_clock_was_set_back_refuses_and_comes_up_when_it_is_right(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"clock_offset": -3 * 365 * 86400.0})
    pair.up()
    assert_refused(pair, reason="cert-not-yet-valid", by="alice")
    right = ike_pair()
    right.up()
    assert_established(right)
