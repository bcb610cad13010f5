"""`ikesim ca`: a lab's hierarchy from nothing or from a declaration, judged by OpenSSL, served over HTTP."""

import json
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ikesim
from tests.pki.openssl import openssl, text
from tests.support import REPOSITORY

HIERARCHY = """
url = "http://127.0.0.1:8080"

[ca.north]
subject = "C=CH, O=North, CN=North Root"
key = "ecdsa-p384"
path-length = 1
[ca.north-issuing]
issuer = "north"
path-length = 0
responder = true
permitted = ["fqdn:example"]
[ca.north-new]
same-name-as = "north"
[ca.south]
key = "ed25519"
days = 100
[cross.north-by-south]
of = "north"
issuer = "south"
[leaf.bob]
issuer = "north-issuing"
san = ["fqdn:bob.example", "ipv4:192.0.2.2"]
extended-key-usage = ["ipsecIKE"]
[leaf.expired]
issuer = "south"
not-before = "-40d"
not-after = "-1d"
[leaf.future]
issuer = "south"
not-before = "+1d"
not-after = "2099-12-31T23:59:59Z"
[leaf.odd]
issuer = "south"
critical = "1.2.3.4"
key-usage = false
[leaf.revoked]
issuer = "north-issuing"
revoked = "key-compromise"
revoked-at = "-2d"
[leaf.forged]
issuer = "south"
signing-key = "north"
[crl.north]
days = 30
number = 17
[crl.south]
this-update = "-9d"
next-update = "-2d"
"""


class Lab:
    """Commands on the folder `lab`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, name: str) -> Path:
        return self.folder / "lab" / name

    def run(self, command: str, *arguments: str | Path, code: int = 0) -> str:
        where = ("lab",) if command == "init" else ("--dir", "lab")
        done = ikesim("ca", command, *arguments, *where, cwd=self.folder)
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        if code:
            assert done.stdout == ""
            return done.stderr
        return done.stdout

    def json(self, command: str, *arguments: str | Path) -> Any:
        return json.loads(self.run(command, *arguments, "--json"))

    def verify(self, leaf: str | Path, root: str, *between: str) -> str:
        untrusted = [part for name in between for part in ("-untrusted", self / name)]
        done = openssl("verify", "-x509_strict", "-CAfile", self / root, *untrusted, self.folder / leaf)
        return "OK" if done.returncode == 0 else done.stderr.decode()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def declared(lab: Lab) -> Lab:
    (lab.folder / "hierarchy.toml").write_text(HIERARCHY)
    lab.run("init", "--declare", "hierarchy.toml")
    return lab


def test_tg_01_one_root_issues_revokes_and_publishes(lab: Lab) -> None:
    made = lab.json("init")
    assert (made["authorities"], made["files"]) == (["root"], ["lab/root.crl", "lab/root.pem"])
    leaf = lab.json("issue", "bob", "--san", "fqdn:bob.example", "--days", "30", "--key-out", "bob.key")
    assert lab.verify("lab/bob.pem", "root.pem") == "OK"
    assert (leaf["san"], leaf["ca"], leaf["key_file"]) == (["fqdn:bob.example"], "root", "bob.key")
    key = lab.folder / "bob.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    public = openssl("pkey", "-in", key, "-pubout").stdout
    assert openssl("x509", "-in", lab / "bob.pem", "-noout", "-pubkey").stdout == public
    assert lab.json("revoke", "bob", "--reason", "superseded")["state"] == "revoked"
    assert leaf["serial"][2:].upper() not in _crl(lab / "root.crl")
    assert lab.json("crl")["crls"] == [{"ca": "root", "file": "lab/root.crl", "number": 2, "entries": 1}]
    shown = _crl(lab / "root.crl")
    assert leaf["serial"][2:].upper() in shown
    assert "Superseded" in shown
    (entry,) = [one for one in lab.json("ls")["authorities"][0]["issued"] if one["name"] == "bob"]
    assert (entry["serial"], entry["revoked"]) == (leaf["serial"], True)


def _crl(path: Path) -> str:
    return text("crl", path.read_bytes())


def test_a_request_of_an_endpoint_is_signed_with_the_chain(declared: Lab) -> None:
    for form, suffix in (("pem", "csr"), ("der", "der")):
        request = openssl("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", declared.folder / "device.key",
                          "-subj", "/CN=device", "-addext", "subjectAltName=DNS:device.example",
                          "-outform", form).stdout  # fmt: skip
        (declared.folder / f"device.{suffix}").write_bytes(request)
        declared.run("sign", f"device.{suffix}", "--issuer", "north-issuing", "--out", f"{form}.pem")
        assert declared.verify(f"{form}.pem", "north.pem", "north-issuing.pem") == "OK"
        written = (declared.folder / f"{form}.pem").read_bytes()
        assert written.count(b"BEGIN CERTIFICATE") == 2, "the leaf and its issuer, without the root"
        shown = openssl("x509", "-in", declared.folder / f"{form}.pem", "-noout", "-text").stdout.decode()
        assert "Subject: CN = device\n" in shown
        assert "DNS:device.example" in shown
        assert "URI:http://127.0.0.1:8080/north-issuing.crl" in shown
    declared.run("revoke", "device")


def test_on_hold_is_taken_back(lab: Lab) -> None:
    lab.run("init")
    lab.run("issue", "bob")
    assert lab.json("revoke", "bob", "--reason", "certificate-hold")["state"] == "on hold"
    lab.run("crl")
    assert "Certificate Hold" in _crl(lab / "root.crl")
    assert lab.json("revoke", "bob", "--undo")["state"] == "not revoked"
    lab.run("crl", "--days", "1")
    assert "No Revoked Certificates" in _crl(lab / "root.crl")
    assert "is not revoked by root" in lab.run("revoke", "bob", "--undo", code=3)


def test_a_hierarchy_is_made_as_it_was_declared(declared: Lab) -> None:
    assert declared.verify("lab/bob.pem", "north.pem", "north-issuing.pem") == "OK"
    assert declared.verify("lab/bob.pem", "south.pem", "north-by-south.pem", "north-issuing.pem") == "OK"
    assert "unable to get" in declared.verify("lab/bob.pem", "south.pem", "north-issuing.pem")
    assert "certificate has expired" in declared.verify("lab/expired.pem", "south.pem")
    assert "certificate is not yet valid" in declared.verify("lab/future.pem", "south.pem")
    assert "unhandled critical extension" in declared.verify("lab/odd.pem", "south.pem")
    assert declared.verify("lab/forged.pem", "south.pem") != "OK"
    old, new = (
        openssl("x509", "-in", declared / name, "-noout", "-subject", "-pubkey").stdout.decode().partition("\n")
        for name in ("north.pem", "north-new.pem")
    )
    assert old[0] == new[0] == "subject=C = CH, O = North, CN = North Root"
    assert old[2] != new[2]
    assert "Key Compromise" in _crl(declared / "north-issuing.crl")
    north, south = _crl(declared / "north.crl"), _crl(declared / "south.crl")
    assert "X509v3 CRL Number: \n                17" in north
    stale = openssl("crl", "-inform", "DER", "-in", declared / "south.crl", "-noout", "-nextupdate").stdout
    assert b"nextUpdate=" in stale
    assert "Signature Algorithm: ED25519" in south
    assert "Not After : Dec 31 23:59:59 2099 GMT" in _certificate(declared / "future.pem")
    assert "Key Usage" not in _certificate(declared / "odd.pem")


def _certificate(path: Path) -> str:
    return openssl("x509", "-in", path, "-noout", "-text").stdout.decode()


def test_every_fault_of_a_declaration_is_reported_at_once_and_nothing_is_made(lab: Lab) -> None:
    (lab.folder / "bad.toml").write_text(
        'url = "ftp://x"\n[ca.x]\nissuer = "y"\nfoo = 1\nnot-after = "tomorrow"\n'
        '[leaf.z]\nissuer = "x"\nrevoked = "whim"\nkey-usage = 3\nserial = "1"\ntamper = 1\nsubject-key-id = "xyz"\n'
        "[cross.c]\n[crl.nobody]\n[zap]\n"
    )
    lines = lab.run("init", "--declare", "bad.toml", code=2).splitlines()
    places = {line.split(": ")[2] for line in lines}
    assert places == {
        "url", "zap", "ca.x.issuer", "ca.x.foo", "ca.x.not-after", "leaf.z.revoked", "leaf.z.key-usage",
        "leaf.z.serial", "leaf.z.tamper", "leaf.z.subject-key-id", "cross.c.of", "cross.c.issuer", "crl.nobody",
    }  # fmt: skip
    assert not (lab / "ca.json").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[ca.x]\nissuer = "y"\n[ca.y]\nissuer = "x"\n', "ca.x.issuer: leads back to itself"),
        ("", "ca: has no authority: add [ca.NAME]"),
        ("[ca.x\n", "is not TOML"),
        ('[ca.x]\nkey = "dsa"\n', "ca.x: key type 'dsa' is not one of"),
        ('[ca.x]\nsubject = "x"\n', "ca.x: 'x' in the name 'x' is not TYPE=VALUE"),
        ('[ca."a/b"]\n', "cannot be a name"),
        ('[ca.x]\n[leaf.y]\nsan = ["bob"]\n', "leaf.y: 'bob' is not a name"),
    ],
)
def test_a_declaration_that_cannot_be_made_says_where(lab: Lab, content: str, words: str) -> None:
    (lab.folder / "bad.toml").write_text(content)
    assert words in lab.run("init", "--declare", "bad.toml", code=2)
    lab.run("init")


def test_errors_are_one_sentence_with_their_exit_code(lab: Lab) -> None:
    assert "ikesim ca init lab makes one" in lab.run("ls", code=3)
    assert "absent.toml does not exist" in lab.run("init", "--declare", "absent.toml", code=3)
    lab.run("init", "--name", "north", "--key", "rsa-2048", "--subject", "CN=N", "--url", "http://127.0.0.1:1/")
    assert "URI:http://127.0.0.1:1/north.crl" not in _certificate(lab / "north.pem")
    lab.run("issue", "bob.example")
    shown = _certificate(lab / "bob.example.pem")
    assert "DNS:bob.example" in shown
    assert "URI:http://127.0.0.1:1/north.crl" in shown
    assert "OCSP - URI:http://127.0.0.1:1/ocsp/north" in shown
    for arguments, code, words in (
        (("init",), 2, "holds a lab's authorities already"),
        (("issue", "bob.example"), 2, "choose another name"),
        (("issue", "carol", "--issuer", "west"), 3, "it has north"),
        (("issue", "carol", "--san", "carol"), 2, "is not a name"),
        (("issue", "carol", "--key-out", "absent/k"), 2, "cannot be written"),
        (("sign", "lab/north.pem", "--out", "x"), 2, "is not a certificate request"),
        (("sign", "absent", "--out", "x"), 3, "does not exist"),
        (("revoke", "nobody"), 3, "issued nothing named nobody"),
        (("revoke", "north"), 2, "is a root: nobody can revoke it"),
        (("revoke", "bob.example", "--reason", "whim"), 2, "is not one of"),
        (("crl", "--ca", "west"), 3, "it has north"),
        (("serve", "--listen", "nowhere"), 2, "is not ADDRESS:PORT"),
        (("serve", "--listen", "192.0.2.1:80"), 2, "can listen on"),
    ):
        said = lab.run(*arguments, code=code).splitlines()
        assert len(said) == 1, said
        assert words in said[0], said
    assert [one["name"] for one in lab.json("ls")["authorities"][0]["issued"]] == ["north", "bob.example"]


def test_the_keys_of_a_lab_are_private(declared: Lab) -> None:
    assert stat.S_IMODE((declared / "keys").stat().st_mode) == 0o700
    files = [*(declared / "keys").iterdir(), *(declared.folder / "lab").glob("*.key"), declared / "ca.json"]
    assert len(files) > 5
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@contextmanager
def serving(lab: Lab) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ikesim", "ca", "serve", "--dir", "lab", "--listen", "127.0.0.1:0"],
        cwd=lab.folder,
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("serving lab at http://127.0.0.1:"), first + process.communicate()[1]
        yield first.split()[3], process
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


def _get(url: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", error.read()


def test_serve_publishes_certificates_crls_and_ocsp_as_they_stand(declared: Lab) -> None:
    with serving(declared) as (url, _):
        assert _get(url + "north.crl") == (200, "application/pkix-crl", (declared / "north.crl").read_bytes())
        status, kind, der = _get(url + "bob.der")
        assert (status, kind) == (200, "application/pkix-cert")
        assert openssl("x509", "-inform", "DER", octets=der).stdout in (declared / "bob.pem").read_bytes()
        assert _get(url + "bob.pem")[2] == (declared / "bob.pem").read_bytes()
        for secret in (
            "bob.key",
            "ca.json",
            "keys/north.pem",
            "keys%2fnorth.pem",
            "..%2fhierarchy.toml",
            "lock",
            ".new",
        ):
            assert _get(url + secret)[0] == 404, secret
        asked = {name: _ocsp(declared, url, name) for name in ("bob", "revoked")}
        assert "bob.pem: good" in asked["bob"]
        assert "revoked.pem: revoked" in asked["revoked"]
        assert "Reason: keyCompromise" in asked["revoked"]
        declared.run("revoke", "bob")
        assert "bob.pem: revoked" in _ocsp(declared, url, "bob"), "OCSP answers from the records as they stand"
        published = _get(url + "north-issuing.crl")[2]
        assert text("crl", published).count("Serial Number") == 1, "a CRL changes when it is published"
        declared.run("crl", "--ca", "north-issuing")
        assert text("crl", _get(url + "north-issuing.crl")[2]).count("Serial Number") == 2
        for resource in ("ocsp/west/MAA=", "ocsp/north"):
            assert _get(url + resource)[0] in (404, 405)
        garbage = _get(url + "ocsp/north/MAA=")
        assert (garbage[0], garbage[2]) == (200, b"\x30\x03\x0a\x01\x01"), "malformedRequest (RFC 6960 4.2.1)"


def _ocsp(lab: Lab, url: str, name: str) -> str:
    done = openssl("ocsp", "-issuer", lab / "north-issuing.pem", "-cert", lab / f"{name}.pem",
                   "-url", f"{url}ocsp/north-issuing", "-CAfile", lab / "north.pem",
                   "-verify_other", lab / "north-issuing.pem")  # fmt: skip
    said = (done.stdout + done.stderr).decode()
    assert "Response verify OK" in said, said
    return said
