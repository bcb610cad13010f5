"""Junos' words as they stand in a runbook: the same handlers, Junos' fields in Junos' order, shortened words."""

import importlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner

from ikesim.cli import progress
from ikesim.cli.junos_words import ROWS, VERBS
from ikesim.cli.main import cli
from ikesim.pki.authority import Authority
from tests.cli.command import Daemon, ikesim, running
from tests.cli.test_daemon_commands import Site
from tests.cli.test_pki_command import CONFIG, Swan
from tests.pki.openssl import openssl


class Router:
    """A folder with alice.toml, and Junos' words typed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "alice.toml").write_text(CONFIG)

    def type(self, words: str, *more: str, code: int = 0) -> str:
        """What a line prints; for an error the sentence."""
        done = CliRunner().invoke(cli, [*words.split(), *more], env={"IKESIM_ENDPOINT": "alice.toml"})
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout if code in (0, 1) else done.stderr

    def json(self, words: str, *more: str) -> Any:
        return json.loads(self.type(words, *more, "--json"))

    def enrol(self, swan: Swan, name: str = "alice") -> None:
        """A local certificate, its CA and a CRL, in Junos' words only."""
        pki = "request security pki"
        self.type(f"{pki} generate-key-pair certificate-id {name} size 256 type ecdsa")
        self.type(
            f"{pki} generate-certificate-request certificate-id {name} domain-name {name}.example "
            f"email pki@{name}.example ip-address 192.0.2.1 filename {name}.csr subject",
            f"C=CH,O=Org A,OU=Lab,CN={name}",
        )
        swan.sign(f"{name}.csr", f"{name}.pem")
        self.type(f"{pki} local-certificate load certificate-id {name} filename {name}.pem")


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Router:
    monkeypatch.chdir(tmp_path)
    return Router(tmp_path)


@pytest.fixture
def swan(router: Router) -> Swan:
    return Swan(router.folder)


def test_a_runbook_from_key_pair_to_verified_certificate(router: Router, swan: Swan) -> None:
    said = router.type("request security pki generate-key-pair certificate-id alice")
    assert said.splitlines()[0] == "Generated key pair alice, key size 2048 bits", "Junos' default is RSA 2048"
    router.type("clear security pki key-pair certificate-id alice")
    router.enrol(swan)
    router.type("request security pki ca-certificate load ca-profile north filename north.pem")
    router.type("request security pki crl load ca-profile north filename north.crl")
    assert "north: verified successfully" in router.type(
        "request security pki ca-certificate verify ca-profile north"
    )
    said = router.type("request security pki local-certificate verify certificate-id alice")
    assert said.startswith("alice: verified successfully: Accepted: ")
    tree = router.type("pki verify alice --explain")
    assert "[held]: RFC 5280 6.3.3" in tree
    assert "revocation   outcome good, ceiling good" in tree


def test_id_04_words_and_keywords_may_be_shortened_and_the_identifier_comes_first(router: Router, swan: Swan) -> None:
    router.enrol(swan)
    full = router.type("show security pki local-certificate detail certificate-id alice")
    assert full.splitlines()[0] == "Certificate identifier: alice"
    assert router.type("show security pki local-certificate").splitlines()[0] == "Certificate identifier: alice"
    for short in (
        "sh sec pki local det",
        "sho secu pk l d cert alice",
        "show security pki local-c certificate alice de",
    ):
        assert router.type(short) == full
    assert next(iter(router.json("sh sec pki local")["x509-pki-certificate-info-list"].values()))[0][
        "identifier"
    ] == ("alice")


def test_the_fields_of_a_local_certificate_in_junos_order_as_openssl_reads_them(router: Router, swan: Swan) -> None:
    router.enrol(swan)
    lines = router.type("show security pki local-certificate").splitlines()
    assert [line.partition(":")[0].strip() for line in lines if line] == [
        "Certificate identifier", "Issued to", "Validity", "Not before", "Not after", "Public key algorithm",
        "Keypair Location",
    ]  # fmt: skip
    assert "  Issued to: alice, Issued by: C=CH, O=North, CN=North Root" in lines
    detail = router.type("show security pki local-certificate detail").splitlines()
    labels = [line.strip().partition(":")[0] for line in detail if line.startswith("  ") and line[2] != " "]
    assert labels[:13] == [
        "Certificate version", "Serial number", "Issuer", "Subject", "Subject string", "Alternate subject",
        "Validity", "Public key algorithm", "Signature algorithm", "Use for key", "Fingerprint", "Auto-re-enrollment",
        "Keypair Location",
    ]  # fmt: skip
    text = "\n".join(detail)
    assert "Organization: Org A, Organizational unit: Lab, Country: CH, Common name: alice" in text
    assert "Alternate subject: pki@alice.example, alice.example, 192.0.2.1, ipv6 empty" in text
    for option, shape in (("-sha1", "{} (sha1)"), ("-sha256", "{} (sha256)"), ("-md5", "{} (md5)")):
        printed = openssl("x509", "-in", router.folder / "alice.pem", "-noout", "-fingerprint", option).stdout
        assert shape.format(printed.decode().strip().partition("=")[2].lower()) in text
    serial = openssl("x509", "-in", router.folder / "alice.pem", "-noout", "-serial").stdout.decode().strip()
    assert f"hexadecimal: 0x{serial.partition('=')[2].lower()}" in text
    dates = openssl("x509", "-in", router.folder / "alice.pem", "-noout", "-enddate", "-dateopt", "iso_8601").stdout
    year, month, rest = dates.decode().partition("=")[2].split("-", 2)
    assert f"    Not after: {month}-{rest[:2]}-{year} {rest[3:8]} UTC" in detail


def test_json_and_xml_carry_junos_leaves_and_the_pipe_asks_for_them(router: Router, swan: Swan) -> None:
    router.enrol(swan)
    router.type("request security pki ca-certificate load ca-profile north filename north.pem")
    router.type("request security pki crl load ca-profile north filename north.crl")
    document = router.json("show security pki local-certificate detail")
    entry = document["x509-pki-certificate-info-list"]["pkid-x509-certificate-information"][0]
    assert entry["subject-name"]["distinguished-name"]["common-name"] == ["alice"]
    assert entry["verification-status"] == "verified"
    reply = ElementTree.fromstring(router.type("show security pki local-certificate detail", "|", "display", "xml"))
    information = reply.find("x509-pki-certificate-info-list/pkid-x509-certificate-information")
    assert information is not None
    assert information.findtext("identifier") == "alice"
    assert (
        information.findtext("serial-number-list/serial-number-x509")
        == (entry["serial-number-list"]["serial-number-x509"])
    )
    crl = router.json("show security pki crl")["x509-pki-crl-info-list"]["pkid-x509-crl-information"][0]
    assert (crl["ca-profile"], crl["crl-number"]) == ("north", 1)
    assert crl["next-update"] in router.type("show security pki crl")
    assert json.loads(router.type("show security pki crl", "|", "display", "json", "|", "no-more"))
    assert "display json, display xml, display set and no-more" in router.type(
        "show security pki crl", "|", "count", code=2
    )


def test_pc_03_requests_and_ca_certificates_are_shown_apart(router: Router, swan: Swan) -> None:
    router.type("request security pki generate-key-pair certificate-id bob type ecdsa size 384")
    router.type("request security pki generate-certificate-request certificate-id bob subject CN=bob digest sha-256")
    lines = router.type("show security pki certificate-request").splitlines()
    assert lines[:4] == [
        "Certificate identifier: bob",
        "  Certificate version: 1",
        "  Issued to: bob",
        "  Public key algorithm: id-ecPublicKey(384 bits)",
    ]
    assert router.type("show security pki local-certificate") == ""
    assert "no local certificate is named bob" in router.type(
        "show security pki local-certificate certificate-id bob", code=3
    )
    router.type("request security pki ca-certificate load ca-profile north filename north.pem")
    assert router.type("show security pki ca-certificate").startswith("Certificate identifier: north\n")
    assert "Use for key: Certificate signing, CRL signing" in router.type("show security pki ca-certificate detail")
    assert "sha-256: the digest follows the key" in router.type(
        "request security pki generate-certificate-request certificate-id bob digest sha-256 subject CN=bob", code=2
    )
    assert "never signed over SHA-1" in router.type(
        "request security pki generate-certificate-request certificate-id bob digest sha-1 subject CN=bob", code=2
    )


def test_kp_02_kp_03_the_words_that_would_move_a_private_key_are_forbidden(router: Router, swan: Swan) -> None:
    router.type("request security pki generate-key-pair certificate-id alice type ecdsa size 256")
    loading = "request security pki local-certificate load certificate-id alice filename alice.pem"
    for words in (f"{loading} key alice.key", f"{loading} passphrase secret"):
        assert "never imports a private key (KP-02)" in router.type(words, code=4)
    assert "never leaves its vault (KP-03)" in router.type("request security pki key-pair export", code=4)
    assert "enrolment over the network" in router.type("req sec pki local-certificate enroll", code=2)


def test_clear_removes_one_or_all_of_a_kind(router: Router, swan: Swan) -> None:
    router.enrol(swan)
    router.type("request security pki generate-key-pair certificate-id bob type ecdsa size 256")
    router.type("request security pki ca-certificate load ca-profile north filename north.pem")
    router.type("request security pki crl load ca-profile north filename north.crl")
    assert router.type("clear security pki crl ca-profile north") == "Removed crl of north\n"
    assert router.type("clear security pki ca-certificate all") == "Removed ca-certificate of north\n"
    assert router.type("clear security pki local-certificate certificate-id alice") == (
        "Removed local-certificate of alice\n"
    )
    assert [pair["id"] for pair in router.json("pki ls")["key_pairs"]] == ["alice", "bob"]
    assert router.type("clear security pki key-pair all") == "Removed key-pair of alice, bob\n"
    assert router.type("clear security pki key-pair all") == "There is no key-pair\n"
    statistics = router.type("show security pki statistics").splitlines()
    assert "key-pairs: 0" in statistics
    assert "no key-pair is named alice" in router.type("clear security pki key-pair certificate-id alice", code=3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "show security pki c",
            "'c' is ambiguous after 'show security pki': certificate-request, ca-certificate, crl",
        ),
        ("show security vpn", "'vpn' is not known after 'show security': pki, ike, ipsec"),
        ("show security pki", "something is missing after 'show security pki': local-certificate, "),
        (
            "show security pki crl every",
            "'every' is not known in 'show security pki crl': it takes ca-profile, brief",
        ),
        ("request security pki crl load ca-profile", "ca-profile needs a value in 'request security pki crl load'"),
        ("request security pki generate-key-pair t rsa c x extra", "'extra' is not known in"),
        ("clear security pki crl ca-profile north --xml", "clear security pki crl has no --xml form"),
        ("show security pki crl --set", "show security pki crl has no --set form"),
    ],
)
def test_words_that_are_not_understood_name_what_may_stand_there(router: Router, words: str, sentence: str) -> None:
    assert sentence in router.type(words, code=2)


def test_everyday_commands_are_not_shortened(router: Router) -> None:
    assert "No such command 'stat'" in router.type("stat", code=2)
    assert "No such command 's'" in router.type("s security pki crl", code=2)


def test_the_configuration_in_junos_statements(router: Router) -> None:
    lines = router.type("show configuration security pki", "--set").splitlines()
    assert "set security pki ca-profile north ca-identity north.example" in lines
    assert "set security pki ca-profile north administrator email-address pki@north.example" in lines
    assert "set security pki ca-profile south revocation-check disable" in lines
    assert "set security pki trusted-ca-group partners ca-profiles north" in lines
    assert router.type("show configuration security pki ca-profile south") == router.type("ca-profile show south")
    assert "ca-profile south {" in router.type("ca-profile show south")
    assert "it has north, south" in router.type("ca-profile show west", code=3)
    assert [one["name"] for one in router.json("ca-profile ls")["ca-profiles"]] == ["north", "south"]


def test_names_of_peers_cannot_move_the_cursor_nor_break_the_xml(router: Router) -> None:
    evil = Authority.create("evil", now=_now(), subject="CN=a\x1b[2Jb\u202ec")
    (router.folder / "evil.der").write_bytes(evil.certificate)
    router.type("request security pki ca-certificate load ca-profile north filename evil.der")
    for words in ("show security pki ca-certificate", "show security pki ca-certificate detail"):
        for form in ((), ("--xml",)):
            said = router.type(words, *form)
            assert "\x1b" not in said
            assert "\u202e" not in said
            assert not form or ElementTree.fromstring(said) is not None


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_cp_01_exporting_a_certificate_is_an_act_of_its_own_and_noted(router: Router, swan: Swan) -> None:
    router.enrol(swan)
    words = "request security pki local-certificate export certificate-id alice type der filename"
    router.type(words, "out.der")
    exported = (router.folder / "out.der").read_bytes()
    assert exported == openssl("x509", "-in", router.folder / "alice.pem", "-outform", "DER").stdout
    (line,) = (router.folder / "state/alice/exports.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["act"], noted["id"], noted["file"]) == (
        "certificate exported",
        "alice",
        str(Path("out.der").absolute()),
    )
    assert "no local certificate is named bob" in router.type("pki export bob --out x", code=3)
    (router.folder / "state/alice/exports.jsonl").unlink()
    (router.folder / "state/alice/exports.jsonl").mkdir()
    assert "exports.jsonl cannot be written" in router.type(words, "again.der", code=2)
    assert not (router.folder / "again.der").exists(), "no export without its line"


class Publisher:
    """An HTTP server with one document."""

    def __init__(self, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/north.crl" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}"


@pytest.fixture
def publisher(swan: Swan) -> Iterator[Publisher]:
    publisher = Publisher((swan.folder / "north.crl").read_bytes())
    yield publisher
    publisher.server.shutdown()
    publisher.server.server_close()


def test_a_crl_is_fetched_on_demand_and_an_unreachable_one_ends_with_6(router: Router, publisher: Publisher) -> None:
    def urls(*names: str) -> None:
        check = f"revocation-check = {{ url = {json.dumps([publisher.url(name) for name in names])} }}\n"
        text = CONFIG.replace('ca-identity = "north.example"\n', f'ca-identity = "north.example"\n{check}')
        (router.folder / "alice.toml").write_text(text)

    assert "pki.ca-profile.north.revocation-check.url" in router.type("pki crl fetch north", code=2)
    urls("gone.crl", "north.crl")
    assert "load it with ikesim pki load FILE --ca north" in router.type("pki crl fetch north", code=3)
    router.type("pki load north.pem --ca north")
    assert "is held for profile north" in router.type("pki crl fetch north")
    assert router.type("pki crl show north").splitlines()[:3] == [
        "CA profile: north",
        "  CRL version: V00000002",
        "  CRL number: 1",
    ]
    urls("gone.crl")
    assert f"{publisher.url('gone.crl')}: " in router.type("pki crl fetch north", code=6)
    router.type("pki rm --crl north")
    assert "is held for profile north" in router.type("pki crl load north north.crl")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words.replace(" ", "-"))
def test_one_table_of_handlers_serves_both_spellings(row: Any) -> None:
    assert row.words.split()[0] in VERBS
    assert bool(row.handler) != bool(row.refusal)
    if row.refusal:
        return
    module, _, attribute = row.handler.partition(":")
    handler = getattr(importlib.import_module(module), attribute)
    options = {option for parameter in handler.params for option in parameter.opts}
    for becomes in (*(keyword.becomes for keyword in row.keywords.values()), row.bare, row.defaults):
        assert {part for part in becomes if part.startswith("--")} <= options
    command: click.Command = cli
    shown = row.words.startswith("show ") or row.words.startswith("clear security i")
    for word in row.everyday.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"ikesim {row.everyday}"
        command = found
    if row.everyday and not shown:
        assert command is handler


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        yield daemon


def test_the_sas_of_a_running_endpoint_in_junos_words(site: Site, daemon: Daemon) -> None:
    def alice(words: str, *more: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, [*words.split(), *more, "--endpoint", str(site.files["alice"])])
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr

    assert alice("show security ike security-associations").splitlines() == [
        "Index   State  Initiator cookie  Responder cookie  Mode           Remote Address"
    ]
    up = json.loads(ikesim("up", "bob", "--endpoint", site.files["alice"], "--json").stdout)
    assert up["result"] == "established"
    status = json.loads(alice("status", "--json"))["ike_sas"][0]
    index = up["sa"].partition("#")[2]

    (_, line) = alice("sh sec ike sec").splitlines()
    assert line.split() == [index, "UP", status["spi_i"], status["spi_r"], "IKEv2", site.addresses["bob"]]
    assert alice("sa ls") == alice("show security ike security-associations")
    assert alice("show security ike security-associations 192.0.2.9").count("\n") == 1
    assert "there is no IKE SA 999" in alice("sa show 999", code=3)
    detail = alice(f"show security ike security-associations index {index} detail")
    assert detail == alice(f"sa show {index}")
    lines = [line.strip() for line in detail.splitlines()]
    assert f"IKE peer {site.addresses['bob']}, Index {index}, Gateway Name: bob" in lines
    assert "Role: Initiator, State: UP (established)" in lines
    assert "Peer ike-id: fqdn:bob.example" in lines
    assert "Trusted CA profile: north" in lines
    assert any(line.startswith("Trust decision: Accepted: fqdn:bob.example") for line in lines)
    (one,) = json.loads(alice("show security ike security-associations detail", "--json"))[
        "ike-security-associations-information"
    ]["ike-security-associations"]
    assert one["ike-trusted-ca-profile-name"] == "north"
    assert one["ike-trusted-ca-group-name"] is None, "the connection names one trusted CA"
    reply = ElementTree.fromstring(alice("show security ike security-associations", "--xml"))
    assert reply.findtext(".//ike-sa-initiator-cookie") == status["spi_i"]
    assert "fqdn:bob.example" in alice("show security ike active-peer")

    child = status["child_sas"][0]
    tunnel = alice("show security ipsec security-associations").splitlines()
    assert tunnel[0] == "  Total active tunnels: 1"
    assert tunnel[2].split()[0].startswith("<") and child["spi_in"] in tunnel[2]
    assert tunnel[3].split()[0].startswith(">") and child["spi_out"] in tunnel[3]
    assert "Local Identity: 10.1.0.0/24" in alice("show security ipsec security-associations detail")
    assert ikesim("ping", "bob", "10.2.0.1", "--endpoint", site.files["alice"]).returncode == 0
    sums = json.loads(alice("show security ipsec statistics", "--json"))["ipsec-statistics"]["esp-statistics"]
    assert (sums["esp-encrypted-packets"], sums["esp-decrypted-packets"]) == (1, 1)

    assert "closed" in alice("clear security ipsec security-associations")
    assert alice("show security ipsec security-associations").startswith("  Total active tunnels: 0")
    assert f"{up['sa']}: closed" in alice("clear security ike security-associations", site.addresses["bob"])
    assert "there are no SAs to clear" in alice("clear security ike security-associations")


class Terminal(io.StringIO):
    """A terminal, and an event that is set as soon as something is on it."""

    def __init__(self) -> None:
        super().__init__()
        self.used = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.used.set()
        return super().write(text)


def test_progress_is_shown_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.progress("Generating the key pair alice"):
        assert terminal.used.wait(30)
    assert "Generating the key pair alice" in terminal.getvalue()
    silent = io.StringIO()
    monkeypatch.setattr("sys.stderr", silent)
    before = threading.active_count()
    with progress.progress("Generating"):
        assert threading.active_count() == before
    assert silent.getvalue() == ""


def test_what_ends_within_a_second_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.progress("Generating"):
        pass
    assert terminal.getvalue() == ""
