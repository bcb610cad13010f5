"""Identities against certificates (RFC 4945 3.1, RFC 5280 7), what comes close, and whom a connection expects."""

from functools import lru_cache

import pytest

from ikesim.errors import UsageError
from ikesim.pki import Certificate, Identity, IdentityPattern, match_certificate, parse
from ikesim.pki.identity import IdentityError, equal_identities
from ikesim.wire.registry import IdType
from tests.pki.trust_world import leaf, root

ROOT = root()


@lru_cache
def certificate(subject: str, *sans: str | bytes) -> Certificate:
    return parse(leaf(ROOT, sans, subject).certificate)


BOB = "C=CH, O=Org A, CN=bob.example"
ALL = ("fqdn:bob.example", "rfc822:Bob@Mail.example", "ipv4:192.0.2.1", "ipv6:2001:db8::1")

PROVED = [
    ("fqdn:bob.example", ALL),
    ("fqdn:BOB.Example", ALL),
    ("rfc822:Bob@Mail.example", ALL),
    ("rfc822:Bob@mail.EXAMPLE", ALL),
    ("ipv4:192.0.2.1", ALL),
    ("ipv6:2001:db8::1", ALL),
    ("ipv6:2001:0db8:0:0::0001", ALL),
    ("dn:C=CH, O=Org A, CN=bob.example", ALL),
    ("dn:C=ch, O=ORG  a, CN=BOB.example", ALL),
    ("dn:C=CH, O=Org A, CN=bob.example", ()),
    ("fqdn:b.example", ("fqdn:a.example", "fqdn:b.example")),
]


@pytest.mark.parametrize(("identity", "sans"), PROVED)
def test_proved(identity: str, sans: tuple[str, ...]) -> None:
    match = match_certificate(Identity.parse(identity), certificate(BOB, *sans))
    assert match and match.proved and match.evidence["matched"]
    assert match.rule.startswith("RFC 4945 3.1.")


NOT_PROVED = [
    # identity, alternative names, what is said about it
    ("fqdn:bob.example", (), "no subjectAltName"),
    ("fqdn:bob.example", (), "only in the subject's CN, which IKE ignores"),
    ("fqdn:bob.example", ("fqdn:bob.example.",), "trailing dot"),
    ("fqdn:bob.example.", ("fqdn:bob.example",), "trailing dot"),
    ("fqdn:bob.example", ("fqdn:*.example",), "wildcard"),
    ("fqdn:bob.example", ("fqdn:example",), "parent domain"),
    ("fqdn:bob.example", ("rfc822:bob.example",), "as rfc822Name"),
    ("fqdn:bob.example", ("uri:bob.example",), "as URI"),
    ("fqdn:bob.example", (b"\x82\x10bob.example\x00.com",), "NUL"),
    ("fqdn:bob.example", ("fqdn: bob.example",), "white space"),
    ("fqdn:xn--bcher-kva.example", (b"\x82\x0fb\xc3\xbccher.example",), "internationalized"),
    ("fqdn:192.0.2.1", ("ipv4:192.0.2.1",), "as iPAddress"),
    ("ipv4:192.0.2.1", ("fqdn:192.0.2.1",), "an IP address inside a dNSName"),
    ("ipv4:192.0.2.1", ("ipv6:::ffff:192.0.2.1",), "the same address, but as ::ffff"),
    ("ipv6:::ffff:192.0.2.1", ("ipv4:192.0.2.1",), "the same address, but as 192.0.2.1"),
    ("rfc822:bob@mail.example", ("rfc822:Bob@mail.example",), "differs in case only"),
    ("rfc822:bob@mail.example", ("fqdn:mail.example",), ""),
    ("dn:CN=bob.example, O=Org A, C=CH", (), "reverse order"),
    ("dn:O=Org A, C=CH, CN=bob.example", (), "another order"),
    ("dn:C=CH, O=Org B, CN=bob.example", (), "O=Org B was claimed, the subject has O=Org A"),
    ("dn:O=Org A, CN=bob.example", (), "the subject has more: C=CH"),
    ("dn:C=CH, O=Org A, OU=x, CN=bob.example", (), "the subject lacks OU=x"),
    ("dn:CN=other", ("dn:CN=other",), "only as directoryName"),
    ("fqdn:alice.example", ("fqdn:bob.example",), ""),
    ("fqdn:ob.example", ("fqdn:bob.example",), ""),
    ("key-id:bob", ("fqdn:bob",), "as dNSName"),
]


@pytest.mark.parametrize(("identity", "sans", "near"), NOT_PROVED)
def test_not_proved_and_why(identity: str, sans: tuple[str | bytes, ...], near: str) -> None:
    match = match_certificate(Identity.parse(identity), certificate(BOB, *sans))
    assert not match
    assert match.evidence["near_misses"] == match.near_misses
    assert f"dn:{BOB}" in str(match.evidence["proves"])
    if near:
        assert any(near in item for item in match.near_misses), match.near_misses
    else:
        assert match.near_misses == ()
    assert all(item.isprintable() for item in match.near_misses)


def test_mail_address_that_stands_in_the_subject_only() -> None:
    match = match_certificate(Identity.parse("rfc822:b@x.example"), certificate("CN=bob, E=b@x.example"))
    assert not match and "only as emailAddress in the subject, which IKE ignores" in match.near_misses


def test_every_identity_is_proved_by_what_the_certificate_proves() -> None:
    found = certificate(BOB, *ALL)
    listed = match_certificate(Identity.parse("fqdn:nobody"), found).evidence["proves"]
    assert isinstance(listed, tuple) and len(listed) == 5
    assert all(match_certificate(Identity.parse(text), found) for text in listed)


def test_key_id_is_the_subject_key_identifier() -> None:
    found = certificate(BOB)
    assert found.subject_key_id is not None
    assert match_certificate(Identity(IdType.ID_KEY_ID, found.subject_key_id), found)
    assert not match_certificate(Identity(IdType.ID_KEY_ID, found.subject_key_id[:-1]), found)


def test_wildcard_in_a_certificate_is_expanded_only_where_the_profile_says_so() -> None:
    """A48: libreswan expands one label; RFC 4945 3.1.2 forbids it."""
    found = certificate(BOB, "fqdn:*.vpn.example")
    for text, expanded in (
        ("fqdn:a.VPN.example", True),
        ("fqdn:a.b.vpn.example", False),
        ("fqdn:vpn.example", False),
    ):
        assert not match_certificate(Identity.parse(text), found)
        assert match_certificate(Identity.parse(text), found, wildcard_san=True).proved is expanded


WRITTEN = [
    "fqdn:bob.example",
    "rfc822:bob@mail.example",
    "ipv4:192.0.2.1",
    "ipv6:2001:db8::1",
    "dn:C=CH, O=Org\\, A, CN=bob",
    "key-id:branch office 7",
    "key-id:0x00ff",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_identities_read_back_as_written(text: str) -> None:
    identity = Identity.parse(text)
    assert str(identity) == text
    assert Identity.parse(str(identity)) == identity
    assert Identity.from_payload(identity.type, identity.data) == identity
    assert identity.to_json() == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bob.example", "fqdn:"),
        ("192.0.2.1", "ipv4:"),
        ("email:bob@x", "rfc822:"),
        ("fqdn:", "empty"),
        ("fqdn:b\u00f6b", "no identity of type fqdn"),
        ("fqdn:a\nb", "do not belong"),
        ("rfc822:bob", "without @"),
        ("ipv4:192.0.2.256", "ipv4"),
        ("ipv4:2001:db8::1", "ipv4"),
        ("ipv6:192.0.2.1", "ipv6"),
        ("dn:bob", "TYPE=VALUE"),
        ("key-id:0xzz", "key-id"),
        ("\x1b[2Jfqdn", "\\u{1b}"),
    ],
)
def test_texts_that_are_no_identity(text: str, said: str) -> None:
    with pytest.raises(IdentityError, match=r"(?s).*") as caught:
        Identity.parse(text)
    assert said in str(caught.value) and str(caught.value).isprintable()
    assert isinstance(caught.value, UsageError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("id_type", "data"),
    [
        (2, b""),
        (2, b"bob.example\x00"),
        (2, b"bob.example\r\n"),
        (3, b"bob"),
        (1, b"\x01\x02\x03"),
        (5, bytes(4)),
        (9, b"\x30\x05\x31"),
        (9, b"\x31\x00"),
        (10, b"\x82\x01x"),
        (11, b""),
        (99, b"x"),
        (2, b"a" * 5000),
        (9, b"\x30\x84\xff\xff\xff\xff"),
    ],
)
def test_payloads_that_are_no_identity(id_type: int, data: bytes) -> None:
    """CVE-2013-6075's kind among them: a DN whose length lies."""
    with pytest.raises(IdentityError) as caught:
        Identity.from_payload(id_type, data)
    assert caught.value.reason == "id-invalid"


def test_identities_of_two_types_are_never_equal() -> None:
    texts = ["fqdn:192.0.2.1", "ipv4:192.0.2.1", "key-id:192.0.2.1", "rfc822:a@192.0.2.1", "dn:CN=192.0.2.1"]
    identities = [Identity.parse(text) for text in texts]
    for one in identities:
        assert [other for other in identities if equal_identities(one, other)] == [one]


PATTERNS = [
    ("*", "fqdn:bob.example", True),
    ("*", "ipv4:192.0.2.1", True),
    ("fqdn:bob.example", "fqdn:BOB.example", True),
    ("fqdn:bob.example", "fqdn:alice.example", False),
    ("fqdn:bob.example", "rfc822:x@bob.example", False),
    ("fqdn:*.example", "fqdn:bob.example", True),
    ("fqdn:*.example", "fqdn:a.b.EXAMPLE", True),
    ("fqdn:*.example", "fqdn:example", False),
    ("fqdn:*.example", "fqdn:.example", False),
    ("fqdn:*.example", "fqdn:bobexample", False),
    ("fqdn:*", "fqdn:anything", True),
    ("fqdn:*", "ipv4:192.0.2.1", False),
    ("rfc822:*@mail.example", "rfc822:bob@mail.example", True),
    ("rfc822:*@mail.example", "rfc822:bob@x.mail.example", False),
    ("dn:C=CH, O=*, CN=*", "dn:C=CH, O=Org, CN=bob", True),
    ("dn:C=CH, O=*, CN=*", "dn:CN=bob, O=Org, C=CH", True),
    ("dn:C=CH, O=*, CN=*", "dn:C=DE, O=Org, CN=bob", False),
    ("dn:C=CH, O=*", "dn:C=CH, O=Org, CN=bob", False),
    ("dn:C=CH, O=*, CN=*", "dn:C=CH, OU=Org, CN=bob", False),
    ("dn:CN=bob", "dn:CN=BOB", True),
    ("ipv4:192.0.2.1", "ipv4:192.0.2.1", True),
    ("key-id:*", "key-id:x", False),
]


@pytest.mark.parametrize(("pattern", "identity", "expected"), PATTERNS)
def test_patterns(pattern: str, identity: str, expected: bool) -> None:
    match = IdentityPattern.parse(pattern).matches(Identity.parse(identity))
    assert match.proved is expected and bool(match) is expected
    assert match.evidence["expected"] == pattern
    assert str(IdentityPattern.parse(pattern)) == pattern


@pytest.mark.parametrize("text", ["bob.*", "fqdn:bob.*", "fqdn:*bob", "fqdn:*.*.example", "dn:CN=b*b", "fqdn:a*"])
def test_patterns_that_mean_nothing(text: str) -> None:
    with pytest.raises(IdentityError):
        IdentityPattern.parse(text)
