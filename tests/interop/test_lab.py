"""The lab by itself: two strongSwans, so that a failing case of the matrix is never the lab's fault."""

from pathlib import Path

import pytest

from tests.interop.authority import Authority, make_key
from tests.interop.charon import Charon, connection
from tests.interop.network import Network

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("machine_has_the_lab")]


def test_two_strongswans_meet_ping_and_count_each_others_bytes(short_folder: Path) -> None:
    pki = short_folder / "pki"
    pki.mkdir()
    north = Authority(pki, "north")
    leaves = {}
    for name in ("left", "right"):
        key = make_key(pki / f"{name}.key", "p256")
        leaves[name] = (key.read_bytes(), north.issue(key, pki / f"{name}.crt", kind="priv", names=(f"{name}.test",)))
    crl = north.crl().read_bytes()

    with Network() as network:
        left = Charon(network.ours, short_folder / "left")
        right = Charon(network.theirs, short_folder / "right")
        try:
            for charon, name, peer in ((left, "left", "right"), (right, "right", "left")):
                charon.configure()
                key_octets, certificate = leaves[name]
                charon.load(
                    key=key_octets,
                    authorities=[north.certificate],
                    crls=[crl],
                    connection=connection(
                        certificate=certificate.read_bytes(),
                        own_id=f"{name}.test",
                        peer_id=f"{peer}.test",
                        authorities=[north.certificate],
                        proposal="aes128gcm16-prfsha256-x25519",
                        mirrored=charon is left,
                    ),
                )
            # strongSwan's inner address is the namespace's, on both sides here.
            network.add_inner_address_of_ours()
            assert right.initiate() is None
            assert "3 packets transmitted, 3 received" in network.ping()
            for charon in (left, right):
                child = next(iter(charon.established()["child-sas"].values()))
                assert int(child["bytes-in"]) == int(child["bytes-out"]) == 3 * 84
        finally:
            left.stop()
            right.stop()
