"""What a file that is loaded becomes: local certificate, CA certificate or CRL, or a refusal that says what helps."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki.catalogue import State
from ikesim.pki.certificates import KEY_CERT_SIGN, Certificate, parse
from ikesim.pki.chains import is_self_signed, signed_crl
from ikesim.pki.containers import Contents
from ikesim.pki.crl import Crl, read_crl
from ikesim.pki.names import general_names, name
from ikesim.pki.objects import CaCertificate, HeldCrl, Loaded, ObjectKind, OwnCertificate, Provenance
from ikesim.pki.vault import Vault, check_name


@dataclass(frozen=True, slots=True)
class Order:
    """A request to load: what came, and what was said about it."""

    label: str
    """What sentences call the file."""
    contents: Contents
    as_id: str | None
    ca: str | None
    crl: str | None
    profiles: Collection[str] | None
    """The CA profiles of the configuration; None: unknown, every name is allowed."""
    now: datetime

    @property
    def provenance(self) -> Provenance:
        """Where what comes of it is from."""
        return Provenance(self.now, self.label)


def load(state: State, vault: Vault, order: Order) -> Loaded:
    """Carry out an order on `state`. Raises ForbiddenError, NotFoundError or UsageError."""
    if sum(flag is not None for flag in (order.as_id, order.ca, order.crl)) > 1:
        raise UsageError("say one of --as, --ca and --crl: a file is loaded as one thing")
    contents = order.contents
    if contents.certificates and contents.crls:
        raise UsageError(f"{order.label} holds certificates and CRLs: load them from files of their own")
    if contents.crls:
        if order.as_id is not None or order.ca is not None:
            raise UsageError(f"{order.label} is a CRL: load it with --crl PROFILE")
        return _load_crls(state, order)
    if order.crl is not None:
        raise UsageError(f"{order.label} is a certificate, not a CRL: load it with --as ID or --ca PROFILE")
    if not contents.certificates:
        raise UsageError(f"{order.label} holds no certificate and no CRL")
    if order.ca is not None:
        return _load_ca(state, order, order.ca)
    return _load_certificate(state, vault, order)


def keep_crl(state: State, new: HeldCrl) -> HeldCrl | None:
    """Put a CRL in the place of older ones of its issuer and scope; a newer one that is held stays and is returned.

    The same CRL again only becomes younger: that it was obtained just now is what a refresh interval asks for.
    """
    crl = read_crl(new.crl)
    rest: list[HeldCrl] = []
    for held in state.crls.get(new.profile, ()):
        other = read_crl(held.crl)
        if _scope(other) != _scope(crl):
            rest.append(held)
        elif _is_newer(other, crl):
            return held
    state.crls[new.profile] = (*rest, new)
    return None


def _load_certificate(state: State, vault: Vault, order: Order) -> Loaded:
    """A local certificate if its key is here; else it is in the CA class, which wants a profile."""
    certificates = [parse(der) for der in order.contents.certificates]
    if order.as_id is not None:
        check_name(order.as_id)
        public = vault.info(order.as_id).public
        leaf = next((one for one in certificates if one.spki == public), None)
        if leaf is None:
            raise _foreign_key(vault, order, certificates[0])
        return _load_local(state, order, order.as_id, leaf, certificates)
    for leaf in certificates:
        owner = vault.find(leaf.spki)
        if owner is not None:
            return _load_local(state, order, owner, leaf, certificates)
    first = certificates[0]
    for profile, held in state.ca.items():
        if held.certificate == first.der:
            return _same(ObjectKind.CA_CERTIFICATE, profile, order)
    what = "a CA certificate" if first.is_ca else "an end certificate, and no key pair here is its own"
    offered = "|".join(sorted(order.profiles)) if order.profiles else "PROFILE"
    raise UsageError(
        f"{order.label} ({_phrase(first)}) is {what}; whatever is not local counts as a CA certificate "
        f"and belongs to a CA profile: load it with --ca {offered}"
    )


def _foreign_key(vault: Vault, order: Order, certificate: Certificate) -> ForbiddenError:
    owner = vault.find(certificate.spki)
    hint = "load it with --ca PROFILE if it is a CA's" if owner is None else f"it belongs to {owner}: load it as that"
    return ForbiddenError(
        f"{order.label} ({_phrase(certificate)}) certifies another key than the key pair {order.as_id}; a local "
        f"certificate needs its private key on this device (KP-04): {hint}"
    )


def _load_local(
    state: State, order: Order, certificate_id: str, leaf: Certificate, certificates: list[Certificate]
) -> Loaded:
    own = state.own.get(certificate_id, OwnCertificate(certificate_id))
    if own.certificate == leaf.der:
        return _same(ObjectKind.LOCAL_CERTIFICATE, certificate_id, order)
    origin = own.waiting or own.origin
    if origin is None:
        raise ForbiddenError(
            f"{order.label} was not requested: a local certificate answers a request of this device (LC-02); make it "
            f"with ikesim pki request {certificate_id} --subject DN and let the CA sign that"
        )
    if own.certificate is not None:
        _check_newer(order, parse(own.certificate), leaf)
    warnings = _compare(origin.request, leaf) + _judge_validity(leaf, order.now)
    chain: list[bytes] = []
    for one in certificates:
        if one.der == leaf.der or one.der in chain:
            continue
        if is_self_signed(one):
            warnings.append(
                f"the self-signed {_phrase(one)} in {order.label} was left out: "
                "load it with --ca PROFILE if it is to be trusted"
            )
        else:
            chain.append(one.der)
    state.own[certificate_id] = OwnCertificate(
        certificate_id, leaf.der, order.provenance, tuple(chain), origin, waiting=None
    )
    place = "replaces the pending certificate" if own.certificate is None else "replaces the certificate before it"
    above = f", with {len(chain)} intermediate{'s' if len(chain) > 1 else ''}" if chain else ""
    return Loaded(
        ObjectKind.LOCAL_CERTIFICATE,
        certificate_id,
        f"{_phrase(leaf)} is the local certificate {certificate_id}{above}; it {place}",
        warnings=tuple(warnings),
    )


def _check_newer(order: Order, old: Certificate, new: Certificate) -> None:
    """A renewal must not go back in time (reason renewal-not-newer). Raises UsageError."""
    if (new.not_after, new.not_before) <= (old.not_after, old.not_before):
        raise UsageError(
            f"{order.label} ends {new.not_after:%Y-%m-%d %H:%M} UTC, no later than the certificate held "
            f"({old.not_after:%Y-%m-%d %H:%M} UTC): renewal-not-newer"
        )


def _load_ca(state: State, order: Order, profile: str) -> Loaded:
    _check_profile(order, profile)
    if len(order.contents.certificates) != 1:
        raise UsageError(
            f"{order.label} holds {len(order.contents.certificates)} certificates; a CA profile has one: "
            "put each into a file and a profile of its own"
        )
    certificate = parse(order.contents.certificates[0])
    held = state.ca.get(profile)
    if held is not None:
        if held.certificate == certificate.der:
            return _same(ObjectKind.CA_CERTIFICATE, profile, order)
        raise UsageError(
            f"profile {profile} already has the certificate of {_phrase(parse(held.certificate))}; "
            f"ikesim pki rm --ca {profile} makes room for another"
        )
    warnings = _judge_validity(certificate, order.now)
    if not certificate.is_ca:
        warnings.append("its basicConstraints do not make it a CA: it will never validate anything (CA-02)")
    elif certificate.key_usage is not None and not certificate.key_usage & KEY_CERT_SIGN:
        warnings.append("its key usage lacks keyCertSign: it will never validate anything (CA-02)")
    state.ca[profile] = CaCertificate(profile, certificate.der, order.provenance)
    return Loaded(
        ObjectKind.CA_CERTIFICATE,
        profile,
        f"{_phrase(certificate)} is the CA certificate of profile {profile}; compare its fingerprint with the CA's: "
        f"sha256:{certificate.fingerprint.hex()}",
        warnings=tuple(warnings),
    )


def _load_crls(state: State, order: Order) -> Loaded:
    profiles: list[str] = []
    warnings: list[str] = []
    before = dict(state.crls)
    for der in order.contents.crls:
        crl = read_crl(der)
        profile = order.crl if order.crl is not None else _profile_of(state, order, crl)
        _check_profile(order, profile)
        warnings += _judge_crl(state, order, profile, crl)
        if any(held.crl == der for held in state.crls.get(profile, ())):
            profiles.append(profile)
            continue
        newer = keep_crl(state, HeldCrl(profile, der, order.provenance))
        if newer is not None:
            raise UsageError(
                f"{order.label} (CRL number {_number(crl)}, {crl.this_update:%Y-%m-%d %H:%M} UTC) is older than the "
                f"CRL held (number {_number(read_crl(newer.crl))}): ikesim pki rm --crl {profile} before going back"
            )
        profiles.append(profile)
    if state.crls == before:
        return _same(ObjectKind.CRL, profiles[0], order)
    last = read_crl(order.contents.crls[-1])
    until = "without nextUpdate" if last.next_update is None else f"until {last.next_update:%Y-%m-%d %H:%M} UTC"
    return Loaded(
        ObjectKind.CRL,
        profiles[-1],
        f"the CRL of {last.issuer.text} (number {_number(last)}, entries: {last.count}, {until}) is held for profile "
        f"{profiles[-1]}",
        warnings=tuple(warnings),
    )


def _profile_of(state: State, order: Order, crl: Crl) -> str:
    """The profile whose CA signed a CRL, or whose CA's CRLs it belongs to."""
    fitting = [name for name, ca in state.ca.items() if signed_crl(parse(ca.certificate), crl)]
    if len(fitting) == 1:
        return fitting[0]
    offered = "|".join(fitting or sorted(order.profiles or ())) or "PROFILE"
    if fitting:
        raise UsageError(f"{order.label} is signed by the CA of several profiles: load it with --crl {offered}")
    raise UsageError(
        f"{order.label} (CRL of {crl.issuer.text}) is not signed by any CA certificate held: load that first, "
        f"or name the profile with --crl {offered}"
    )


def _judge_crl(state: State, order: Order, profile: str, crl: Crl) -> list[str]:
    """What is odd about a CRL for a profile. Raises UsageError when it names the profile's CA, which did not sign."""
    warnings: list[str] = []
    ca = state.ca.get(profile)
    if ca is None:
        warnings.append(f"its signature was not checked: profile {profile} has no CA certificate yet")
    else:
        certificate = parse(ca.certificate)
        if certificate.subject != crl.issuer:
            warnings.append(f"its issuer {crl.issuer.text} is not the CA of profile {profile} ({certificate.names})")
        elif not signed_crl(certificate, crl):
            raise UsageError(
                f"{order.label} names {crl.issuer.text} as its issuer, but the CA certificate of profile {profile} "
                "did not sign it: get the CRL from the CA again"
            )
    if crl.next_update is not None and crl.next_update < order.now:
        warnings.append(f"it is stale since {crl.next_update:%Y-%m-%d %H:%M} UTC")
    if crl.this_update > order.now:
        warnings.append(f"it is not valid before {crl.this_update:%Y-%m-%d %H:%M} UTC")
    return warnings


def _check_profile(order: Order, profile: str) -> None:
    check_name(profile, "CA profile name")
    if order.profiles is not None and profile not in order.profiles:
        known = ", ".join(sorted(order.profiles)) or "none"
        raise NotFoundError(
            f"the configuration has no CA profile {profile} (it has {known}): add [pki.ca-profile.{profile}]"
        )


def _compare(request: bytes, leaf: Certificate) -> list[str]:
    """Where a certificate differs from what was requested: a reply is judged by its content."""
    wanted, sans = request_names(request)
    warnings: list[str] = []
    if wanted != leaf.subject.text:
        warnings.append(f"the CA certified {leaf.subject.text or 'an empty subject'}, the request asked for {wanted}")
    given = {one.text for one in leaf.san}
    missing = [one for one in sans if one not in given]
    if missing:
        warnings.append(f"the CA did not certify {', '.join(missing)}, which the request asked for")
    return warnings


def _judge_validity(certificate: Certificate, now: datetime) -> list[str]:
    if now < certificate.not_before:
        return [f"it is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"]
    if now > certificate.not_after:
        return [f"it expired {certificate.not_after:%Y-%m-%d %H:%M} UTC"]
    return []


def _same(kind: ObjectKind, held: str, order: Order) -> Loaded:
    return Loaded(kind, held, f"{order.label} is already held as the {kind.value} of {held}", changed=False)


def _phrase(certificate: Certificate) -> str:
    return f"{certificate.names}, serial {certificate.serial:#x}"


def _scope(crl: Crl) -> tuple[object, ...]:
    return crl.issuer, crl.authority_key_id, crl.idp_der, crl.is_delta


def _is_newer(one: Crl, other: Crl) -> bool:
    if one.number is not None and other.number is not None and one.number != other.number:
        return one.number > other.number
    return one.this_update > other.this_update


def _number(crl: Crl) -> str:
    return "none" if crl.number is None else str(crl.number)


def request_names(request: bytes) -> tuple[str, tuple[str, ...]]:
    """(subject, SANs) of a PKCS#10 request of ours, as people write them."""
    asked = x509.load_der_x509_csr(request)
    try:
        extension = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return name(asked.subject.public_bytes()).text, ()
    return name(asked.subject.public_bytes()).text, tuple(one.text for one in general_names(extension.public_bytes()))
