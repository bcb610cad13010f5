"""What OCSP says about one certificate (RFC 6960 3.2), and which responder to ask next.

A response is believed when its signer is the certificate's CA, a responder that this CA delegated (signed with the
same key, extended key usage OCSPSigning, valid now) or one that is trusted directly. A delegated responder without
id-pkix-ocsp-nocheck is looked up in the CRLs at hand; nothing is fetched for it.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha1, sha256
from typing import NamedTuple

from ikesim.pki.caching import Cache
from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.crl_candidates import HELD
from ikesim.pki.crl_status import look_at_crls
from ikesim.pki.decision import LearnedOcsp, RevocationOutcome
from ikesim.pki.der import DerError
from ikesim.pki.fetching import FetchKind, FetchRequest, FetchResult
from ikesim.pki.ocsp import (
    NO_CHECK,
    RESPONSE_STATUS,
    OcspResponse,
    SingleResponse,
    derive_nonce,
    encode_cert_id,
    encode_request,
    fetch_request,
    key_octets,
    read_response,
    request_nonce,
    responder_urls,
)
from ikesim.pki.revocation_case import (
    MAX_URLS,
    Case,
    Finding,
    Line,
    excerpt,
    fetch_time,
    key_digest,
    key_of,
    not_der,
    url_problem,
    weak_algorithm,
)
from ikesim.pki.verification import signature_algorithm, verify
from ikesim.reasons import Reason, rank

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
USED_RULE = "RFC 6960 3.2"
FETCH_RULE = "RFC 6960 2.1"
CLOCK_SKEW = timedelta(seconds=300)
"""How far ahead a responder's clock may be: the default of `openssl ocsp -validity_period`."""
MAX_AGE = timedelta(hours=24)
"""How old a response without nextUpdate may be, when no nonce proves that it is new."""
GET_REFUSED = frozenset((400, 404, 405, 414, 501))
"""HTTP statuses after which a GET is repeated as POST."""

_VERIFIED: Cache[bytes, bool] = Cache("ocsp-signatures", 4096)
"""Responses (SHA-256 of the DER, SHA-256 of the key) whose signature verified."""


class _Exchange(NamedTuple):
    """A request and, where it was made, its result."""

    url: str
    request: FetchRequest
    nonce: bytes | None
    result: FetchResult | None


@dataclass(slots=True, eq=False)
class _Answer:
    """A verified status of the certificate."""

    single: SingleResponse
    line: Line


def look_at_ocsp(case: Case, *, decisive: bool = True) -> None:
    """Judge by OCSP responses. When not `decisive` only those at hand are looked at."""
    answers = [_open(case, octets, HELD, None, None) for octets in dict.fromkeys(case.context.ocsp)]
    exchanges = _exchanges(case) if decisive else []
    for exchange in exchanges:
        if exchange.result is not None:
            answers.append(_opened(case, exchange, exchange.result))
    _judge(case, [answer for answer in answers if answer is not None])
    if not decisive or case.revoked is not None or case.good is not None:
        return
    if case.context.fetch:
        untried = next((exchange for exchange in exchanges if exchange.result is None), None)
        if untried is not None:
            case.want(untried.request)
            return
    _note_missing(case, exchanges)


# asking


def _exchanges(case: Case) -> list[_Exchange]:
    """What is to be asked, in order: the certificate's responders, then the operator's."""
    settings = case.settings.ocsp
    operator = dict.fromkeys(settings.url)
    try:
        named = responder_urls(case.certificate)
    except DerError as error:
        line = case.line(case.certificate.names, "certificate", "RFC 5280 4.2.2.1")
        line.unused(f"authorityInfoAccess cannot be read: {error}")
        named = ()
    urls = []
    refused = []
    for url in dict.fromkeys((*named, *operator)):
        problem = url_problem(url)
        if problem is None:
            urls.append(url)
        else:
            refused.append((url, problem))
    for url, problem in refused:
        case.line("OCSP response", excerpt(url), FETCH_RULE).out(Reason.OCSP_FETCH_REFUSED, problem, counts=not urls)
    urls = urls[:MAX_URLS]
    cert_id = encode_cert_id(case.certificate, case.issuer)
    nonce = None
    if settings.nonce:
        nonce = case.context.nonce or derive_nonce(cert_id, case.context.at)
    exchanges = []
    for url in urls:
        exchanges += _asked(case, url, cert_id, nonce, fetch_time(len(urls)), url in operator)
    return exchanges


def _asked(
    case: Case, url: str, cert_id: bytes, nonce: bytes | None, timeout: float, operator: bool
) -> list[_Exchange]:
    """The exchange with one responder; a GET that its server refused is followed by a POST."""
    fetched = case.context.fetched
    body = encode_request(cert_id, nonce)
    request = fetch_request(url, body, get=nonce is None, timeout=timeout, operator=operator)
    result = fetched.get(request)
    if result is None and nonce is not None:
        for other, answer in fetched.items():  # made at another moment, with the nonce of that moment
            if other.kind is FetchKind.OCSP and other.url == url:
                used = request_nonce(other.body, cert_id)
                if used is not None:
                    return [_Exchange(url, other, used, answer)]
    exchange = _Exchange(url, request, nonce, result)
    if request.method == "GET" and result is not None and result.status in GET_REFUSED:
        post = fetch_request(url, body, get=False, timeout=timeout, operator=operator)
        return [exchange, _Exchange(url, post, nonce, fetched.get(post))]
    return [exchange]


def _opened(case: Case, exchange: _Exchange, result: FetchResult) -> _Answer | None:
    """The answer that a fetch brought; a fetch that failed gets its line."""
    if result.body is not None and result.status in (None, 200):
        return _open(case, result.body, exchange.url, exchange.nonce, result)
    line = case.line("OCSP response", exchange.url, FETCH_RULE, status=result.status, method=exchange.request.method)
    if result.refused:
        line.out(Reason.OCSP_FETCH_REFUSED, excerpt(result.error))
    else:
        line.out(Reason.OCSP_FETCH_FAILED, excerpt(result.error) or f"HTTP status {result.status}")
    return None


# reading


def _open(case: Case, octets: bytes, source: str, nonce: bytes | None, result: FetchResult | None) -> _Answer | None:
    """Take one response through the steps of RFC 6960 3.2; None with its line out, or when it is not about us."""
    try:
        response = read_response(octets)
    except DerError as error:
        line = case.line("OCSP response", source, USED_RULE, octets=len(octets))
        line.out(Reason.OCSP_MALFORMED, f"not an OCSP response: {error}{not_der(octets)}")
        return None
    if response.status != 0:
        line = case.line("OCSP response", source, "RFC 6960 4.2.1")
        status = RESPONSE_STATUS.get(response.status, f"status {response.status}")
        line.out(Reason.OCSP_ERROR_STATUS, f"the responder says {status}", status=status)
        return None
    ours = [item for item in response.singles if item.cert_id.same_issuer(case.certificate, case.issuer)]
    if not ours and result is None:
        line = case.line(f"OCSP response of {response.responder}", source, USED_RULE)
        line.unused("about certificates of other CAs")
        return None
    line = case.line(f"OCSP response of {response.responder}", source, USED_RULE, produced_at=response.produced_at)
    if response.unknown_critical:
        line.out(Reason.OCSP_MALFORMED, "an unknown critical extension", extensions=response.unknown_critical)
        return None
    if not _signed(case, response, line):
        return None
    single = _newest([item for item in ours if item.cert_id.serial == case.certificate.serial])
    if single is None:
        serials = tuple(f"{item.cert_id.serial:#x}" for item in response.singles[:8])
        line.out(
            Reason.OCSP_SERIAL_MISMATCH,
            "about another certificate",
            asked=f"{case.certificate.serial:#x}",
            answered=serials,
        )
        return None
    line.evidence |= {
        "status": single.status,
        "this_update": single.this_update,
        "next_update": single.next_update,
    }
    if single.status == "revoked" and single.reason != "certificateHold":
        case.found(_finding(single, line))
        return None
    fault = _timely(case, response, single, nonce, asked=result is not None)
    if fault is not None:
        line.out(fault[0], fault[1], at=case.context.at)
        return None
    if result is not None and single.next_update is not None and single.status == "good":
        case.learned_ocsp[octets] = LearnedOcsp(octets, single.cert_id.serial, single.next_update)
    return _Answer(single, line)


def _newest(singles: list[SingleResponse]) -> SingleResponse | None:
    """The status that counts when a response holds several of one certificate: revoked, else the newest."""
    return max(singles, key=lambda item: (item.status == "revoked", item.this_update), default=None)


def _timely(
    case: Case, response: OcspResponse, single: SingleResponse, nonce: bytes | None, *, asked: bool
) -> tuple[Reason, str] | None:
    """Why a status cannot be used now: its nonce or its times."""
    at = case.context.at
    fresh = asked and nonce is not None
    if fresh and response.nonce != nonce:
        cause = "no nonce in the response" if response.nonce is None else "another nonce than the request's"
        return Reason.OCSP_NONCE, cause
    if single.this_update > at + CLOCK_SKEW:
        return Reason.OCSP_NOT_YET_VALID, "thisUpdate is in the future"
    if single.next_update is not None:
        return (Reason.OCSP_STALE, "past nextUpdate") if at > single.next_update else None
    if not fresh and at - single.this_update > MAX_AGE:
        return Reason.OCSP_STALE, f"without nextUpdate, and older than {MAX_AGE}"
    return None


def _judge(case: Case, answers: list[_Answer]) -> None:
    """The newest current status counts."""
    answers.sort(key=lambda answer: answer.single.this_update, reverse=True)
    for position, answer in enumerate(answers):
        line = answer.line
        if position and answer.single.status != "unknown":
            line.unused("a newer response is used")
        elif answer.single.status == "good":
            case.good = case.good or line
        elif answer.single.status == "revoked":
            case.found(_finding(answer.single, line))
        else:
            line.out(Reason.OCSP_UNKNOWN, "the responder does not know the certificate")
            case.unknown = case.unknown or line


def _finding(single: SingleResponse, line: Line) -> Finding:
    reason = Reason.CERT_ON_HOLD if single.reason == "certificateHold" else Reason.CERT_REVOKED
    evidence: dict[str, object] = {
        "revocation_date": single.revoked_at,
        "revocation_reason": single.reason or "without a reason",
        "says": line.subject,
    }
    return Finding(reason, line, evidence)


# signers


def _signed(case: Case, response: OcspResponse, line: Line) -> bool:
    """Whether the signature verifies with the key of somebody who may sign (RFC 6960 4.2.2.2)."""
    trusted = [item for item in (case.issuer, *case.context.responders) if _names(response, item)]
    delegates = []
    for der in response.certificates:
        try:
            certificate = parse(der)
        except CertificateError:
            continue
        if _names(response, certificate) and certificate not in trusted:
            delegates.append(certificate)
    fault = (Reason.OCSP_SIGNER_NOT_AUTHORIZED, "not the CA, and its certificate is not in the response")
    for certificate in (*trusted, *delegates):
        found = None if certificate in trusted else _delegation_fault(case, certificate)
        found = found or _signature_fault(case, response, certificate)
        if found is None:
            line.evidence["signer"] = certificate.names
            return True
        fault = max(found, fault, key=lambda item: rank(item[0]))  # of equals what was found out last
    line.out(fault[0], fault[1], responder=response.responder)
    return False


def _names(response: OcspResponse, certificate: Certificate) -> bool:
    """The responder ID means this certificate."""
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    return response.responder_key == sha1(key_octets(certificate), usedforsecurity=False).digest()


def _delegation_fault(case: Case, certificate: Certificate) -> tuple[Reason, str] | None:
    """Why a certificate does not make its holder a responder for the CA."""
    refused, at = Reason.OCSP_SIGNER_NOT_AUTHORIZED, case.context.at
    usages = certificate.extended_key_usage
    if certificate.issuer != case.issuer.subject:
        return refused, f"issued by {certificate.issuer.text}, not by the CA of the certificate"
    if usages is None or OCSP_SIGNING not in usages:
        return refused, "extended key usage lacks OCSPSigning"
    unknown = tuple(extension for extension in certificate.critical if extension != NO_CHECK)
    if certificate.inner_algorithm != certificate.outer_algorithm or unknown:
        return refused, "its certificate breaks the profile"
    key = key_of(case.issuer)
    algorithm = certificate.algorithm
    weak = weak_algorithm(algorithm, case.context.schemes)
    if weak is not None:
        return refused, weak
    case.context.budget.signature()
    if key is None or not verify(key, algorithm, certificate.tbs, certificate.signature):
        return refused, "its certificate is not signed by the CA of the certificate"
    if not certificate.not_before <= at <= certificate.not_after:
        return Reason.OCSP_SIGNER_EXPIRED, f"valid from {certificate.not_before} to {certificate.not_after}"
    if NO_CHECK not in certificate.extensions and certificate.der not in case.context.active:
        context = replace(case.context, active=case.context.active | {certificate.der})
        inner = Case(certificate, case.issuer, case.settings, context)
        look_at_crls(inner, decisive=False)
        found = inner.revoked or inner.on_hold
        if found is not None:
            return refused, f"its certificate is revoked, says {found.line.subject}"
    return None


def _signature_fault(case: Case, response: OcspResponse, certificate: Certificate) -> tuple[Reason, str] | None:
    """Why the signature is not one of this certificate's key."""
    algorithm = signature_algorithm(response.signature_algorithm)
    weak = weak_algorithm(algorithm, case.context.schemes)
    if weak is not None:
        return Reason.OCSP_BAD_SIGNATURE, weak
    memory = sha256(response.der).digest() + key_digest(certificate)
    budget = case.context.budget
    if _VERIFIED.get(memory):
        budget.remembered(memory)
        return None
    key = key_of(certificate)
    budget.signature()
    if key is None or not verify(key, algorithm, response.to_be_signed, response.signature):
        return Reason.OCSP_BAD_SIGNATURE, f"the key of {certificate.names} does not verify the signature"
    _VERIFIED.put(memory, True)
    budget.verified(memory)
    return None


def _note_missing(case: Case, exchanges: list[_Exchange]) -> None:
    """Say that there is no response, where no line says what became of it."""
    if case.has_fault("ocsp-"):
        return
    urls = tuple(exchange.url for exchange in exchanges)
    line = case.line("OCSP response", "nowhere", FETCH_RULE, urls=urls, fetching=case.context.fetch)
    if urls:
        line.out(Reason.OCSP_MISSING, "none is held, and nothing is fetched")
    else:
        line.out(Reason.OCSP_MISSING, "none is held, and neither certificate nor profile name a responder")
        line.result = RevocationOutcome.SKIPPED
