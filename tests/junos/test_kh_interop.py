"""KH-07: a peer cannot tell whether keys are protected, and meets either."""

import pytest

from ikesim.testing import Pair, SimPki, assert_established


@pytest.mark.parametrize("protected", ["alice", "bob"])
@pytest.mark.parametrize("initiator", ["alice", "bob"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_kh_07_an_endpoint_with_protected_keys_meets_one_without(protected: str, initiator: str, kind: str) -> None:
    pki = SimPki(7)
    for name in ("alice", "bob"):
        pki.key_protection = name == protected
        del pki.vaults[name]
        pki.issue(name, key=kind, issuer="north-issuing" if name == "alice" else "south-issuing")
    assert [name for name in ("alice", "bob") if pki.vault(name).is_protected] == [protected]
    pair = Pair.of(pki, seed=7)
    pair.up(by=initiator)
    assert_established(pair)
    assert pair.ping(2) == 2
    host = pair.alice if protected == "alice" else pair.bob
    host.reauthenticate(host.established[0])
    pair.world.settle()
    assert_established(pair)
