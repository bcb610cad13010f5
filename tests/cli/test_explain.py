"""`ikesim explain`: what a person who asks "why?" reads, and what a script gets."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ikesim.cli.main import cli
from ikesim.testing.pki import SimPki


class Files:
    """bob's certificate, its issuers and their CRLs as files, and the time to judge them at."""

    def __init__(self, folder: Path, pki: SimPki) -> None:
        self.pki = pki
        leaf = pki.leaves["bob"]
        issuing = pki.authorities[leaf.issuer]
        self.leaf = self._write(folder / "bob.der", leaf.certificate)
        self.chain = self._write(folder / "issuing.der", issuing.certificate)
        self.root = self._write(folder / "root.der", issuing.root.certificate)
        self.crls = [self._write(folder / f"{name}.crl", pki.crls[name]) for name in (leaf.issuer, issuing.root.name)]
        self.serial = leaf.certificate

    @staticmethod
    def _write(file: Path, octets: bytes) -> Path:
        file.write_bytes(octets)
        return file

    def arguments(self, *, chain: bool = True, crls: bool = True) -> list[str]:
        found = [str(self.leaf), "--ca", str(self.root), "--at", self.pki.now.isoformat()]
        if chain:
            found += ["--chain", str(self.chain)]
        if crls:
            found += [item for crl in self.crls for item in ("--crl", str(crl))]
        return found


@pytest.fixture
def files(tmp_path: Path, ike_pki: SimPki) -> Files:
    return Files(tmp_path, ike_pki)


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_an_accepted_certificate_is_exit_0(files: Files) -> None:
    said = explain(*files.arguments(), "--id", "fqdn:bob.example")
    assert said.exit_code == 0, said.output
    assert said.output.startswith("Accepted: ")
    assert max(map(len, said.output.splitlines())) <= 100
    document = json.loads(explain(*files.arguments(), "--json").output)
    assert document["accepted"] is True
    assert document["reason"] is None


@pytest.mark.parametrize(
    ("options", "settings", "reason"),
    [
        ({"chain": False}, [], "cert-no-issuer"),
        ({"crls": False}, ["--revocation", "strict"], "crl-fetch"),
        ({}, ["--id", "fqdn:alice.example"], "id-mismatch"),
        ({}, ["--policy", "1.2.3.4", "--explicit-policy"], "cert-policy"),
        ({}, ["--at", "2090-01-01"], "cert-expired"),
    ],
)
def test_a_refusal_is_exit_1_and_names_its_reason(
    files: Files, options: dict[str, bool], settings: list[str], reason: str
) -> None:
    arguments = files.arguments(**options)
    if "--at" in settings:
        del arguments[arguments.index("--at") : arguments.index("--at") + 2]
    said = explain(*arguments, *settings, "--json")
    assert said.exit_code == 1, said.output
    found = json.loads(said.output)["reason"]
    assert found == reason or (reason == "crl-fetch" and found in ("crl-missing", "crl-fetch-failed"))


def test_what_if_a_certificate_were_revoked(files: Files) -> None:
    serial = json.loads(explain(*files.arguments(), "--json").output)["certificate"]["serial"]
    said = explain(*files.arguments(), "--what-if", f"revoke={serial}", "--json")
    assert said.exit_code == 1
    assert json.loads(said.output)["reason"] == "cert-revoked"
    other = explain(*files.arguments(), "--what-if", "revoke=0xabcdef", "--json")
    assert other.exit_code == 0


def test_until_when_it_is_accepted(files: Files) -> None:
    # The CRLs are the first to end; then nothing is known about revocation any more.
    said = explain(*files.arguments(), "--until", "10y", "--json")
    assert said.exit_code == 1
    document = json.loads(said.output)
    assert document["decision"]["reason"] == "crl-stale"
    soon = explain(*files.arguments(), "--until", "1d")
    assert soon.exit_code == 0
    later = files.pki.now + timedelta(days=1)
    assert soon.output == f"accepted until {later:%Y-%m-%d %H:%M} UTC\n"


def test_rule_profiles_are_compared(files: Files) -> None:
    said = explain(*files.arguments(crls=False), "--profiles", "--json")
    document = json.loads(said.output)
    assert list(document["profiles"]) == ["rfc", "strongswan", "libreswan", "openiked"]
    assert document["agree"] is False
    assert document["profiles"]["rfc"]["accepted"] is False
    assert document["profiles"]["strongswan"]["accepted"] is True
    assert "the profiles disagree" in explain(*files.arguments(crls=False), "--profiles").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to explain"),
        (["--connection", "bob"], "--endpoint"),
        (["missing.pem"], "missing.pem cannot be read"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_sentence(arguments: list[str], said: str) -> None:
    result = explain(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.splitlines()) == 1


def test_what_an_endpoint_will_lose_and_when(tmp_path: Path) -> None:
    from tests.daemon.endpoints import Ca, write_config

    ca = Ca.create()
    store = ca.enrol(tmp_path / "state" / "alice", "alice")
    store.load(ca.crl(), crl="north")
    store.close()
    config = write_config(tmp_path, "alice", "bob", address="127.0.0.1", listen=(5500, 5501))
    document = json.loads(explain("--endpoint", str(config), "--until", "50y", "--json").output)
    reasons = [change["reason"] for change in document["changes"]]
    assert sorted(set(reasons)) == ["cert-expired", "crl-stale"]
    assert [change["at"] for change in document["changes"]] == sorted(change["at"] for change in document["changes"])
    assert reasons[0] == "crl-stale"
    shown = explain("--endpoint", str(config), "--until", "50y").output
    assert "crl-stale (first)" in shown
    assert "nothing of alice ends" in explain("--endpoint", str(config), "--until", "1d").output


def test_a_certificate_is_judged_under_a_connection(tmp_path: Path) -> None:
    from tests.daemon.endpoints import Ca, write_config

    ca, other = Ca.create(), Ca.create()
    store = ca.enrol(tmp_path / "state" / "alice", "alice")
    other.enrol(tmp_path / "state" / "mallory", "bob").close()
    ca.enrol(tmp_path / "state" / "bob", "bob").close()
    store.load(ca.crl(), crl="north")
    store.close()
    config = write_config(tmp_path, "alice", "bob", address="127.0.0.1", listen=(5500, 5501))
    for authority, code, reason in ((ca, 0, None), (other, 1, "cert-bad-signature")):
        leaf = tmp_path / "leaf.der"
        leaf.write_bytes(authority.issued["bob"])
        said = explain(str(leaf), "--connection", "bob", "--endpoint", str(config), "--json")
        assert said.exit_code == code, said.output
        assert json.loads(said.output)["reason"] == reason
    assert explain(str(leaf), "--connection", "nobody", "--endpoint", str(config)).exit_code == 3
    assert explain("--connection", "bob", "--endpoint", str(config)).exit_code == 3
