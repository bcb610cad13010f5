"""Send one IKE_SA_INIT that nobody goes on with: python -m tests.interop.half_open ADDRESS."""

import os
import socket
import sys

from ikesim.wire.message import Flags, Header, encode_message
from ikesim.wire.payloads import KE, SA, Nonce
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import EncryptionId, ExchangeType, KeyExchangeId, PrfId, ProtocolId, TransformType
from tests.interop.processes import PATIENCE

VERSION_2 = 0x20
TRANSFORMS = (
    Transform(TransformType.ENCR, EncryptionId.AES_GCM_16, 128),
    Transform(TransformType.PRF, PrfId.HMAC_SHA2_256),
    Transform(TransformType.KE, KeyExchangeId.CURVE25519),
)


def main(address: str) -> None:
    """Return when the responder has answered. Raises TimeoutError when the responder does not answer."""
    header = Header(os.urandom(8), bytes(8), 0, VERSION_2, ExchangeType.IKE_SA_INIT, Flags.INITIATOR, 0, 0)
    payloads = [
        SA((Proposal(1, ProtocolId.IKE, b"", TRANSFORMS),)),
        KE(KeyExchangeId.CURVE25519, os.urandom(32)),
        Nonce(os.urandom(32)),
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(PATIENCE)
        connection.sendto(encode_message(header, payloads), (address, 500))
        connection.recv(4096)


if __name__ == "__main__":
    main(sys.argv[1])
