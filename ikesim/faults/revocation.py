"""Revocation gone wrong: CRLs, the servers that publish them, and OCSP responders (DC17-DC19).

The certificates are valid and AUTH is right; what is published about them is not. `held` says whether the other side
holds the CRL already or asks the network for it.
"""

import gzip
from base64 import b64decode, encodebytes
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from ikesim.errors import UsageError
from ikesim.faults.certificates import UNKNOWN_EXTENSION
from ikesim.faults.scene import Scene, SceneFault
from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.authority.signing import algorithm_of
from ikesim.pki.fetching import FetchRequest
from ikesim.sim.services import Answer

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
KEY_COMPROMISE = (1,)
"""Bit numbers of ReasonFlags."""


@dataclass(kw_only=True)
class RevokedCertificate(SceneFault, rows="DC17 CS08 CS35 CL19"):
    """A certificate of the chain is revoked or on hold."""

    level: str = "leaf"
    reason: str = "key-compromise"
    """Of RFC 5280 5.3.1; certificate-hold puts it on hold."""
    held: bool = True

    def prepare(self, scene: Scene) -> None:
        """By its issuer, who publishes a new CRL."""
        scene.fetch = not self.held
        scene.pki.revoke(scene.liar if self.level == "leaf" else scene.issuer.name, self.reason)


@dataclass(kw_only=True)
class BadCrl(SceneFault, rows="DC17 CL20"):
    """The CRL of the issuing CA is not one to rely on."""

    form: str = "expired"
    held: bool = True
    revokes: bool = False
    """Whether it lists the end certificate."""

    def prepare(self, scene: Scene) -> None:
        """Published in place of the good one."""
        forms: dict[str, Callable[[Scene], bytes]] = {
            "expired": lambda s: s.issuer.crl(s.now - 9 * DAY, days=1),
            "future": lambda s: s.issuer.crl(s.now + HOUR),
            "other-issuer": lambda s: s.root.crl(s.now - HOUR),
            "no-crlsign": _without_crl_sign,
            "no-next-update": lambda s: s.issuer.crl(s.now - HOUR, next_update=None),
            "tampered": lambda s: s.issuer.crl(s.now - HOUR, tamper=True),
            "other-key": lambda s: s.issuer.crl(s.now - HOUR, signing_key=s.key("crl")),
            "sha1": lambda s: s.issuer.crl(s.now - HOUR, digest="sha1"),
            "contradicting": _contradicting,
            "delta-only": _delta_only,
            "reasons": lambda s: s.issuer.crl(s.now - HOUR, only_reasons=KEY_COMPROMISE),
            "only-ca": lambda s: s.issuer.crl(s.now - HOUR, only_ca=True),
            "critical": lambda s: s.issuer.crl(s.now - HOUR, critical=UNKNOWN_EXTENSION),
            "entry-critical": lambda s: s.issuer.crl(
                s.now - HOUR, entries=[(1, Revocation(s.now - DAY))], entry_critical=UNKNOWN_EXTENSION
            ),
            "other-point": lambda s: s.issuer.crl(s.now - HOUR, urls=("http://elsewhere.example/x.crl",)),
            "garbage": lambda s: b"\x30\x82\xff\xff",
            "pem": lambda s: _pem(s.issuer.crl(s.now - HOUR)),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        scene.fetch = not self.held
        if self.revokes:
            scene.pki.revoke(scene.liar, "key-compromise", publish=False)
        scene.pki.crls[scene.issuer.name] = forms[self.form](scene)


def _without_crl_sign(scene: Scene) -> bytes:
    scene.send(scene.certify(), scene.recertify(scene.issuer, key_usage=("keyCertSign",)))
    return scene.issuer.crl(scene.now - HOUR)


def _contradicting(scene: Scene) -> bytes:
    return scene.issuer.crl(scene.now - HOUR, outer_algorithm=algorithm_of(scene.issuer.key, "sha512"))


def _delta_only(scene: Scene) -> bytes:
    scene.issuer.crl(scene.now - 2 * DAY, number=10)
    return scene.issuer.crl(scene.now - HOUR, number=11, delta_base=10)


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n"


@dataclass(kw_only=True)
class DeltaCrl(SceneFault, rows="DC17 CS33"):
    """A complete CRL and a delta CRL of it, both held, that say different things."""

    form: str = "revokes"
    """revokes (in the delta only), removes (from a hold, removeFromCRL), mismatch (of another base), older."""

    def prepare(self, scene: Scene) -> None:
        """RFC 5280 5.2.4: the delta has the last word, if it fits."""
        issuer, leaf = scene.issuer, _certificate(scene)
        if self.form == "removes":
            issuer.revoke(leaf, "certificate-hold", at=scene.now - 3 * DAY)
        base = issuer.crl(scene.now - 2 * DAY, number=10)
        if self.form == "removes":
            issuer.unrevoke(leaf)
        else:
            issuer.revoke(leaf, "key-compromise", at=scene.now - DAY)
        issuer.published[20] = issuer.published[10]
        number, of = {"older": (9, 10), "mismatch": (22, 20)}.get(self.form, (11, 10))
        delta = issuer.crl(scene.now - HOUR, number=number, delta_base=of)
        scene.pki.crls[issuer.name] = base
        scene.pki.crls[f"{issuer.name}-delta"] = delta
        scene.pki.authorities[f"{issuer.name}-delta"] = issuer


def _certificate(scene: Scene) -> bytes:
    """The liar's own certificate."""
    return scene.issuer.find(scene.liar).certificate


@dataclass(kw_only=True)
class IndirectCrl(SceneFault, rows="DC17"):
    """The CRL comes from another CA than the issuer: named by the certificate (cRLIssuer), or not."""

    named: bool = True
    revokes: bool = False

    def prepare(self, scene: Scene) -> None:
        """That other CA is an intermediate under the same root, known to the judge."""
        other = scene.pki.add_authority(f"{scene.side}-crls", parent=scene.side)
        knobs: dict[str, Any] = {}
        if self.named:
            knobs = {"crl_issuer": f"O={scene.side}, CN={other.name}"}
        leaf = scene.certify(crl_urls=(scene.pki.crl_url(other.name),), **knobs)
        if self.revokes:
            scene.issuer.revoke(leaf, "key-compromise", at=scene.now - DAY)
        scene.pki.crls[other.name] = other.crl(
            scene.now - HOUR, others=(scene.issuer,), urls=(scene.pki.crl_url(other.name),)
        )
        scene.fetch = True
        scene.send(leaf, scene.issuer.certificate, other.certificate)


@dataclass(kw_only=True)
class CrlNumberBackwards(SceneFault, rows="DC17"):
    """A server publishes an older CRL than the one that is held, which has just gone stale."""

    def prepare(self, scene: Scene) -> None:
        """The fetched one would still be current."""
        held = scene.issuer.crl(scene.now - 3 * DAY, days=1, number=20)
        old = scene.issuer.crl(scene.now - 4 * DAY, days=9, number=19)
        scene.pki.crls[scene.issuer.name] = held
        scene.services[scene.pki.crl_url(scene.issuer.name)] = lambda request, wall: old


@dataclass(kw_only=True)
class LargeCrl(SceneFault, rows="DC17"):
    """A CRL of many entries, fetched; the end certificate may be among them."""

    entries: int = 1000
    revokes: bool = False

    def prepare(self, scene: Scene) -> None:
        """It comes from the network."""
        scene.fetch = True
        at = scene.now - DAY
        listed = [(number << 128 | 1, Revocation(at, "superseded")) for number in range(1, self.entries + 1)]
        if self.revokes:
            listed.insert(self.entries // 2, (scene.issuer.find(scene.liar).serial, Revocation(at, "superseded")))
        scene.pki.crls[scene.issuer.name] = scene.issuer.crl(scene.now - HOUR, entries=listed)


# DC18: servers


@dataclass(kw_only=True)
class CrlServer(SceneFault, rows="DC18 CS09 CS40 CS41"):
    """The server of the CRL misbehaves."""

    form: str = "404"
    """404, 500, reset, slow (too slow), late (but in time), gzip, html, pem, empty, oversize, redirects."""
    level: str = "leaf"
    """Whose issuer's CRL it is: leaf, or intermediate (the root's)."""

    def prepare(self, scene: Scene) -> None:
        """The CRL itself is good."""
        name = scene.issuer.name if self.level == "leaf" else scene.side
        good = scene.pki.crls[name]
        page = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
        forms: dict[str, Answer] = {
            "404": Answer(page, status=404),
            "500": Answer(page, status=500),
            "reset": Answer(error="connection reset by peer", status=None),
            "slow": Answer(good, delay=60.0),
            "late": Answer(good, delay=4.0),
            "gzip": Answer(gzip.compress(good, mtime=0)),
            "html": Answer(page),
            "pem": Answer(_pem(good)),
            "empty": Answer(b""),
            "oversize": Answer(good + bytes(17 * 1024 * 1024)),
            "redirects": Answer(error="more than 5 redirects", status=None),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        scene.fetch = True
        answer = forms[self.form]
        scene.services[scene.pki.crl_url(name)] = lambda request, wall: answer


@dataclass(kw_only=True)
class CrlUrl(SceneFault, rows="DC18"):
    """The certificate names odd places for its CRL."""

    urls: str = "http://127.0.0.1/x.crl"
    """Joined by blanks; {good} stands for the true one."""
    points: bool = True
    """Whether each is a distribution point of its own."""

    def prepare(self, scene: Scene) -> None:
        """Every one of them would answer with the good CRL, so that what is refused is refused by rule."""
        good = scene.pki.crl_url(scene.issuer.name)
        urls = [url.replace("{good}", good) for url in self.urls.split()]
        scene.fetch = True
        for url in urls:
            if "dead" not in url:
                scene.services[url] = lambda request, wall: scene.pki.crls[scene.issuer.name]
        scene.below(scene.certify(crl_urls=tuple(urls)))


@dataclass(kw_only=True)
class ExpiresMeanwhile(SceneFault, rows="DC23"):
    """The certificate is valid when IKE_SA_INIT is sent, and expires while IKE_AUTH waits for a CRL."""

    seconds: float = 2.0
    """After which it expires; the CRL comes after four."""

    def prepare(self, scene: Scene) -> None:
        """What counts is the time of the verdict."""
        scene.fetch = True
        name = scene.issuer.name
        good = scene.pki.crls[name]
        scene.services[scene.pki.crl_url(name)] = lambda request, wall: Answer(good, delay=4.0)
        scene.below(scene.certify(not_after=scene.now + timedelta(seconds=self.seconds)))


# DC19: OCSP


@dataclass(kw_only=True)
class OcspResponder(SceneFault, rows="DC19 CS36 CS37 CS38"):
    """The OCSP responder of the issuing CA gives a strange answer."""

    form: str = "good"
    method: str = "ocsp"
    """ocsp, or ocsp-then-crl: then CRLs are published, too."""

    def prepare(self, scene: Scene) -> None:
        """Both CAs above the liar have a responder; that of the root is good."""
        settings = scene.judge.setdefault("revocation", {})
        settings.setdefault("method", self.method)
        scene.fetch = True
        below, above = f"http://ocsp.{scene.side}.example/issuing", f"http://ocsp.{scene.side}.example/root"
        leaf = scene.certify(ocsp_urls=(below,))
        scene.send(leaf, scene.recertify(scene.issuer, ocsp_urls=(above,)))
        scene.services[above] = lambda request, wall: scene.root.respond(_asked(request), wall)
        scene.services[below] = _responder(scene, self.form, leaf)


def _asked(request: FetchRequest) -> bytes:
    """The OCSP request of a POST, or of a GET (RFC 6960 A.1)."""
    return request.body or b64decode(unquote(request.url.rpartition("/")[2]))


def _responder(scene: Scene, form: str, leaf: bytes) -> Callable[[FetchRequest, datetime], Answer | bytes]:
    issuer, now = scene.issuer, scene.now
    if form in ("revoked", "on-hold", "replayed"):
        old = issuer.ocsp(leaf, now - 2 * HOUR, days=1, nonce=b"the nonce of old")
        issuer.revoke(leaf, "certificate-hold" if form == "on-hold" else "key-compromise", at=now - HOUR)
        if form == "replayed":
            return lambda request, wall: old
    knobs: dict[str, Callable[[], dict[str, Any]]] = {
        "good": dict,
        "revoked": dict,
        "on-hold": dict,
        "unknown": lambda: {"status": "unknown"},
        "delegated": lambda: {"responder": issuer.responder(now - DAY)},
        "delegated-by-key": lambda: {"responder": issuer.responder(now - DAY), "by_key": True},
        "no-eku": lambda: {"responder": issuer.responder(now - DAY, extended_key_usage=("serverAuth",))},
        "other-ca": lambda: {"responder": scene.root.responder(now - DAY)},
        "self-signed": lambda: {"responder": _self_signed(scene)},
        "signer-expired": lambda: {"responder": issuer.responder(now - 9 * DAY, days=1)},
        "no-nonce": lambda: {"nonce": None},
        "other-nonce": lambda: {"nonce": b"another nonce..."},
        "other-serial": lambda: {"answer_serial": 4711},
        "try-later": lambda: {"response_status": "try-later"},
        "unauthorized": lambda: {"response_status": "unauthorized"},
        "tampered": lambda: {"tamper": True},
        "other-key": lambda: {"signing_key": scene.key("ocsp")},
        "critical": lambda: {"critical": UNKNOWN_EXTENSION},
        "future": lambda: {"this_update": now + HOUR, "next_update": now + DAY},
        "stale": lambda: {"this_update": now - 2 * DAY, "next_update": now - DAY},
    }
    answers = {
        "html": Answer(b"<html>no</html>"),
        "404": Answer(b"", status=404),
        "dead": Answer(error="connection refused", status=None),
        "slow": Answer(b"", delay=60.0),
    }
    if form in answers:
        return lambda request, wall: answers[form]
    if form not in knobs:
        raise UsageError(f"form {form!r} is not one of {', '.join([*knobs, 'replayed', *answers])}")
    chosen = knobs[form]()
    return lambda request, wall: issuer.respond(_asked(request), wall, **chosen)


def _self_signed(scene: Scene) -> Any:
    """A responder whose certificate nobody issued but itself."""
    stranger: Authority = scene.authority("responder", subject="CN=responder")
    return stranger.responder(scene.now - DAY)


@dataclass(kw_only=True)
class OcspUrls(SceneFault, rows="DC19 CS11 CS40 CS41"):
    """The certificate names several responders, of which only the last answers, or none."""

    urls: str = "http://dead.example/1 http://good.example/2"
    """Those with dead in them refuse connections, those with slow answer after seconds; empty: none named."""

    def prepare(self, scene: Scene) -> None:
        """The root's certificate for the issuing CA has a good responder."""
        scene.judge.setdefault("revocation", {}).setdefault("method", "ocsp")
        scene.fetch = True
        above = f"http://ocsp.{scene.side}.example/root"
        urls = tuple(self.urls.split())
        scene.send(scene.certify(ocsp_urls=urls), scene.recertify(scene.issuer, ocsp_urls=(above,)))
        scene.services[above] = lambda request, wall: scene.root.respond(_asked(request), wall)
        for url in urls:
            if "dead" not in url:
                delay = 2.0 if "slow" in url else 0.02
                scene.services[url] = _late(scene.issuer, delay)


def _late(issuer: Authority, delay: float) -> Callable[[FetchRequest, datetime], Answer]:
    return lambda request, wall: Answer(issuer.respond(_asked(request), wall), delay=delay)
