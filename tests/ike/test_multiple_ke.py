"""Several key exchanges for one SA, and ML-KEM among them (RFC 9370)."""

import pytest

from ikesim.testing import assert_established
from ikesim.wire.payloads import KE
from tests.ike.wiretap import IKE_SA_INIT, MakePair, sent, tap

ML_KEM_768, ML_KEM_1024 = 36, 37
SIZES = {ML_KEM_768: (1184, 1088), ML_KEM_1024: (1568, 1568)}


@pytest.mark.parametrize("method", SIZES)
def test_ml_kem_alone_in_ike_sa_init(ike_pair: MakePair, method: int) -> None:
    keyword = {ML_KEM_768: "mlkem768", ML_KEM_1024: "mlkem1024"}[method]
    proposals = f"aes128gcm16-prfsha256-{keyword}"
    pair = ike_pair(alice={"proposals": proposals}, bob={"proposals": proposals})
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    # HDR, SAi1, KEi(encapsulation key), Ni -->  <-- HDR, SAr1, KEr(ciphertext), Nr
    request, response = alice.said[0].get(KE), bob.said[0].get(KE)
    assert (request.method, len(request.data)) == (method, SIZES[method][0])
    assert (response.method, len(response.data)) == (method, SIZES[method][1])
    assert pair.ping() == 1


def test_ml_kem_by_invalid_ke_payload(ike_pair: MakePair) -> None:
    both = ("aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-mlkem768")
    pair = ike_pair(alice={"proposals": both}, bob={"proposals": both[1]})
    said = tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert [item.get(KE).method for item in said.of(IKE_SA_INIT, response=False)] == [31, ML_KEM_768]
    assert len(sent(pair, pair.alice, IKE_SA_INIT)) == 2
