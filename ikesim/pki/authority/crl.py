"""Certificate revocation lists: full, delta, indirect, scoped, and the ones that a verifier must refuse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from ikesim.pki.authority import extensions as ext
from ikesim.pki.authority.certificate import Issuer, name_bytes
from ikesim.pki.authority.extensions import Extension
from ikesim.pki.authority.signing import algorithm_of, sign_with
from ikesim.pki.der_writer import bit_string, explicit, generalized_time, integer, null, sequence, time
from ikesim.pki.general_names import GeneralNameText
from ikesim.pki.keys import PrivateKey


@dataclass(frozen=True, slots=True)
class Revocation:
    """That a certificate is revoked: when, and why (a name of :data:`~.extensions.REASONS`; None says nothing)."""

    at: datetime
    reason: str | None = None
    invalidity_date: datetime | None = None
    issuer: bytes | None = None
    """DER of the certificate issuer's Name, in an indirect CRL."""


class CrlKnobs(TypedDict, total=False):
    """Everything that may be said about a CRL beyond its entries, number and times."""

    this_update: datetime | bytes
    next_update: datetime | bytes | None
    """None leaves the field out."""
    urls: Sequence[GeneralNameText]
    """Names of its IssuingDistributionPoint."""
    only_user: bool
    only_ca: bool
    only_attribute: bool
    only_reasons: Sequence[int]
    """Bit numbers of ReasonFlags."""
    indirect: bool
    freshest_crl_urls: Sequence[GeneralNameText]
    version: int
    """1 leaves every extension out."""
    critical: str
    """OID of a critical extension that nobody knows."""
    entry_critical: str
    """The same in every entry."""
    extra: Sequence[Extension]
    without: Sequence[str]
    authority_key_id: bytes | None
    digest: str
    rsa_padding: str
    outer_algorithm: bytes
    issuer_name: str | bytes
    signing_key: PrivateKey
    tamper: bool


def build_crl(
    issuer: Issuer,
    entries: Iterable[tuple[int, Revocation]],
    now: datetime,
    days: float,
    number: int | None,
    delta_base: int | None,
    knobs: CrlKnobs,
) -> bytes:
    """The DER of a CertificateList over (serial, revocation) pairs. Raises UsageError."""
    signing_key = knobs.get("signing_key", issuer.key)
    digest, rsa_padding = knobs.get("digest"), knobs.get("rsa_padding", "pkcs1")
    plain = knobs.get("version", 2) == 1
    algorithm = algorithm_of(signing_key, digest, rsa_padding)
    revoked = b"".join(_entry(serial, revocation, plain, knobs) for serial, revocation in entries)
    extensions = b"" if plain else ext.encode_extensions(_extensions(issuer, number, delta_base, knobs))
    next_update = knobs.get("next_update", now + timedelta(days=days))
    tbs = sequence(
        b"" if plain else integer(1),
        algorithm,
        name_bytes(knobs.get("issuer_name", issuer.name)),
        time(knobs.get("this_update", now)),
        b"" if next_update is None else time(next_update),
        sequence(revoked) if revoked else b"",
        explicit(0, extensions) if extensions else b"",
    )
    _, signature = sign_with(signing_key, tbs, digest, rsa_padding)
    if knobs.get("tamper", False):
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    return sequence(tbs, knobs.get("outer_algorithm", algorithm), bit_string(signature))


def delta_entries(
    base: Mapping[int, Revocation], current: Mapping[int, Revocation], now: datetime
) -> dict[int, Revocation]:
    """What changed since `base`: new and altered entries, and removeFromCRL for those that went (RFC 5280 5.2.4)."""
    changed = {serial: entry for serial, entry in current.items() if base.get(serial) != entry}
    gone = {serial: Revocation(now, "remove-from-crl") for serial in base if serial not in current}
    return changed | gone


def _entry(serial: int, revocation: Revocation, plain: bool, knobs: CrlKnobs) -> bytes:
    found: list[Extension] = []
    if revocation.reason is not None:
        code = integer(ext.REASONS[revocation.reason], tag=0x0A)
        found.append(Extension(ext.REASON_CODE, False, code))
    if revocation.invalidity_date is not None:
        found.append(Extension(ext.INVALIDITY_DATE, False, generalized_time(revocation.invalidity_date)))
    if revocation.issuer is not None:
        found.append(Extension(ext.CERTIFICATE_ISSUER, True, sequence(explicit(4, revocation.issuer))))
    if unknown := knobs.get("entry_critical"):
        found.append(Extension(unknown, True, null()))
    return sequence(integer(serial), time(revocation.at), b"" if plain else ext.encode_extensions(found))


def _extensions(issuer: Issuer, number: int | None, delta_base: int | None, knobs: CrlKnobs) -> list[Extension]:
    found: list[Extension] = []
    authority_key_id = knobs.get("authority_key_id", issuer.key_id)
    if authority_key_id is not None:
        found.append(ext.authority_key_identifier(authority_key_id))
    if number is not None:
        found.append(Extension(ext.CRL_NUMBER, False, integer(number)))
    if delta_base is not None:
        found.append(Extension(ext.DELTA_CRL_INDICATOR, True, integer(delta_base)))
    scope = ("urls", "only_user", "only_ca", "only_attribute", "only_reasons", "indirect")
    if any(knobs.get(key) for key in scope):
        found.append(
            ext.issuing_distribution_point(
                knobs.get("urls", ()),
                only_user=knobs.get("only_user", False),
                only_ca=knobs.get("only_ca", False),
                only_attribute=knobs.get("only_attribute", False),
                reasons=knobs.get("only_reasons"),
                indirect=knobs.get("indirect", False),
            )
        )
    if freshest := knobs.get("freshest_crl_urls", ()):
        found.append(ext.distribution_points(freshest, kind=ext.FRESHEST_CRL))
    if unknown := knobs.get("critical"):
        found.append(Extension(unknown, True, null()))
    without = knobs.get("without", ())
    return [one for one in found if one.oid not in without] + list(knobs.get("extra", ()))
