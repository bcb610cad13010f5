"""Who claims to be somebody else changes nothing for that somebody (RFC 7296 2.4: only authenticated words count)."""

from dataclasses import replace

import pytest

from ikesim.ike.events import SaClosed, SaRefused
from ikesim.testing import SimPki, assert_established
from ikesim.wire.payloads import Notify
from tests.ike.wiretap import IKE_AUTH, INFORMATIONAL, MakePair, counters, forger, path_to, tap

INITIAL_CONTACT = 16384


@pytest.mark.parametrize("flaw", ["another name in the certificate", "an untrusted CA", "a revoked certificate"])
@pytest.mark.parametrize("unique", ["replace", "keep"])
def test_an_impostors_initial_contact_changes_nothing(
    ike_pair: MakePair, ike_pki: SimPki, flaw: str, unique: str
) -> None:
    name = "mallory.example" if flaw == "another name in the certificate" else "alice.example"
    if flaw == "an untrusted CA":
        ike_pki.add_authority("elsewhere")
    issuer = "elsewhere" if flaw == "an untrusted CA" else "north-issuing"
    ike_pki.issue("mallory", host="alice", issuer=issuer, sans=[f"fqdn:{name}"], subject="CN=mallory")
    if flaw == "a revoked certificate":
        ike_pki.revoke("mallory")
    pair = ike_pair(bob={"unique": unique, "trusted_ca": "north", "trusted_ca_group": None})
    pair.up()
    (real,) = pair.bob.established
    # HDR, SK {IDi = alice, CERT = mallory's, N(INITIAL_CONTACT), AUTH by mallory's key, ...} -->
    connection = pair.alice.config.connections["bob"]
    impostor = replace(connection, name="impostor", local_certificates=("mallory",))
    config = replace(pair.alice.config, connections={"bob": connection, "impostor": impostor})
    pair.alice.reconfigure(config)
    ours = tap(pair.alice)
    sa = pair.alice.initiate("impostor")
    pair.world.settle()
    assert ours.of(IKE_AUTH, response=False)[0].notify(INITIAL_CONTACT) is not None
    assert isinstance(pair.alice.verdict(sa), SaRefused)
    assert pair.bob.of(SaRefused)[0].by == "us"
    # the real alice has lost nothing
    assert pair.bob.of(SaClosed) == []
    assert pair.bob.established == [real]
    assert pair.ping() == pair.ping(by="bob") == 1


def test_an_initial_contact_outside_ike_auth_changes_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours = tap(pair.alice)
    pair.up()
    forged = forger(ours, initiator=True)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Notify(INITIAL_CONTACT)]), path_to(pair.bob, pair.alice))
    # and unprotected, from anybody
    pair.bob.inject(forged.clear(INFORMATIONAL, 3, [Notify(INITIAL_CONTACT)]), path_to(pair.bob, pair.alice))
    assert_established(pair)
    assert pair.bob.of(SaClosed) == []
    assert counters(pair.bob)["ike-integrity"] == 1
