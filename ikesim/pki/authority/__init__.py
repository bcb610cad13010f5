"""A small certification authority for laboratories: valid by default, and able to make every deviation.

It keeps its own private keys, unlike an endpoint's vault, and reads no clock: every time is relative to the `now`
that it is given. With entropy handed in, everything it makes is a function of it (but for RSA keys and PSS salts).
"""

from ikesim.pki.authority.authority import Authority, Issued, Leaf
from ikesim.pki.authority.certificate import CertificateKnobs
from ikesim.pki.authority.crl import CrlKnobs, Revocation
from ikesim.pki.authority.directory import LabCa
from ikesim.pki.authority.extensions import Extension
from ikesim.pki.authority.ocsp import OcspKnobs, Responder

__all__ = [
    "Authority",
    "CertificateKnobs",
    "CrlKnobs",
    "Extension",
    "Issued",
    "LabCa",
    "Leaf",
    "OcspKnobs",
    "Responder",
    "Revocation",
]
