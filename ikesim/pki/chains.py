"""Which certificate signed which: the small part of path building that loading and sending certificates need."""

from collections.abc import Iterable

from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.crl import Crl
from ikesim.pki.publickeys import PublicKey
from ikesim.pki.verification import signature_algorithm, verify_signed

MAX_LENGTH = 10
"""Certificates above a leaf that are sent along; deeper hierarchies are not met in the field."""


def signed_certificate(issuer: Certificate, certificate: Certificate) -> bool:
    """True when `issuer` carries the name and the key that `certificate` was signed with."""
    key = _key(issuer)
    return (
        key is not None
        and issuer.subject == certificate.issuer
        and verify_signed(
            issuer.spki, key, certificate.algorithm, certificate.der, certificate.tbs, certificate.signature
        )
    )


def signed_crl(issuer: Certificate, crl: Crl) -> bool:
    """True when the key of `issuer` signed `crl`; the names are not compared."""
    key = _key(issuer)
    return key is not None and verify_signed(
        issuer.spki,
        key,
        signature_algorithm(crl.signature_algorithm),
        crl.der,
        bytes(crl.to_be_signed),
        crl.signature,
    )


def is_self_signed(certificate: Certificate) -> bool:
    """True when the certificate's own key signed it."""
    return signed_certificate(certificate, certificate)


def chain_above(leaf: bytes, candidates: Iterable[bytes]) -> tuple[bytes, ...]:
    """The certificates above `leaf` among `candidates`, issuer first, without a self-signed one (all DER).

    Of several issuers that fit, the first in the order of `candidates` is taken: what came with the leaf goes first.
    """
    pool = [parse(der) for der in candidates]
    chain: list[bytes] = []
    current = parse(leaf)
    while len(chain) < MAX_LENGTH:
        issuer = next(
            (one for one in pool if one.der not in chain and one.der != leaf and signed_certificate(one, current)),
            None,
        )
        if issuer is None or is_self_signed(issuer):
            break
        chain.append(issuer.der)
        current = issuer
    return tuple(chain)


def _key(certificate: Certificate) -> PublicKey | None:
    try:
        return certificate.public_key
    except CertificateError:
        return None
