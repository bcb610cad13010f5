"""The price of a trust decision: a valid chain of three P-256 certificates, both CRLs held, strict revocation.

Cold, nothing of it was seen before: certificates, keys and CRLs are other ones each time, and every cache is empty.
The floor is what was called in the library for it (`cryptography`: keys read, signatures verified), recorded with its
arguments and called again bare. Cached, the same question comes a second later: no signature is checked. Beside it
stand two others that do the same: pyhanko-certvalidator in this process, and `openssl verify` with the CPU of its
process, its start among it. What a large CRL costs is measured with 10,000 entries, with --full with 1,000,000.
"""

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time_ns
from typing import Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from ikesim.crypto.signatures import SignatureScheme, sign
from ikesim.pki import (
    Evidence,
    Identity,
    TrustPolicy,
    TrustRequest,
    clear_caches,
    decide,
    der,
    publickeys,
    verification,
)
from ikesim.pki.authority import Authority
from ikesim.pki.crl import Crl, read_crl
from ikesim.pki.der_writer import bit_string, integer, sequence, utc_time

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SERIAL_OCTETS = 16
"""Of the entries of the large CRL, as public CAs have them."""


@dataclass(frozen=True)
class Chain:
    """A leaf with what is needed to judge it, DER."""

    leaf: bytes
    intermediate: bytes
    root: bytes
    crls: tuple[bytes, bytes]

    @classmethod
    def fresh(cls) -> "Chain":
        """New keys and certificates."""
        root = Authority.create("root", now=NOW - 100 * DAY)
        sub = Authority.create("sub", now=NOW - 50 * DAY, issuer=root)
        leaf = sub.leaf("CN=bob", ("fqdn:bob.example",), NOW - 10 * DAY)
        return cls(leaf.certificate, sub.certificate, root.certificate, (root.crl(NOW - DAY), sub.crl(NOW - DAY)))

    def decide(self, at: datetime = NOW) -> None:
        """Ask ours."""
        decision = decide(
            TrustRequest(
                certificates=[self.leaf, self.intermediate],
                identity=Identity.parse("fqdn:bob.example"),
                policy=TrustPolicy(anchors=[self.root]),
                at=at,
            ),
            Evidence(crls=self.crls),
        )
        assert decision.accepted, decision.summary


class Calls:
    """The library's calls that a decision makes."""

    def __init__(self) -> None:
        self.made: list[Callable[[], object]] = []
        self.signatures = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is called inside."""
        load, check = load_der_public_key, verification._verify

        def loaded(spki: bytes) -> Any:
            self.made.append(partial(load, spki))
            return load(spki)

        def verified(key: Any, algorithm: Any, signed: bytes, signature: bytes) -> None:
            digest = verification._HASHES[algorithm.hash]()
            self.made.append(partial(key.verify, signature, signed, ec.ECDSA(digest)))
            self.signatures += 1
            check(key, algorithm, signed, signature)

        with (
            patch.object(publickeys, "load_der_public_key", loaded),
            patch.object(verification, "_verify", verified),
        ):
            yield

    def run(self) -> None:
        """Call them again."""
        for call in self.made:
            call()


def run(rounds: int = 40, *, full: bool = False) -> dict[str, Any]:
    """Figures in microseconds of CPU, and the ratios."""
    chains = [Chain.fresh() for _ in range(rounds)]
    clear_caches()
    chains[0].decide()
    spent: dict[str, list[float]] = {name: [] for name in ("cold", "floor", "library", "cached", "pyhanko_cold")}
    cached_signatures = 0
    for chain in chains:
        calls, again = Calls(), Calls()
        clear_caches()
        with calls.recording():
            chain.decide()
        clear_caches()
        spent["cold"].append(_cpu(chain.decide))
        spent["floor"].append(_cpu(calls.run))
        spent["library"].append(_cpu(partial(_library, chain)))
        with again.recording():
            chain.decide(NOW + timedelta(seconds=1))
        cached_signatures += again.signatures
        spent["cached"].append(_cpu(partial(chain.decide, NOW + timedelta(seconds=2))))
        spent["pyhanko_cold"].append(_cpu(partial(_pyhanko, chain)))
    figures: dict[str, Any] = {f"{name}_us": round(median(values), 1) for name, values in spent.items()}
    figures["signature_checks"] = calls.signatures
    openssl = shutil.which("openssl")
    if openssl is not None:
        figures["openssl_process_us"] = round(median(_openssl(openssl, chain) for chain in chains[:10]), 1)
    figures |= _large_crl(1_000_000 if full else 10_000)
    paired = zip(spent["cold"], spent["floor"], strict=True)
    ratios = {
        "cold_over_floor": round(median(cold / floor for cold, floor in paired), 3),
        "cached_signature_checks": cached_signatures,
        "cold_over_pyhanko": round(median(spent["cold"]) / median(spent["pyhanko_cold"]), 3),
    }
    return {"figures": figures, "ratios": ratios}


def _cpu(action: Callable[[], object]) -> float:
    """Microseconds of CPU of this thread."""
    start = thread_time_ns()
    action()
    return (thread_time_ns() - start) / 1000


def _library(chain: Chain) -> None:
    """What the library alone needs to read and verify the same, without deciding anything."""
    leaf, sub, root = (x509.load_der_x509_certificate(item) for item in (chain.leaf, chain.intermediate, chain.root))
    leaf.verify_directly_issued_by(sub)
    sub.verify_directly_issued_by(root)
    for issuer, octets in zip((root, sub), chain.crls, strict=True):
        crl = x509.load_der_x509_crl(octets)
        assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # an ECDSA key


def _pyhanko(chain: Chain) -> None:
    from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]  # it has none
    from asn1crypto import x509 as asn1_x509
    from pyhanko_certvalidator import CertificateValidator, ValidationContext

    leaf, sub, root = (asn1_x509.Certificate.load(item) for item in (chain.leaf, chain.intermediate, chain.root))
    context = ValidationContext(
        trust_roots=[root],
        crls=[asn1_crl.CertificateList.load(item) for item in chain.crls],
        moment=NOW,
        allow_fetching=False,
        revocation_mode="hard-fail",
    )
    asyncio.run(CertificateValidator(leaf, [sub], context).async_validate_path())


def _openssl(program: str, chain: Chain) -> float:
    """Microseconds of CPU of one process that verifies the chain with both CRLs."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "root.pem").write_text(DER_cert_to_PEM_cert(chain.root))
        (folder / "sub.pem").write_text(DER_cert_to_PEM_cert(chain.intermediate))
        (folder / "leaf.pem").write_text(DER_cert_to_PEM_cert(chain.leaf))
        crls = (x509.load_der_x509_crl(octets).public_bytes(Encoding.PEM) for octets in chain.crls)
        (folder / "crls.pem").write_bytes(b"".join(crls))
        command = [program, "verify", "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-untrusted", "sub.pem"]
        command += ["-CRLfile", "crls.pem", "-crl_check_all", "-attime", str(int(NOW.timestamp())), "leaf.pem"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6


# a large CRL


def _large_crl(entries: int) -> dict[str, Any]:
    """Load time (reading, verifying, indexing), memory and lookups of a CRL of so many entries."""
    root = Authority.create("root", now=NOW - 100 * DAY)
    serials = [int.from_bytes(b"\x01" + os.urandom(SERIAL_OCTETS - 1)) for _ in range(entries)]
    octets = _crl_of(root, serials)
    key = x509.load_der_x509_certificate(root.certificate).public_key()
    resident = _resident()
    start = perf_counter()
    crl = read_crl(octets)
    algorithm = verification.signature_algorithm(crl.signature_algorithm)
    verified = verification.verify(key, algorithm, bytes(crl.to_be_signed), crl.signature)  # type: ignore[arg-type]  # ECDSA
    assert verified and crl.count == entries
    loaded = perf_counter() - start
    grown = _resident() - resident
    return {
        "crl_entries": entries,
        "crl_mebibytes": round(len(octets) / 2**20, 2),
        "crl_load_ms": round(loaded * 1000, 1),
        "crl_memory_mebibytes": round(grown / 2**20, 1),
        "crl_hit_us": _lookup(crl, serials[:: max(1, entries // 1000)], 1),
        "crl_miss_us": _lookup(crl, [int.from_bytes(b"\x02" + os.urandom(15)) for _ in range(1000)], 0),
    }


def _crl_of(authority: Authority, serials: list[int]) -> bytes:
    """A CRL with these entries, written at once and signed."""
    small = der.read(authority.crl(NOW - DAY, entries=[]), der.SEQUENCE)
    inner, algorithm, _ = small.children()
    fields = [element.der for element in inner.children()]
    date = utc_time(NOW - 2 * DAY)
    listed = sequence(*(sequence(integer(serial), date) for serial in serials))
    signed = sequence(*fields[:5], listed, fields[-1])
    signature = sign(authority.key, SignatureScheme.ECDSA_SHA256, signed)
    return sequence(signed, algorithm.der, bit_string(signature))


def _lookup(crl: Crl, serials: list[int], expected: int) -> float:
    """Microseconds a lookup, the median over many."""
    taken = []
    for serial in serials:
        start = perf_counter()
        found = crl.find(serial)
        taken.append(perf_counter() - start)
        assert len(found) == expected
    return round(median(taken) * 1e6, 2)


def _resident() -> int:
    """Octets of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
