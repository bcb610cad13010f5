"""An ikesim that breaks one rule: python -m tests.interop.liar LIE COMMAND... runs `ikesim COMMAND...`.

The lies attach to the core's hooks, as every fault does; they are functions in this module, listed in LIES.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import ikesim.daemon.ports
from ikesim.cli.main import main
from ikesim.ike.ports import Hooks
from ikesim.wire.message import Message
from ikesim.wire.payloads import CERT
from ikesim.wire.registry import CertEncoding, IdType, PayloadType
from tests.interop.cases import FALSE_NAME

X509_SIGNATURE = b"\x04"
"""The CERT encoding "X.509 Certificate - Signature" (RFC 7296 section 3.6)."""


def signs_with_another_key() -> Hooks:
    """AUTH over the right octets, by a key that is not the certificate's."""
    key = ec.generate_private_key(ec.SECP256R1())
    seen: list[bytes] = []

    def before_sign(sa: Any, octets: bytes, certificate: str) -> None:
        seen.append(octets)

    def after_sign(sa: Any, signature: bytes, certificate: str) -> bytes:
        return key.sign(seen.pop(), ec.ECDSA(SHA256()))

    return Hooks(before_sign=before_sign, after_sign=after_sign)


def sends_another_identity() -> Hooks:
    """An identity that our certificate does not have, whoever the peer asked for."""

    def before_encode(sa: Any, payloads: list[Any], header: Any) -> list[Any]:
        mine = PayloadType.IDr if header.is_response else PayloadType.IDi
        return [
            dataclasses.replace(payload, id_type=IdType.ID_FQDN, data=FALSE_NAME.encode())
            if payload.kind == mine
            else payload
            for payload in payloads
        ]

    def after_decode(sa: Any, message: Message) -> Message:
        if message.header.is_response:
            return message
        return message.with_payloads(tuple(raw for raw in message.payloads if raw.kind != PayloadType.IDr))

    return Hooks(before_encode=before_encode, after_decode=after_decode)


def sees_another_certificate() -> Hooks:
    """The peer's certificate is exchanged for another of the same CA and name: its AUTH is then by another key."""
    pem = (Path(sys.argv[2]).parent / "theirs" / "double.crt").read_bytes()
    other = memoryview(X509_SIGNATURE + x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))

    def after_decode(sa: Any, message: Message) -> Message:
        return message.with_payloads(
            tuple(
                dataclasses.replace(raw, body=other, decoded=None) if raw.kind == PayloadType.CERT else raw
                for raw in message.payloads
            )
        )

    return Hooks(after_decode=after_decode)


def presents_another_chain() -> Hooks:
    """In place of our certificate what lies in the folder `presented/IDENTITY` beside the configuration."""
    folder = Path(sys.argv[2]).parent / "presented"

    def before_encode(sa: Any, payloads: list[Any], header: Any) -> list[Any]:
        identity = next((payload.data for payload in payloads if payload.kind == PayloadType.IDi), None)
        if identity is None:
            return payloads
        chain = sorted((folder / identity.decode()).iterdir())
        sent = [CERT(CertEncoding.X509_SIGNATURE, file.read_bytes()) for file in chain]
        others = [payload for payload in payloads if payload.kind != PayloadType.CERT]
        return [others[0], *sent, *others[1:]]

    return Hooks(before_encode=before_encode)


LIES = {
    function.__name__: function
    for function in (signs_with_another_key, sends_another_identity, sees_another_certificate, presents_another_chain)
}

if __name__ == "__main__":
    lie = sys.argv.pop(1)
    hooks = LIES[lie.replace("-", "_")]()
    ikesim.daemon.ports.Hooks = lambda: hooks  # every host of this process lies
    main()
