"""Names that do not prove what the peer says it is, and some that do (DC08, DC09)."""

from dataclasses import dataclass
from typing import ClassVar

from ikesim.errors import UsageError
from ikesim.faults.auth import RebuildAuth
from ikesim.faults.scene import Scene, SceneFault


def _claims(scene: Scene, identity: str, *, expect: bool = True) -> None:
    """Let the liar call itself so; `expect`: the connection expects exactly that."""
    scene.own["local_id"] = identity
    scene.judge["remote_id"] = identity if expect else "*"


@dataclass(kw_only=True)
class SanMismatch(SceneFault, rows="DC08 CL06"):
    """The certificate's names come close to the identity: absent, of another type, another case, a dot more."""

    form: str = "absent"

    FORMS: ClassVar[dict[str, tuple[str, list[str], str]]] = {
        # form: (identity, SANs, subject)
        "absent": ("fqdn:alice.example", [], "CN=alice.example"),
        "other": ("fqdn:alice.example", ["fqdn:mallory.example"], "CN=alice"),
        "type": ("fqdn:alice.example", ["rfc822:alice.example"], "CN=alice"),
        "uri": ("fqdn:alice.example", ["uri:http://alice.example"], "CN=alice"),
        "dot": ("fqdn:alice.example", ["fqdn:alice.example."], "CN=alice"),
        "blank": ("fqdn:alice.example", ["fqdn: alice.example"], "CN=alice"),
        "wildcard": ("fqdn:alice.example", ["fqdn:*.example"], "CN=alice"),
        "parent": ("fqdn:alice.example", ["fqdn:example"], "CN=alice"),
        "prefix": ("fqdn:alice.example", ["fqdn:alice.example.org"], "CN=alice"),
        "nul": ("fqdn:alice.example", ["fqdn:alice.example\x00.mallory.org"], "CN=alice"),
        "idn": ("fqdn:xn--bcher-kva.example", ["fqdn:b\xfccher.example"], "CN=alice"),
        "ip-as-dns": ("ipv4:192.0.2.1", ["fqdn:192.0.2.1"], "CN=alice"),
        "ip-other": ("ipv4:192.0.2.1", ["ipv4:192.0.2.11"], "CN=alice"),
        "ip-mapped": ("ipv6:::ffff:192.0.2.1", ["ipv4:192.0.2.1"], "CN=alice"),
        "mail-case": ("rfc822:alice@alice.example", ["rfc822:Alice@alice.example"], "CN=alice"),
        "mail-in-subject": ("rfc822:alice@alice.example", ["fqdn:alice.example"], "E=alice@alice.example, CN=alice"),
        "dn-order": ("dn:O=north, CN=alice", ["fqdn:alice.example"], "CN=alice, O=north"),
        "dn-more": ("dn:O=north, CN=alice", ["fqdn:alice.example"], "O=north, OU=x, CN=alice"),
        "dn-in-san": ("dn:O=north, CN=alice", ["dn:O=north, CN=alice"], "CN=alice"),
        "fqdn-for-dn": ("dn:CN=alice.example", ["fqdn:alice.example"], "O=north"),
        "key-id": ("key-id:alice.example", ["fqdn:alice.example"], "CN=alice"),
    }

    def prepare(self, scene: Scene) -> None:
        """The connection expects just this identity, so that only the certificate does not."""
        if self.form not in self.FORMS:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(self.FORMS)}")
        identity, sans, subject = self.FORMS[self.form]
        _claims(scene, identity)
        scene.below(scene.certify(sans=sans, subject=subject))


@dataclass(kw_only=True)
class SanMatch(SceneFault, rows="DC08 CL06 CL08 CO01"):
    """Names that prove the identity although they are not the same octets, or not the first name."""

    form: str = "case"

    FORMS: ClassVar[dict[str, tuple[str, list[str], str]]] = {
        "case": ("fqdn:alice.example", ["fqdn:ALICE.Example"], "CN=alice"),
        "second": ("fqdn:alice.example", ["fqdn:www.example", "fqdn:alice.example"], "CN=alice"),
        "mail": ("rfc822:alice@alice.example", ["rfc822:alice@ALICE.example"], "CN=alice"),
        "ipv4": ("ipv4:192.0.2.1", ["ipv4:192.0.2.1"], "CN=alice"),
        "ipv6": ("ipv6:2001:db8::1", ["ipv6:2001:db8::1"], "CN=alice"),
        "dn": ("dn:O=north, CN=alice", [], "O=north, CN=alice"),
        "dn-case": ("dn:O=North, CN=Alice", [], "O=north, CN=alice"),
    }

    def prepare(self, scene: Scene) -> None:
        """RFC 5280 7.1, 7.2 and 7.5 say how names are compared."""
        if self.form not in self.FORMS:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(self.FORMS)}")
        identity, sans, subject = self.FORMS[self.form]
        _claims(scene, identity)
        scene.below(scene.certify(sans=sans, subject=subject))


@dataclass(kw_only=True)
class SwappedIdentity(SceneFault, rows="DC09 DH12"):
    """The identity in IKE_AUTH is not the one of the certificate."""

    identity: str = "fqdn:mallory.example"
    signed: bool = True
    """Whether AUTH was made for it."""
    named: bool = False
    """Whether the certificate proves it beside the true one."""
    expected: str = "*"
    """remote-id of the other side."""

    def prepare(self, scene: Scene) -> None:
        """AUTH is made again for the new identity, or left as it was."""
        scene.judge["remote_id"] = self.expected
        scene.faults.append(RebuildAuth(identity=self.identity, sign=self.signed))
        names = [f"fqdn:{scene.liar}.example", *([self.identity] if self.named else [])]
        scene.below(scene.certify(sans=names))
