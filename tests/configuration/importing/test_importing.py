"""Configurations of Junos and strongSwan as ours: what is carried over, and that nothing is dropped silently."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from ikesim.cli.main import cli
from ikesim.configuration import load
from ikesim.configuration.importing import import_text
from ikesim.errors import UsageError
from tests.support import lacking

HERE = Path(__file__).parent
SAMPLES = ("srx.set", "swanctl.conf")
PACKAGED = Path("/etc/swanctl/swanctl.conf")
"""The one sample of Debian's strongswan-swanctl: every setting there is, as comments."""


def sample(name: str) -> str:
    return (HERE / name).read_text()


def reasons(text: str, source: str) -> dict[str, str]:
    return {item.where: item.why for item in import_text(text, source).left_out}


def test_junos_lines_become_profiles_a_group_and_connections() -> None:
    document = import_text(sample("srx.set"), "srx.set", name="branch").document
    assert document["endpoint"] == {
        "name": "branch",
        "listen": ["198.51.100.7:500"],
        "listen-nat-t": ["198.51.100.7:4500"],
        "state": "state/branch",
        "key-protection": True,
        "fragment-size": 1200,
    }
    assert document["pki"]["ca-profile"] == {
        "Org-A": {
            "ca-identity": "org-a.example",
            "administrator-email": "pki@org-a.example",
            "revocation-check": {
                "method": "crl",
                "on-download-failure": "accept",
                "refresh-interval": "24h",
                "url": ["http://crl.org-a.example/a.crl"],
            },
        },
        "Org-B": {
            "ca-identity": "org-b.example",
            "revocation-check": {
                "method": "ocsp-then-crl",
                "url": [],
                "ocsp": {"nonce": False, "url": ["http://ocsp.org-b.example/"], "accept-unknown": True},
            },
        },
        "Org-C": {"ca-identity": "org-c.example", "revocation-check": {"method": "disable"}},
    }
    assert document["pki"]["trusted-ca-group"] == {"partners": {"ca-profiles": ["Org-A", "Org-B"]}}
    esp = {
        "rekey-time": "1800s",
        "rekey-bytes": 102400 * 1024,
        "esp-proposals": ["aes256gcm16-ecp256", "aes128-sha256-ecp256"],
    }
    common = {
        "local-certificate": "branch",
        "trusted-ca-group": "partners",
        "policy-oids": ["1.3.6.1.4.1.99999.1"],
        "proposals": ["aes256-sha256-ecp256"],
        "rekey-time": "7200s",
        "reauth-time": "14400s",
    }
    assert document["connection"] == {
        "head": {
            "local": "198.51.100.7:500",
            "remote": "203.0.113.1:500",
            "local-id": "fqdn:branch.org-a.example",
            "remote-id": "dn:O=Org B, CN=*",
            **common,
            "liveness": {"interval": "10s"},
            "keepalive": "25s",
            "start": "immediately",
            "child": {
                "head-lan": {"local-ts": ["10.1.0.0/24"], "remote-ts": ["10.2.0.0/24"], **esp},
                "head-dmz": {"local-ts": ["10.1.1.0/24"], "remote-ts": ["10.2.1.0/24"], **esp},
            },
        },
        "roaming": {
            "local-id": "ipv4:198.51.100.7",
            "remote-id": "fqdn:*.org-a.example",
            **common,
            "child": {"roaming": {"local-ts": ["10.1.0.0/24"], "remote-ts": ["10.9.0.0/16"], **esp}},
        },
    }


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (
            "set security pki ca-profile Org-A enrollment url http://scep.org-a.example/scep",
            "enrolment over the network",
        ),
        ("pki.ca-profile.Org-B.revocation-check.url[0]", "only http URLs are fetched"),
        ("set security ike proposal old", "3des-cbc, md5: not offered by ikesim"),
        ("set security ike gateway shared", "authenticates by pre-shared-keys, ikesim by certificates"),
        ("set security ike gateway roaming version", "v1-only, as Junos has it by default"),
        ("set security ike gateway head address 203.0.113.2", "one remote address"),
        ("set security ike gateway head external-interface ge-0/0/0.0", "set endpoint.listen"),
        ("set security ike gateway head dead-peer-detection threshold 3", "nothing that corresponds"),
        ("set security ike policy keys pre-shared-key ...", "ikesim pki secret add"),
        ("set security ipsec vpn head bind-interface st0.0", "no tunnel interfaces"),
        ("set security zones", "not about PKI, IKE or IPsec (1 line)"),
        ("deactivate security ipsec vpn shared", "only set lines are read"),
    ],
)
def test_junos_lines_without_an_equal_are_listed_with_the_reason(where: str, why: str) -> None:
    assert why in reasons(sample("srx.set"), "srx.set")[where]


def test_swanctl_sections_become_profiles_and_connections() -> None:
    document = import_text(sample("swanctl.conf"), "swanctl.conf", name="moon").document
    assert document["endpoint"]["listen"] == ["192.0.2.1:500"]
    assert document["pki"] == {
        "ca-profile": {
            "strongswanCert": {
                "ca-identity": "strongswanCert",
                "revocation-check": {
                    "url": ["http://crl.strongswan.org/strongswan.crl"],
                    "ocsp": {"nonce": True, "url": ["http://ocsp.strongswan.org:8880"]},
                    "method": "ocsp-then-crl",
                    "policy": "strict",
                },
            }
        }
    }
    assert document["connection"] == {
        "net-net": {
            "local": "192.0.2.1:500",
            "remote": "192.0.2.2:4500",
            "local-id": "fqdn:moon.strongswan.org",
            "remote-id": "dn:C=CH, O=strongSwan, CN=sun",
            "local-certificate": ["moonCert"],
            "trusted-ca": "strongswanCert",
            "proposals": ["aes128-sha256-ecp256"],
            "rekey-time": "14400s",
            "liveness": {"interval": "30s", "action": "restart"},
            "mobike": False,
            "send-certificate": "if-asked",
            "unique": "never",
            "child": {
                "net-net": {
                    "local-ts": ["10.1.0.0/16"],
                    "remote-ts": ["10.2.0.0/16[tcp/80]", "10.2.1.0/24"],
                    "esp-proposals": ["aes128gcm16-ecp256"],
                    "rekey-time": "3240s",
                    "rekey-bytes": 500000000,
                }
            },
        }
    }


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("connections.net-net.proposals", "3des"),
        ("connections.net-net.remote_addrs", "sun.strongswan.org: one IP address"),
        ("connections.net-net.vips", "no configuration payload"),
        ("connections.net-net.over_time", "a share of rekey-time"),
        ("connections.net-net.encap", "native ESP is not offered"),
        ("connections.net-net.unique", "read as never"),
        ("connections.net-net.remote.cacerts", "ikesim pki load strongswanCert.pem --ca strongswanCert"),
        ("connections.net-net.local.certs", "begin with ikesim pki key generate moonCert"),
        ("connections.net-net.children.net-net.updown", "no script"),
        ("connections.net-net.children.net-net.start_action", "traffic begins nothing"),
        ("connections.net-net.children.host", "tunnel mode"),
        ("connections.psk", "local.auth = psk"),
        ("connections.common", "no child"),
        ("pki.ca-profile.strongswanCert.revocation-check.url[1]", "only http URLs"),
        ("secrets.ike-peer", "secrets are never carried over"),
        ("pools.home", "no configuration payload"),
    ],
)
def test_swanctl_settings_without_an_equal_are_listed_with_the_reason(where: str, why: str) -> None:
    found = [item.why for item in import_text(sample("swanctl.conf"), "x").left_out if item.where == where]
    assert any(why in one for one in found), found


@pytest.mark.parametrize("name", SAMPLES)
def test_every_line_leaves_a_trace(name: str) -> None:
    """Without it either the result is another, or the list of what was left out."""
    lines = sample(name).splitlines()
    whole = import_text("\n".join(lines), name)
    listed = {item.where for item in whole.left_out}
    whole_sections = {path for path in _sections(lines) if any(f"{path}.".startswith(f"{one}.") for one in listed)}
    for number, line in enumerate(lines):
        if line.strip().startswith("#") or line.strip() in ("", "}") or line.rstrip().endswith("{"):
            continue
        if line.strip() in NEUTRAL or _section(lines[:number]) in whole_sections:
            continue
        fewer = import_text("\n".join(lines[:number] + lines[number + 1 :]), name)
        assert (fewer.document, fewer.left_out) != (whole.document, whole.left_out), line


def _section(lines: list[str]) -> str:
    """The path of the section of swanctl.conf that the last of these lines stands in."""
    path: list[str] = []
    for line in lines:
        if line.rstrip().endswith("{"):
            path.append(line.split()[0])
        elif line.strip() == "}":
            path.pop()
    return ".".join(path)


def _sections(lines: list[str]) -> set[str]:
    return {_section(lines[:number]) for number in range(len(lines))} - {""}


NEUTRAL = {
    "version = 2",
    "fragmentation = yes",
    "auth = pubkey",
    "set security pki ca-profile Org-B revocation-check use-ocsp",
    "set security ike policy certs certificate peer-certificate-type x509-signature",
    "set security ike proposal suite authentication-method certificates",
    "set security ike proposal old authentication-method rsa-signatures",
    "set security ike proposal old dh-group group14",
    "set security ipsec proposal esp protocol esp",
    "set security ipsec proposal gcm protocol esp",
}
"""What says what is so anyway."""


@pytest.mark.parametrize("name", SAMPLES)
def test_no_secret_is_shown(name: str) -> None:
    imported = import_text(sample(name), name)
    for secret in ("hidden word", "$9$very.secret", "0sv+NkxY9LLZ"):
        assert secret not in imported.toml()
        assert secret not in repr(imported)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_file_passes_the_check(name: str, tmp_path: Path) -> None:
    out = tmp_path / "imported.toml"
    done = CliRunner().invoke(cli, ["config", "import", str(HERE / name), "--out", str(out), "--name", "gate"])
    assert done.exit_code == 0, done.output
    listed = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert listed
    text = out.read_text()
    assert len(re.findall(r"^# Left out: ", text, re.MULTILINE)) == len(listed)
    assert tomllib.loads(text) == import_text(sample(name), name, name="gate").document
    assert load(out).endpoint.name == "gate"
    checked = CliRunner().invoke(cli, ["config", "check", str(out)])
    assert checked.exit_code == 0, checked.output
    document = json.loads(CliRunner().invoke(cli, ["config", "import", str(HERE / name), "--json"]).stdout)
    assert len(document["left_out"]) == len(listed)
    assert tomllib.loads(document["toml"])["endpoint"]["listen"]


def test_the_packaged_sample_is_read_with_and_without_its_comment_signs(tmp_path: Path) -> None:
    """As it is it says nothing; without the signs it has every setting that strongSwan knows."""
    if not PACKAGED.exists():
        lacking(f"{PACKAGED} is missing: apt-get install strongswan-swanctl")
    text = PACKAGED.read_text()
    as_it_is = import_text(text, "swanctl.conf")
    assert set(as_it_is.document) == {"endpoint"}
    bare = re.sub(r"^(\s*)# ([\w<>]+\s*(=.*|\{)|\})$", r"\1\2", text, flags=re.MULTILINE)
    settings = re.findall(r"^\s+(\w+) =", bare, re.MULTILINE)
    assert len(settings) > 100
    values = {"auth": "pubkey", "id": "moon.example", "certs": "moon.pem", "cacerts": "root.pem", "ah_proposals": "",
              "local_ts": "10.1.0.0/16", "remote_ts": "10.2.0.0/16"}  # fmt: skip
    filled = re.sub(
        r"^(\s+)(\w+) =(.*)$", lambda m: f"{m[1]}{m[2]} = {values.get(m[2], m[3].strip())}", bare, flags=re.MULTILINE
    )
    imported = import_text(filled.replace("<", "").replace(">", ""), "swanctl.conf")
    connection = imported.document["connection"]["conn"]
    assert connection["local-id"] == "fqdn:moon.example"
    assert connection["child"]["child"]["remote-ts"] == ["10.2.0.0/16"]
    listed = {item.where for item in imported.left_out}
    assert {
        "connections.conn.vips",
        "connections.conn.children.child.updown",
        "secrets.eap<suffix>".replace("<", "").replace(">", ""),
    } <= listed
    out = tmp_path / "moon.toml"
    out.write_text(imported.toml())
    load(out)


@pytest.mark.parametrize("name", SAMPLES)
def test_half_a_file_is_read_or_refused_in_one_sentence(name: str) -> None:
    text = sample(name)
    for end in range(0, len(text), 61):
        try:
            import_text(text[:end], name)
        except UsageError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"\xff\xfe\x00", 2, "is not text in UTF-8"),
        (b"hello world\n", 2, "neither Junos' set lines nor swanctl.conf"),
        (b"connections {\n", 2, "the section connections is not closed"),
        (b"}\n", 2, "a } closes nothing"),
        (b"connections {\n a : connections.b {\n }\n}\n", 2, "the section connections.b is referred to"),
        (None, 3, "does not exist"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes | None, code: int, words: str) -> None:
    file = tmp_path / "x.conf"
    if content is not None:
        file.write_bytes(content)
    done = CliRunner().invoke(cli, ["config", "import", str(file)])
    assert done.exit_code == code
    assert words in done.stderr


def test_names_that_are_none_of_ours_are_made_so() -> None:
    text = sample("srx.set").replace("gateway head", 'gateway "head.office of Org B with a long name"')
    (name, _) = import_text(text, "srx.set").document["connection"]
    assert name == "head-office-of-Org-B-with-a-long"
