"""What a configuration file may say, and what is said about one that is wrong."""

import tomllib
from pathlib import Path

import pytest

from ikesim.configuration import load, schema
from ikesim.errors import ConfigurationError, Problem
from ikesim.ike.config import RetransmitConfig
from ikesim.pki.profiles import RevocationMethod, RevocationPolicy, TrustedCaGroup
from ikesim.wire.address import Address
from tests.support import REPOSITORY

FAULTY = Path(__file__).with_name("faulty.toml")

MINIMAL = """
[endpoint]
name = "alice"
state = "state"
listen = ["127.0.0.1:5500"]
[connection.bob]
local-id = "fqdn:alice.example"
remote-id = "fqdn:bob.example"
local-certificate = "alice"
[connection.bob.child.net]
local-ts = ["10.1.0.0/24"]
remote-ts = ["10.2.0.0/24"]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "endpoint.toml"
    file.write_text(text)
    return file


def faults_of(file: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    return caught.value.problems


def fault_of(folder: Path, text: str) -> str:
    """The one fault that a file has."""
    (problem,) = faults_of(write(folder, text))
    return str(problem).removeprefix(f"{folder / 'endpoint.toml'}: ")


# Every fault of faulty.toml, in file order: table and key, and what the message must say.
FAULTS = [
    ("colour", "accepted are endpoint, roles, pki, connection"),
    ("endpoint.name", "letters, digits, dot"),
    ("endpoint.listen[0]", "wildcard"),
    ("endpoint.listen[1]", "not a UDP port"),
    ("endpoint.listen[3]", "has no port"),
    ("endpoint.listen-nat-t[1]", "listed twice"),
    ("endpoint.encapsulation", "did you mean always?"),
    ("endpoint.framing", "accepted are strongswan, bare-init"),
    ("endpoint.retransmit.initial", "not a duration"),
    ("endpoint.retransmit.tries", "whole number"),
    ("endpoint.retransmit.fator", "did you mean factor?"),
    ("endpoint.fragment-size", "570 to 9000"),
    ("endpoint.cookie-threshold", "above max-half-open"),
    ("endpoint.half-open-timeout", "from 1ms"),
    ("endpoint.fetch-private-adresses", "did you mean fetch-private-addresses?"),
    ("endpoint.state", "required and missing"),
    ("pki.trusted-ca-groups", "did you mean trusted-ca-group?"),
    ("pki.ca-profile.north.partial-chain", "expected true or false"),
    ("pki.ca-profile.north.administrator-email", "not an e-mail address"),
    ("pki.ca-profile.north.revocation-check.method", "accepted are crl, ocsp, ocsp-then-crl, disable"),
    ("pki.ca-profile.north.revocation-check.on-download-failure", "accepted are reject, accept"),
    ("pki.ca-profile.north.revocation-check.url[0]", "only http"),
    ("pki.ca-profile.north.revocation-check.refresh-interval", "8784h"),
    ("pki.ca-profile.north.revocation-check.ocsp.url", "expected a list"),
    ("pki.ca-profile.north.revocation-check.ocsp.nonces", "did you mean nonce?"),
    ("pki.ca-profile.north.ca-identity", "required and missing"),
    ("pki.trusted-ca-group.partners.ca-profiles[1]", "no [pki.ca-profile.sooth]; did you mean south?"),
    ("pki.trusted-ca-group.partners.ca-profiles[3]", "listed twice"),
    ("pki.trusted-ca-group.many.ca-profiles", "at most 20"),
    ("connection.bob.remote-nat-t", "without remote"),
    ("connection.bob.start", "needs remote"),
    ("connection.bob.local-id", "is a pattern"),
    ("connection.bob.remote-id", "fqdn:"),
    ("connection.bob.local-certificate", "must not be empty"),
    ("connection.bob.trusted-ca", "exclude each other"),
    ("connection.bob.trusted-ca", "no [pki.ca-profile.nroth]; did you mean north?"),
    ("connection.bob.trusted-ca-group", "no [pki.trusted-ca-group.partner]; did you mean partners?"),
    ("connection.bob.proposals[0]", "x25520"),
    ("connection.bob.signature-schemes[1]", "did you mean ecdsa-sha256?"),
    ("connection.bob.minimum-strength.rsa", "at least 1024"),
    ("connection.bob.policy-oids", "at most 5"),
    ("connection.bob.rekey_time", "did you mean rekey-time?"),
    ("connection.bob.jitter", "not a share"),
    ("connection.bob.keepalive", "from 1s to 300s"),
    ("connection.bob.remote-ts", "belongs into [connection.NAME.child.NAME]"),
    ("connection.bob.child.net.remote-ts", "no address family"),
    ("connection.bob.child.net.inner-address", "outside local-ts"),
    ("connection.bob.child.net.esp-proposals[0]", "aes128gcm16-sha256"),
    ("connection.bob.child.net.rekey-bytes", "at least 0"),
    ("connection.bob.child.net.esn", "expected true or false"),
    ("connection.bob.child.other.local-ts[0]", "10.1.0.0/33"),
    ("connection.bob.child.other.remote-ts", "required and missing"),
    ("connection.this-name-is-longer-than-thirty-two-characters", "1 to 32 characters"),
]


def test_all_faults_of_a_file_come_at_once_in_file_order_with_table_and_key() -> None:
    problems = faults_of(FAULTY)
    assert [f"{item.table}.{item.key}".strip(".") for item in problems] == [where for where, _ in FAULTS]
    for problem, (_, says) in zip(problems, FAULTS, strict=True):
        assert says in problem.message, str(problem)
        assert str(problem).startswith(f"{FAULTY}: ")


# One fault each, where a second one in the same table would hide it.
ALONE = [
    (
        'listen = ["127.0.0.1:5500"]',
        'listen = ["127.0.0.1:5500", "127.0.0.1:5500"]',
        "endpoint.listen[1]: 127.0.0.1:5500",
    ),
    ('state = "state"', 'state = "state"\nlisten-nat-t = ["127.0.0.1:5500"]', "both listen and listen-nat-t"),
    ('listen = ["127.0.0.1:5500"]', 'listen = ["127.0.0.1:4500"]', "both listen and listen-nat-t"),
    ('state = "state"', 'state = "state"\nlisten-nat-t = ["127.0.0.3:4500"]', "no address on host 127.0.0.1"),
    ('listen = ["127.0.0.1:5500"]', 'listen = ["[::]:5500"]', "wildcard"),
    ('listen = ["127.0.0.1:5500"]', 'listen = ["localhost:5500"]', "not an IP address"),
    ('listen = ["127.0.0.1:5500"]', 'listen = "127.0.0.1:5500"', "expected a list, not the string"),
    ("[connection.bob]", '[connection.bob]\nlocal = "127.0.0.1:5501"', "not among endpoint.listen; did you mean"),
    ("[connection.bob]", '[connection.bob]\nremote = "[2001:db8::1]:500"', "endpoint.listen has no IPv6 address"),
    ("[connection.bob]", '[connection.bob]\nremote = "127.0.0.2:0"', "a peer's port must be known"),
    (
        "[connection.bob]",
        '[connection.bob]\nremote = "127.0.0.2:500"\nremote-nat-t = "[2001:db8::1]:4500"',
        "different families",
    ),
    (
        'listen = ["127.0.0.1:5500"]',
        'listen = ["127.0.0.1:5500", "[::1]:5500"]\n[connection.c]\nlocal = "127.0.0.1:5500"\nremote = "[::2]:500"\n'
        'local-id = "fqdn:a"\nremote-id = "*"\nlocal-certificate = "a"',
        "different address families",
    ),
    ("[connection.bob]", '[connection.bob]\ntrusted-ca = "north"', "no [pki.ca-profile.north]; none is declared"),
    ("[connection.bob]", '[connection.bob]\njitter = "100%"', "forever"),
    ("[connection.bob]", '[connection.bob]\npolicy-oids = ["1.2.x"]', "object identifier"),
    ("[connection.bob]", '[connection.bob]\nredirect-to = "gw.example"', "not an IP address"),
    ("[connection.bob]", "[connection.bob]\nppk-required = true", "without ppk-id"),
    ("[connection.bob]", '[connection.bob]\nppk-secret = "shared"', "without ppk-id"),
    ("[connection.bob]", '[connection.bob]\nppk-secret = "a b"', "'a b'"),
    ("[connection.bob]", '[connection.bob]\nppk-id = "bob@ppk"', "give ppk-secret as well"),
    ("[connection.bob]", "[connection.bob]\nproposals = []", "must not be empty"),
    ("[connection.bob]", "[connection.bob]\nliveness = 5", "expected a table, not the number 5"),
    ('"fqdn:alice.example"', '"alice.example"', "fqdn:"),
    ('local-certificate = "alice"', 'local-certificate = ["alice", "alice"]', "listed twice"),
    ("[connection.bob.child.net]", '[connection.bob.child."a/b"]', "letters, digits, dot"),
    ('"10.1.0.0/24"', '"10.1.0.0/24[tcp/99999]"', "local-ts[0]"),
]


@pytest.mark.parametrize(("old", "new", "says"), ALONE, ids=[says for *_, says in ALONE])
def test_a_single_fault_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in MINIMAL
    assert says in fault_of(tmp_path, MINIMAL.replace(old, new))


def test_the_defaults_are_those_of_the_reference_file(tmp_path: Path) -> None:
    """A file with only what is required equals the reference, apart from the reference's own examples."""
    reference = load(REPOSITORY / "config" / "reference.toml").endpoint
    text = MINIMAL.replace(
        "[connection.bob]", '[connection.bob]\nremote = "127.0.0.2:5500"\ntrusted-ca-group = "partners"'
    )
    text += """
[pki.ca-profile.north]
ca-identity = "north.example"
administrator-email = "pki@north.example"
[pki.ca-profile.north.revocation-check]
url = ["http://127.0.0.1:8080/north.crl"]
[pki.ca-profile.south]
ca-identity = "south.example"
[pki.trusted-ca-group.partners]
ca-profiles = ["north", "south"]
"""
    text = text.replace('state = "state"', 'state = "state"\nlisten-nat-t = ["127.0.0.1:5501"]')
    text = text.replace("[connection.bob]", '[connection.bob]\nremote-nat-t = "127.0.0.2:5501"')
    text = text.replace("[connection.bob.child.net]", '[connection.bob.child.net]\ninner-address = "10.1.0.1"')
    assert load(write(tmp_path, text)).endpoint == reference


def test_the_reference_file_holds_every_key() -> None:
    """Each key of each table, so that a new one cannot be forgotten there."""
    document = tomllib.loads((REPOSITORY / "config" / "reference.toml").read_text())
    tables = [
        (schema.EndpointTable, document["endpoint"]),
        (schema.RolesTable, document["roles"]),
        (schema.CaProfileTable, document["pki"]["ca-profile"]["north"]),
        (schema.RevocationCheck, document["pki"]["ca-profile"]["north"]["revocation-check"]),
        (schema.TrustedCaGroupTable, document["pki"]["trusted-ca-group"]["partners"]),
        (schema.ConnectionTable, {**document["connection"]["bob"], "trusted-ca": "in a comment"}),
        (schema.ChildTable, document["connection"]["bob"]["child"]["net"]),
    ]
    for model, table in tables:
        assert {info.alias for info in model.model_fields.values()} == set(table) - {"child"}, model.__name__


def test_the_values_of_the_reference_file_mean_what_interface_says() -> None:
    endpoint = load(REPOSITORY / "config" / "reference.toml").endpoint
    assert endpoint.retransmit == RetransmitConfig(4.0, 1.8, 5)
    assert endpoint.half_open_timeout == 30.0
    north = endpoint.ca_profiles["north"].revocation
    assert (north.method, north.policy, north.refresh_interval) == (RevocationMethod.CRL, RevocationPolicy.STRICT, 0)
    assert endpoint.trusted_ca_groups == {"partners": TrustedCaGroup("partners", ("north", "south"))}
    bob = endpoint.connections["bob"]
    assert (bob.rekey_time, bob.over_time, bob.keepalive) == (4 * 3600, 0.1, 20)
    assert [str(scheme) for scheme in bob.signature_schemes][:3] == ["ed25519", "ed448", "ecdsa-sha256"]
    assert "rsa-pkcs1-sha1" not in bob.signature_schemes
    assert bob.children[0].rekey_time == 3600


def test_addresses_that_are_not_given_are_found(tmp_path: Path) -> None:
    text = MINIMAL.replace('"127.0.0.1:5500"', '"127.0.0.1:5500", "[2001:db8::1]:5500"')
    text = text.replace("[connection.bob]", '[connection.bob]\nremote = "[2001:db8::2]:500"')
    loaded = load(write(tmp_path, text))
    bob = loaded.endpoint.connections["bob"]
    assert loaded.endpoint.listen_nat_t == (Address("127.0.0.1", 4500), Address("2001:db8::1", 4500))
    assert (bob.local, bob.local_nat_t) == (Address("2001:db8::1", 5500), Address("2001:db8::1", 4500))
    assert bob.remote_nat_t == Address("2001:db8::2", 4500)
    assert loaded.state == tmp_path.resolve() / "state"


def test_a_connection_without_a_trusted_ca_is_noted(tmp_path: Path) -> None:
    (note,) = load(write(tmp_path, MINIMAL)).notes
    assert "bob" in note
    assert "any CA profile" in note


@pytest.mark.parametrize(
    ("text", "seconds"), [('"250ms"', 0.25), ('"90s"', 90), ('"5m"', 300), ('"2d"', 172800), ("7", 7), ("0.5", 0.5)]
)
def test_durations_are_text_or_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    file = write(tmp_path, MINIMAL.replace("[connection.bob]", f"[connection.bob]\nrekey-time = {text}"))
    assert load(file).endpoint.connections["bob"].rekey_time == seconds


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    assert str(faults_of(tmp_path / "none.toml")[0]).endswith("none.toml: there is no such file")
    assert "is a folder" in str(faults_of(tmp_path)[0])
    file = write(tmp_path, "[endpoint]\nname = \n")
    assert "line 2" in faults_of(file)[0].message
    file.write_bytes(b"[endpoint]\n\nname = '\xff'\n")
    assert faults_of(file)[0].message == "is not UTF-8 text (at line 3)"
    file.write_text("[endpoint]\nname = 'a'\nname = 'b'\n")
    assert "line 3" in faults_of(file)[0].message
    file.write_text("x = " + "[" * 100_000)
    assert len(faults_of(file)) == 1
    file.write_bytes(b"#" * (2 * 1024 * 1024))
    assert "no configuration file" in faults_of(file)[0].message


def test_an_unreadable_file_is_one_sentence() -> None:
    """Also for root, who may read every file but this one."""
    assert faults_of(Path("/proc/self/mem"))[0].message == "cannot be read: Input/output error"


def test_values_are_shown_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, MINIMAL.replace("[connection.bob]", '[connection.bob]\nprefer = "\\u001b[31m"'))
    assert "\x1b" not in fault
    assert "\\x1b[31m" in fault


def test_an_inner_address_is_of_the_family_of_its_network(tmp_path: Path) -> None:
    text = MINIMAL.replace("[connection.bob.child.net]", '[connection.bob.child.net]\ninner-address = "fd00::1"')
    assert "outside local-ts" in fault_of(tmp_path, text)
