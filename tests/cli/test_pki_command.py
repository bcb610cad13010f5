"""`ikesim pki`, as somebody types it: a new endpoint from nothing, and every way to be told what is wrong."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from ikesim.pki.authority import Authority
from ikesim.pki.keys import make_key
from tests.cli.command import ikesim
from tests.pki.openssl import openssl, strongswan_pki
from tests.pki.store_world import NOW

CONFIG = """
[endpoint]
name = "alice"
listen = ["127.0.0.1:5500"]
listen-nat-t = ["127.0.0.1:5501"]
state = "state/alice"
[pki.ca-profile.north]
ca-identity = "north.example"
administrator-email = "pki@north.example"
[pki.ca-profile.south]
ca-identity = "south.example"
revocation-check = { method = "disable" }
[pki.trusted-ca-group.partners]
ca-profiles = ["north"]
[connection.bob]
remote = "127.0.0.2:5500"
remote-nat-t = "127.0.0.2:5501"
local-id = "fqdn:alice.example"
remote-id = "fqdn:bob.example"
local-certificate = "alice"
trusted-ca-group = "partners"
[connection.bob.child.net]
local-ts = ["10.1.0.0/24"]
remote-ts = ["10.2.0.0/24"]
"""


class Shell:
    """Commands in a folder that has alice.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "alice.toml").write_text(CONFIG)

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """One `ikesim pki` command; what it printed. An error is one sentence on stderr."""
        done = ikesim("pki", *arguments, "--endpoint", "alice.toml", cwd=self.folder)
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        if code not in (0, 1):
            assert done.stdout == ""
            (line,) = done.stderr.splitlines()
            assert line.startswith("ikesim: ")
            return line.removeprefix("ikesim: ")
        return done.stdout

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """The document of one command."""
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def swan(shell: Shell) -> "Swan":
    return Swan(shell.folder)


class Swan:
    """A CA that is not ours: strongSwan's `pki`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ca.key").write_bytes(strongswan_pki("--gen", "--type", "ecdsa", "--size", "256"))
        dn = "C=CH, O=North, CN=North Root"
        self.write("north.pem", "--self", "--in", folder / "ca.key", "--type", "ecdsa", "--dn", dn, "--ca")
        self.signer = ("--cacert", folder / "north.pem", "--cakey", folder / "ca.key")
        self.write("north.crl", "--signcrl", *self.signer)

    def write(self, name: str, *arguments: str | Path) -> None:
        (self.folder / name).write_bytes(strongswan_pki(*arguments, "--outform", "pem"))

    def sign(self, csr: str, out: str) -> None:
        self.write(out, "--issue", *self.signer, "--type", "pkcs10", "--in", self.folder / csr)


def test_min_04_a_new_endpoint_from_nothing_and_check_names_the_next_command(shell: Shell, swan: Swan) -> None:
    """Every command that `check` names is the one that helps; MIN-01 and MIN-02 end as ok, MIN-03 is told."""
    first = shell.json("check", code=1)
    assert not first["ready"]
    missing = {item["id"]: item for item in first["items"] if item["status"] == "missing"}
    assert set(missing) == {"MIN-01", "MIN-02"}
    assert missing["MIN-01"]["reason"] == "ca-certificate-missing"
    assert "ikesim pki load FILE --ca north --endpoint alice.toml" in missing["MIN-01"]["message"]
    assert "ikesim pki key generate alice --type ecdsa --endpoint alice.toml" in missing["MIN-02"]["message"]

    said = shell.run("key", "generate", "alice", "--type", "ecdsa")
    assert "Generated key pair alice, key size 256 bits" in said
    shell.run("request", "alice", "--subject", "CN=alice", "--fqdn", "alice.example", "--out", "alice.csr")
    done = openssl("req", "-verify", "-noout", "-in", shell.folder / "alice.csr")
    assert b"verify OK" in done.stderr
    pending = shell.json("check", code=1)["items"]
    reasons = [item["reason"] for item in pending if item["id"] == "MIN-02"]
    assert reasons == ["local-certificate-pending"]

    swan.sign("alice.csr", "alice.pem")
    assert "replaces the pending certificate" in shell.run("load", "alice.pem", "--as", "alice")
    assert "fingerprint" in shell.run("load", "north.pem", "--ca", "north")
    assert "is held for profile north" in shell.run("load", "north.crl", "--crl", "north")
    last = shell.json("check")
    assert last["ready"]
    assert {(item["id"], item["subject"]): item["status"] for item in last["items"]} == {
        ("MIN-01", ""): "ok",
        ("MIN-02", ""): "ok",
        ("MIN-03", "north"): "ok",
        ("MIN-03", "south"): "note",
    }


def test_min_02_an_identity_that_the_certificate_does_not_prove_is_named(shell: Shell, swan: Swan) -> None:
    shell.run("key", "generate", "alice")
    shell.run("request", "alice", "--subject", "CN=alice", "--fqdn", "other.example", "--out", "alice.csr")
    swan.sign("alice.csr", "alice.pem")
    shell.run("load", "alice.pem")
    shell.run("load", "north.pem", "--ca", "north")
    (item,) = [item for item in shell.json("check", code=1)["items"] if item["status"] == "missing"]
    assert (item["id"], item["reason"]) == ("MIN-02", "local-id-not-in-certificate")
    assert "fqdn:alice.example" in item["message"]


def test_min_03_revocation_that_is_off_is_visible(shell: Shell) -> None:
    lines = ikesim("pki", "check", "--endpoint", "alice.toml", cwd=shell.folder).stdout.splitlines()
    assert (
        "MIN-03  note     the revocation check of CA profile south is off (revocation-check.method = disable)"
        in lines
    )


def test_id_04_lists_and_details_begin_with_the_identifier(shell: Shell, swan: Swan) -> None:
    shell.run("key", "generate", "alice", "--type", "ed25519")
    shell.run("request", "alice", "--subject", "CN=alice", "--fqdn", "alice.example", "--out", "alice.csr")
    listed = shell.json("ls")
    assert [(one["name"], one["class"], one["subject"]) for one in listed["certificates"]] == [
        ("alice", "pending", "CN=alice")
    ]
    swan.sign("alice.csr", "alice.pem")
    shell.run("load", "alice.pem")
    shell.run("load", "north.pem", "--ca", "north")
    shell.run("load", "north.crl")
    listed = shell.json("ls")
    assert [(one["name"], one["class"]) for one in listed["certificates"]] == [("alice", "local"), ("north", "ca")]
    assert [(one["id"], one["type"]) for one in listed["key_pairs"]] == [("alice", "ed25519")]
    assert [(one["profile"], one["number"], one["fetched"]) for one in listed["crls"]] == [("north", 1, False)]
    assert "  alice  local  CN=alice" in shell.run("ls")
    assert shell.run("show", "alice").splitlines()[0] == "Certificate identifier: alice"
    detail = shell.json("show", "alice")
    serial = openssl("x509", "-in", shell.folder / "alice.pem", "-noout", "-serial").stdout.decode().strip()
    assert int(detail["serial"], 16) == int(serial.removeprefix("serial="), 16)
    assert detail["san"] == ["fqdn:alice.example"]
    assert detail["issuer"] == "C=CH, O=North, CN=North Root"
    assert detail["origin"]["subject"] == "CN=alice"
    assert detail["loaded"]["source"] == "alice.pem"
    assert shell.json("show", "--ca", "north")["subject"] == "C=CH, O=North, CN=North Root"
    fingerprint = openssl("x509", "-in", shell.folder / "north.pem", "-noout", "-fingerprint", "-sha256").stdout
    expected = fingerprint.decode().strip().partition("=")[2].replace(":", "").lower()
    assert shell.json("show", "--ca", "north")["fingerprint"] == f"sha256:{expected}"
    assert len(shell.json("show", "--crl", "north")["crls"]) == 1


def test_lc_01_a_local_certificate_shows_subject_names_and_key(shell: Shell, swan: Swan) -> None:
    shell.run("key", "generate", "alice", "--type", "rsa", "--size", "3072")
    shell.run("request", "alice", "--subject", "O=Org, CN=alice", "--email", "a@example.org", "--ip", "192.0.2.1",
              "--ip", "2001:db8::1", "--out", "alice.der", "--format", "der")  # fmt: skip
    swan.sign("alice.der", "alice.pem")
    shell.run("load", "alice.pem", "--as", "alice")
    lines = shell.run("show", "alice").splitlines()
    assert "Issued to: O=Org, CN=alice" in lines
    assert "Alternate subject: rfc822:a@example.org, ipv4:192.0.2.1, ipv6:2001:db8::1" in lines
    assert "Public key algorithm: rsa (3072 bits)" in lines


def test_pc_02_the_request_is_given_as_pem_and_der_and_again(shell: Shell) -> None:
    shell.run("key", "generate", "alice")
    text = shell.run("request", "alice", "--subject", "CN=alice")
    assert text.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert shell.run("request", "alice") == text
    shell.run("request", "alice", "--out", "again.der", "--format", "der")
    assert openssl("req", "-inform", "DER", "-in", shell.folder / "again.der").stdout.decode() == text
    document = shell.json("request", "alice", "--out", "again.pem")
    assert (document["request"], document["file"]) == (text, "again.pem")
    assert (shell.folder / "again.pem").read_text() == text


def test_pf_03_a_request_becomes_a_message_to_the_administrator_of_the_ca(shell: Shell) -> None:
    shell.run("key", "generate", "alice")
    mail = shell.run("request", "alice", "--subject", "CN=alice", "--mail", "north")
    headers, _, body = mail.partition("\n\n")
    assert "To: pki@north.example" in headers.splitlines()
    assert "-----BEGIN CERTIFICATE REQUEST-----" in body
    assert "administrator-email" in shell.run("request", "alice", "--mail", "south", code=2)
    assert "[pki.ca-profile.west]" in shell.run("request", "alice", "--mail", "west", code=3)


def test_id_01_id_03_names_are_unique_until_removed(shell: Shell) -> None:
    shell.run("key", "generate", "alice")
    assert "ikesim pki rm alice" in shell.run("key", "generate", "alice", code=2)
    assert shell.json("rm", "alice") == {"name": "alice", "removed": ["key-pair"]}
    shell.run("key", "generate", "alice")
    shell.run("request", "alice", "--subject", "CN=alice")
    assert "already waits" in shell.run("request", "alice", "--subject", "CN=alice", code=2)
    assert shell.json("rm", "alice", "--kind", "certificate-request")["removed"] == ["certificate-request"]
    shell.run("request", "alice", "--subject", "CN=alice")
    assert shell.json("rm", "alice")["removed"] == ["certificate-request", "key-pair"]
    assert shell.json("ls")["certificates"] == []


def test_cp_02_a_pkcs12_file_ends_with_4_and_the_promised_sentence(shell: Shell) -> None:
    key = make_key("ecdsa")
    octets = pkcs12.serialize_key_and_certificates(
        b"alice",
        key,  # type: ignore[arg-type] # an EC key
        None,
        None,
        BestAvailableEncryption(b"x"),
    )
    (shell.folder / "alice.p12").write_bytes(octets)
    words = shell.run("load", "alice.p12", code=4)
    assert words == (
        "alice.p12 is a PKCS#12 file (certificate and private key). ikesim, like Junos, never imports a private key: "
        "create the key here (ikesim pki key generate ID), send its request to the CA, load the certificate it "
        "returns. Nothing was stored."
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (shell.folder / "alice.pem").write_bytes(pem)
    document = json.loads(
        ikesim("pki", "load", "alice.pem", "--endpoint", "alice.toml", "--json", cwd=shell.folder).stdout
    )
    assert document["exit_code"] == 4
    assert shell.json("ls") == {"endpoint": "alice", "key_pairs": [], "certificates": [], "crls": []}


def test_kp_02_kp_04_nothing_takes_a_private_key_and_a_foreign_certificate_is_not_local(
    shell: Shell, swan: Swan
) -> None:
    assert "a file with a private key in it" in shell.run("load", _pem(shell, "ca.key"), code=4)
    shell.run("key", "generate", "alice")
    assert "KP-04" in shell.run("load", "north.pem", "--as", "alice", code=4)
    assert "key pair is named bob" in shell.run("load", "north.pem", "--as", "bob", code=3)


def _pem(shell: Shell, name: str) -> str:
    done = openssl("pkey", "-inform", "DER", "-in", shell.folder / name)
    (shell.folder / "key.pem").write_bytes(done.stdout)
    return "key.pem"


def test_pf_01_a_ca_certificate_needs_a_profile_of_the_configuration(shell: Shell, swan: Swan) -> None:
    assert "load it with --ca north|south" in shell.run("load", "north.pem", code=2)
    assert "add [pki.ca-profile.west]" in shell.run("load", "north.pem", "--ca", "west", code=3)
    assert "add [pki.ca-profile.west]" in shell.run("load", "north.crl", "--crl", "west", code=3)
    assert shell.json("ls")["certificates"] == []


def test_ca_02_warnings_go_to_stderr_and_into_the_document(shell: Shell) -> None:
    key = shell.folder / "leaf.key"
    key.write_bytes(strongswan_pki("--gen", "--type", "ed25519"))
    leaf = strongswan_pki("--self", "--in", key, "--type", "ed25519", "--dn", "CN=leaf", "--outform", "pem")
    (shell.folder / "leaf.pem").write_bytes(leaf)
    done = ikesim("pki", "load", "leaf.pem", "--ca", "north", "--endpoint", "alice.toml", cwd=shell.folder)
    assert (done.returncode, done.stderr.startswith("warning: ")) == (0, True)
    assert "CA-02" in done.stderr
    shell.run("rm", "--ca", "north")
    assert any("CA-02" in one for one in shell.json("load", "leaf.pem", "--ca", "north")["warnings"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "nobody"], 3, "ikesim pki ls lists what there is"),
        (["show", "--ca", "north"], 3, "no CA certificate of profile north"),
        (["show", "--crl", "north"], 3, "no CRL of profile north"),
        (["show"], 2, "name one thing"),
        (["rm", "alice", "--ca", "north"], 2, "name one thing"),
        (["rm", "nobody"], 3, "no PKI object is named nobody"),
        (["rm", "--crl", "north"], 3, "no CRL is held for profile north"),
        (["load", "absent.pem"], 3, "absent.pem does not exist"),
        (["load", "alice.toml"], 2, "neither a certificate nor a CRL"),
        (["load", "alice.toml", "--as", "a", "--ca", "b"], 2, "neither a certificate nor a CRL"),
        (["request", "nobody", "--subject", "CN=x"], 3, "ikesim pki key generate nobody"),
        (["request", "nobody"], 3, "--subject DN"),
        (["request", "nobody", "--fqdn", "x"], 2, "add --subject DN"),
        (["request", "nobody", "--subject", "CN=x", "--format", "der"], 2, "add --out FILE"),
        (["key", "generate", "a/b"], 2, "cannot be a certificate-ID"),
        (["key", "generate", "a", "--size", "512"], 2, "256, 384 or 521"),
        (["key", "generate", "a", "--type", "rsa", "--size", "1024"], 2, "2048 to 8192"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_sentence_with_their_exit_code(
    shell: Shell, arguments: list[str], code: int, words: str
) -> None:
    assert words in shell.run(*arguments, code=code)


def test_names_that_a_peer_chose_cannot_move_the_cursor(shell: Shell) -> None:
    evil = Authority.create("evil", now=NOW, subject="CN=a\x1b[2Jb\u202ec")
    (shell.folder / "evil.der").write_bytes(evil.certificate)
    for said in (
        shell.run("load", "evil.der", "--ca", "north"),
        shell.run("ls"),
        shell.run("show", "--ca", "north"),
    ):
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "a" in said


def test_st_02_st_03_the_store_is_apart_from_the_configuration_and_outlives_it(shell: Shell, swan: Swan) -> None:
    shell.run("key", "generate", "alice")
    shell.run("load", "north.pem", "--ca", "north")
    partition = shell.folder / "state/alice/pki"
    before = _hashes(partition)
    (shell.folder / "alice.toml").unlink()
    (shell.folder / "alice.toml").write_text(CONFIG.replace("north", "other"))
    shell.run("ls")
    assert _hashes(partition) == before
    key = (partition / "keys/alice.key").read_bytes()[-32:]
    for file in shell.folder.glob("*.toml"):
        assert key not in file.read_bytes()


def test_st_04_an_open_state_folder_is_refused_with_the_command_that_closes_it(shell: Shell) -> None:
    shell.run("key", "generate", "alice")
    state = shell.folder / "state/alice"
    state.chmod(0o755)
    assert f"chmod 700 {state}" in shell.run("ls", code=2)
    state.chmod(0o700)
    key = state / "pki/keys/alice.key"
    key.chmod(0o644)
    assert f"chmod 600 {key}" in shell.run("ls", code=2)


def test_a_state_path_of_150_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 60)
    folder.mkdir(parents=True)
    shell = Shell(folder)
    shell.run("key", "generate", "alice")
    assert len(shell.json("ls")["key_pairs"]) == 1


def test_an_output_file_that_cannot_be_written_is_named_and_the_request_kept(shell: Shell) -> None:
    shell.run("key", "generate", "alice")
    words = shell.run("request", "alice", "--subject", "CN=alice", "--out", "absent/alice.csr", code=2)
    assert "absent/alice.csr cannot be written" in words
    shell.run("request", "alice", "--out", "alice.csr")


def test_kp_03_no_command_prints_a_private_key(shell: Shell) -> None:
    shell.run("key", "generate", "alice", "--type", "ed25519")
    shell.run("request", "alice", "--subject", "CN=alice", "--out", "alice.csr")
    secret = (shell.folder / "state/alice/pki/keys/alice.key").read_bytes()[-32:]
    public = x509.load_pem_x509_csr((shell.folder / "alice.csr").read_bytes()).public_key()
    assert Ed25519PrivateKey.from_private_bytes(secret).public_key() == public, "this is the key to look for"
    for command in (["ls"], ["show", "alice"], ["request", "alice"], ["check"], ["rm", "alice"]):
        for more in ([], ["--json"]):
            done = ikesim("pki", *command, "--endpoint", "alice.toml", *more, cwd=shell.folder)
            assert done.stdout or done.stderr
            for text in (done.stdout, done.stderr):
                assert secret.hex() not in text.lower()
                assert base64.b64encode(secret).decode()[:40] not in text
                assert repr(secret)[2:-1] not in text


def _hashes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
