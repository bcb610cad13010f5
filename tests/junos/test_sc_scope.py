"""SC-01 to SC-06: what the PKI is for, and that nothing is established before it has spoken."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikesim.configuration import load
from ikesim.errors import ConfigurationError
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.configuration.test_configuration import MINIMAL

MakePair = Callable[..., Pair]


def installed(host: SimHost) -> list[str]:
    """The kinds of SA that a host gives keys to, from now on."""
    kinds: list[str] = []
    host.hooks.on_install = lambda _, sa: kinds.append(sa.kind)
    return kinds


def test_sc_01_the_sa_ties_the_identity_to_certificate_and_key(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    pair.up()
    (sa,) = pair.sas(pair.alice)
    bob = ike_pki.leaves["bob"]
    key = x509.load_der_x509_certificate(bob.certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert sa["identity"] == "fqdn:bob.example"
    assert int(sa["decision"]["certificate"]["serial"], 16) == bob.serial
    assert sa["key_fingerprint"] == f"sha256:{sha256(spki).hexdigest()}"


@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_sc_02_a_forged_identity_installs_no_child_sa(ike_pair: MakePair, liar: str) -> None:
    honest = "bob" if liar == "alice" else "alice"
    pair = ike_pair(**{liar: {"local_id": "fqdn:carol.example"}, honest: {"remote_id": "*"}})
    kinds = installed(pair.bob if honest == "bob" else pair.alice)
    pair.up()
    assert_refused(pair, reason="id-mismatch", by=honest)
    assert kinds == ["ike"], "keys for IKE_AUTH, and nothing that carries traffic"


def test_sc_06_a_certificate_authenticated_sa_yields_a_tunnel(ike_pair: MakePair) -> None:
    pair = ike_pair()
    kinds = installed(pair.alice)
    pair.up()
    assert_established(pair)
    assert kinds == ["ike", "child"]
    assert pair.ping() == 1


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[ssh]\nlocal-certificate = "alice"\n', "ssh: local-certificate"),
        ('[system.services.web-management.https]\npki-local-certificate = "alice"\n', "https: pki-local-certificate"),
    ],
)
def test_sc_04_a_certificate_for_anything_but_ike_is_refused(tmp_path: Path, table: str, key: str) -> None:
    file = tmp_path / "endpoint.toml"
    file.write_text(MINIMAL + table)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    (problem,) = [one for one in caught.value.problems if "SC-04" in one.message]
    assert f"{problem.table.rpartition('.')[2]}: {problem.key}" == key
    assert "serves IKE only" in problem.message
