"""MIN-01 to MIN-04: what must be there, and the one command that comes next."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ikesim.cli.main import cli
from tests.cli.command import running
from tests.cli.test_pki_command import CONFIG, Swan


class Desk:
    """A folder with alice.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "alice.toml").write_text(CONFIG)

    def ikesim(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, [*arguments, "--endpoint", "alice.toml"])
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    def check(self, code: int = 1) -> Any:
        return json.loads(self.ikesim("pki", "check", "--json", code=code))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


def test_min_01_neither_profile_nor_certificate_is_not_ready(desk: Desk) -> None:
    lines = desk.ikesim("pki", "check", code=1).splitlines()
    assert lines[0] == (
        "MIN-01  missing  CA profile north has no certificate; load it with: "
        "ikesim pki load FILE --ca north --endpoint alice.toml"
    )
    without = re.sub(r"\[pki\.trusted-ca-group.*?\n\[connection", "[connection", CONFIG, flags=re.DOTALL)
    without = re.sub(r"\[pki\..*?\n\[connection", "[connection", without, flags=re.DOTALL)
    (desk.folder / "alice.toml").write_text(without.replace('trusted-ca-group = "partners"\n', ""))
    first = desk.check()["items"][0]
    assert (first["id"], first["status"]) == ("MIN-01", "missing")
    assert "add [pki.ca-profile.NAME]" in first["message"]


def test_min_02_the_nearest_name_that_the_certificate_proves_is_told(desk: Desk) -> None:
    swan = Swan(desk.folder)
    desk.ikesim("pki", "key", "generate", "alice")
    desk.ikesim("pki", "request", "alice", "--subject", "CN=alice", "--fqdn", "unlike.org",
                "--fqdn", "alice.exampel", "--out", "alice.csr")  # fmt: skip
    swan.sign("alice.csr", "alice.pem")
    desk.ikesim("pki", "load", "alice.pem")
    desk.ikesim("pki", "load", "north.pem", "--ca", "north")
    report = desk.check()
    (missing,) = [item for item in report["items"] if item["status"] == "missing"]
    assert (missing["id"], missing["reason"]) == ("MIN-02", "local-id-not-in-certificate")
    assert "the nearest that it proves is fqdn:alice.exampel" in missing["message"]
    assert report["next"].startswith("ikesim pki request alice --subject CN=alice --fqdn alice.example --out ")


def test_min_03_revocation_is_on_by_default_and_switched_off_visibly(desk: Desk) -> None:
    items = {item["subject"]: item for item in desk.check()["items"] if item["id"] == "MIN-03"}
    assert "is off" not in items["north"]["message"], "nothing is said about it in the file"
    assert "the revocation check of CA profile south is off" in items["south"]["message"]
    assert "disable;" in desk.ikesim("show", "configuration", "security", "pki", "ca-profile", "south")
    text = CONFIG.replace(":5500", ":0").replace(":5501", ":0").replace("127.0.0.2:0", "127.0.0.2:5500")
    (desk.folder / "alice.toml").write_text(text)
    with running(desk.folder / "alice.toml") as daemon:
        daemon.wait_for("Ready")
        assert daemon.stop() == 0
    assert "alice: the revocation check of CA profile south is off" in daemon.log
    assert "check of CA profile north is off" not in daemon.log


def test_min_04_following_the_next_command_ends_in_ready(desk: Desk) -> None:
    """Nothing but what `check` says is typed; only the CA's part is done elsewhere."""
    swan = Swan(desk.folder)
    typed: list[str] = []
    while (report := json.loads(CliRunner().invoke(cli, _CHECK).stdout))["next"] is not None:
        command = report["next"]
        assert command not in typed, "each command brings something new"
        typed.append(command)
        file = "north.pem" if "--ca north" in command else "alice.pem"
        desk_command = command.replace("FILE", file).removeprefix("ikesim ").split()
        done = CliRunner().invoke(cli, desk_command)
        assert done.exit_code == 0, done.output
        if " request " in command:
            swan.sign("alice.csr", "alice.pem")
    assert report["ready"]
    assert [" ".join(one.split()[:4]) for one in typed] == [
        "ikesim pki load FILE",
        "ikesim pki key generate",
        "ikesim pki request alice",
        "ikesim pki load FILE",
    ]
    lines = desk.ikesim("pki", "check").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["MIN-01", "ok"],
        ["MIN-02", "ok"],
        ["MIN-03", "note"],
        ["MIN-03", "note"],
    ]


_CHECK = ["pki", "check", "--json", "--endpoint", "alice.toml"]
