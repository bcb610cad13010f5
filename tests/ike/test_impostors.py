"""Who claims to be somebody else changes nothing for that somebody (RFC 7296 2.4: only authenticated words count)."""

from dataclasses import replace

import pytest

from ikesim.ike.events import SaClosed, SaRefused
from ikesim.sim.network import Transit
from ikesim.testing import SimPki, assert_established
from ikesim.wire.address import Address, Path
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


def test_a_copy_of_ike_auth_from_elsewhere_does_not_lead_the_tunnel_astray(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"remote": None})
    held: list[Transit] = []

    def hold(transit: Transit) -> None:
        octets = transit.octets.removeprefix(bytes(4))
        if octets[18:19] == bytes((IKE_AUTH,)) and pair.world.now < 1:
            held.append(transit)
            transit.drop("held back")

    pair.world.network.add_filter(hold, source="192.0.2.1")
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    # HDR, SK {IDi, CERT, AUTH, ...} as alice sent it, but from a stranger's address
    stranger = Address("203.0.113.9", 4711)
    for transit in held:
        pair.bob.inject(transit.octets, Path(transit.destination, stranger))
    assert [sa["remote"] for sa in pair.sas(pair.bob)] == [str(stranger)]
    # alice's own copy comes later and is answered from memory
    pair.world.run_until(30.0)
    assert_established(pair)
    assert pair.ping() == pair.ping(by="bob") == 1
    assert [sa["remote"] for sa in pair.sas(pair.bob)] == ["192.0.2.1:4500"]
    # from here on only MOBIKE moves it
    assert pair.alice.endpoint.core.sas[pair.alice.established[0]].mobike
