"""GeneralName (RFC 5280 4.2.1.6) from what people type: `fqdn:bob.example`, `rfc822:`, `ipv4:`, `dn:` and so on."""

import ipaddress
from collections.abc import Iterable

from ikesim.errors import UsageError
from ikesim.pki.der_writer import explicit, implicit, oid_content, sequence
from ikesim.pki.subjects import subject_der

GeneralNameText = str | bytes
"""`type:value`, or the DER of one GeneralName as it shall appear."""


def encode_general_name(name: GeneralNameText) -> bytes:
    """One GeneralName. Types fqdn (dns), rfc822 (email), ipv4, ipv6, ip, uri, dn, rid. Raises UsageError.

    Values of fqdn, rfc822 and uri are written octet by octet as given, so that impossible ones can be tested.
    """
    if isinstance(name, bytes):
        return name
    kind, found, value = name.partition(":")
    try:
        match kind if found else "":
            case "fqdn" | "dns":
                return implicit(2, value.encode("latin-1"))
            case "rfc822" | "email":
                return implicit(1, value.encode("latin-1"))
            case "uri":
                return implicit(6, value.encode("latin-1"))
            case "ipv4":
                return implicit(7, ipaddress.IPv4Address(value).packed)
            case "ipv6":
                return implicit(7, ipaddress.IPv6Address(value).packed)
            case "ip":
                return implicit(7, ipaddress.ip_address(value).packed)
            case "dn":
                return explicit(4, subject_der(value))
            case "rid":
                return implicit(8, oid_content(value))
            case _:
                raise UsageError(f"{name!r} is not a name: write fqdn:, rfc822:, ipv4:, ipv6:, uri: or dn: before it")
    except (ValueError, UnicodeEncodeError):
        raise UsageError(f"{value!r} is not a value of type {kind}") from None


def encode_general_names(names: Iterable[GeneralNameText]) -> bytes:
    """GeneralNames: a SEQUENCE of them, in order. Raises UsageError."""
    return sequence(*(encode_general_name(name) for name in names))


def encode_subtree(name: GeneralNameText) -> bytes:
    """A GeneralSubtree (RFC 5280 4.2.1.10); `ip:10.0.0.0/8` gives address and mask. Raises UsageError."""
    if isinstance(name, str) and name.partition(":")[0] in ("ip", "ipv4", "ipv6"):
        value = name.partition(":")[2]
        try:
            network = ipaddress.ip_network(value)
        except ValueError:
            raise UsageError(f"{value!r} is not a network such as 10.0.0.0/8") from None
        return sequence(implicit(7, network.network_address.packed + network.netmask.packed))
    return sequence(encode_general_name(name))
