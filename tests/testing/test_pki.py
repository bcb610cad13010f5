"""The small PKI: what it makes is what another implementation reads, and follows from its seed."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ikesim.sim import EPOCH
from ikesim.testing import SimPki


def certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def crl(pki: SimPki, authority: str) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(pki.crls[authority])


def test_the_same_seed_gives_the_same_octets_and_another_others() -> None:
    one, same, other = SimPki("a"), SimPki("a"), SimPki("b")
    assert (one.leaves, one.crls) == (same.leaves, same.crls)
    assert one.store("alice") == same.store("alice")
    assert one.leaves["alice"].certificate != other.leaves["alice"].certificate


def test_alice_comes_from_the_north_and_bob_from_the_south() -> None:
    pki = SimPki()
    for name, root in (("alice", "north"), ("bob", "south")):
        leaf = certificate(pki.leaves[name].certificate)
        issuing = certificate(pki.authorities[f"{root}-issuing"].certificate)
        anchor = certificate(pki.authorities[root].certificate)
        leaf.verify_directly_issued_by(issuing)
        issuing.verify_directly_issued_by(anchor)
        anchor.verify_directly_issued_by(anchor)
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == [f"{name}.example"]
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert [uri.value for point in points for uri in point.full_name or ()] == [pki.crl_url(f"{root}-issuing")]
        assert leaf.not_valid_before_utc <= EPOCH <= leaf.not_valid_after_utc
        assert crl(pki, root).next_update_utc > EPOCH  # type: ignore[operator] # these CRLs have one


def test_a_host_holds_its_own_certificates_all_roots_and_all_crls() -> None:
    pki = SimPki()
    store = pki.store("bob")
    assert list(store.local) == ["bob"]
    assert store.local["bob"].chain == (pki.authorities["south-issuing"].certificate,)
    assert store.ca == {root: pki.authorities[root].certificate for root in ("north", "south")}
    assert store.crls == {root: (pki.crls[root], pki.crls[f"{root}-issuing"]) for root in ("north", "south")}
    assert pki.store("bob", crls=False).crls == {}
    assert pki.without(store, "north").ca == {"south": store.ca["south"]}


def test_revoking_puts_the_serial_on_its_issuers_crl() -> None:
    pki = SimPki()
    before = crl(pki, "south-issuing")
    pki.revoke("bob", "key-compromise")
    after = crl(pki, "south-issuing")
    assert [entry.serial_number for entry in before] == []
    assert [entry.serial_number for entry in after] == [pki.leaves["bob"].serial]
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (before, after)]
    assert numbers == [1, 2]
    pki.revoke("north-issuing")
    assert [entry.serial_number for entry in crl(pki, "north")] == [
        certificate(pki.authorities["north-issuing"].certificate).serial_number
    ]
    pki.unrevoke("bob")
    assert list(crl(pki, "south-issuing")) == []
    with pytest.raises(ValueError, match="north is a root: nobody can revoke it"):
        pki.revoke("north")


def test_revoking_without_publishing_leaves_the_crl_as_it_is() -> None:
    pki = SimPki()
    before = pki.crls["south-issuing"]
    pki.revoke("bob", publish=False)
    assert pki.crls["south-issuing"] == before
    pki.publish("south-issuing", now=EPOCH - timedelta(days=2), days=1)
    assert crl(pki, "south-issuing").next_update_utc == EPOCH - timedelta(days=1)
    assert len(crl(pki, "south-issuing")) == 1


def test_odd_leaves_state_only_their_deviation() -> None:
    pki = SimPki()
    first = pki.leaves["bob"]
    pki.issue("bob", sans=["fqdn:mallory.example"], now=EPOCH - timedelta(days=30), days=10)
    odd = certificate(pki.leaves["bob"].certificate)
    assert odd.not_valid_after_utc == EPOCH - timedelta(days=20)
    assert pki.leaves["bob"].issuer == first.issuer
    assert pki.leaves["bob"].certificate != first.certificate
    second = pki.issue("bob-2", host="bob", issuer="north", key="ed25519")
    assert isinstance(certificate(second.certificate).public_key(), ed25519.Ed25519PublicKey)
    assert list(pki.store("bob").local) == ["bob", "bob-2"]
    assert pki.store("bob").local["bob-2"].chain == ()


def test_the_key_in_the_certificate_is_the_one_in_the_vault() -> None:
    pki = SimPki()
    for key, kind in (("ecdsa", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)):
        leaf = pki.issue("bob", key=key)
        public = certificate(leaf.certificate).public_key()
        assert isinstance(public, kind)
        assert public == pki.vault("bob").public_key("bob")


def test_rsa_keys_come_from_the_pool_and_hosts_do_not_share_them() -> None:
    one, same = SimPki("a"), SimPki("a")
    keys = []
    for pki in (one, same):
        for name in ("alice", "bob"):
            pki.issue(name, key="rsa", size=2048)
            keys.append(pki.vault(name).public_key(name))
    assert keys[0] == keys[2] and keys[1] == keys[3] and keys[0] != keys[1]
    with pytest.raises(ValueError, match="the test pool has RSA keys of 2048 and 3072 bits, not 4096"):
        one.issue("bob", key="rsa", size=4096)


def test_every_key_of_the_pool_says_that_it_is_for_tests() -> None:
    from importlib.resources import files

    texts = [item.read_text() for item in (files("ikesim.testing") / "keys").iterdir() if item.name.endswith(".pem")]
    assert len(texts) == 6
    assert all(text.startswith("TEST ONLY: this private key is public.") for text in texts)
