"""Junos' `set security pki|ike|ipsec` lines as a document of ours."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from ikesim.configuration.importing.carrying import Carrier, Document, object_name

_ENCRYPTION = {
    **{f"aes-{bits}-cbc": f"aes{bits}" for bits in (128, 192, 256)},
    **{f"aes-{bits}-gcm": f"aes{bits}gcm16" for bits in (128, 192, 256)},
}
_INTEGRITY = {
    "sha1": "sha1",
    "sha-256": "sha256",
    "sha-384": "sha384",
    "sha-512": "sha512",
    "hmac-sha1-96": "sha1",
    "hmac-sha-256-128": "sha256",
    "hmac-sha-384": "sha384",
    "hmac-sha-512": "sha512",
}
_GROUPS = {
    "group2": "modp1024",
    "group5": "modp1536",
    "group14": "modp2048",
    "group15": "modp3072",
    "group16": "modp4096",
    "group19": "ecp256",
    "group20": "ecp384",
    "group21": "ecp521",
}
_SIGNATURES = ("rsa-signatures", "ecdsa-signatures-256", "ecdsa-signatures-384", "ecdsa-signatures-521",
               "certificates", "digital-signature")  # fmt: skip
_IDENTITIES = {
    "inet": "ipv4",
    "inet6": "ipv6",
    "hostname": "fqdn",
    "user-at-hostname": "rfc822",
    "distinguished-name": "dn",
    "key-id": "key-id",
}
_DEFAULT_LIFETIME = 28800
"""Seconds, of an IKE proposal of Junos; 3600 of an IPsec one, which is ours too."""
_REASONS = (
    ("pki ca-profile * enrollment", "enrolment over the network is not part of this version"),
    ("pki auto-re-enrollment", "enrolment over the network is not part of this version"),
    ("pki ca-profile * source-address", "CRLs are fetched from whichever address the host chooses"),
    ("pki ca-profile * routing-instance", "there are no routing instances"),
    ("pki ca-profile * proxy-profile", "CRLs are fetched without a proxy"),
    ("pki traceoptions", "every decision explains itself: ikesim explain"),
    ("pki trap", "what will expire is foretold by ikesim explain --until"),
    ("ike traceoptions", "events are JSON lines of ikesim run"),
    ("ipsec traceoptions", "events are JSON lines of ikesim run"),
    ("ike gateway * external-interface", "addresses are named, not interfaces: set endpoint.listen"),
    ("ike policy * mode", "IKEv2 has no main or aggressive mode"),
    ("ike policy * pre-shared-key", "authentication is by certificates; a key is held with ikesim pki secret add"),
    ("ike respond-bad-spi", "IKEv2 has its own rules for unknown SPIs"),
    ("ipsec vpn * bind-interface", "packets stay in memory: there are no tunnel interfaces"),
    ("ipsec vpn * df-bit", "packets stay in memory"),
    ("ipsec vpn * vpn-monitor", "liveness checks do that"),
    ("ipsec vpn * manual", "manual VPN keys are held with ikesim pki secret add, but carry no traffic"),
    ("ipsec security-association", "manual VPN keys are held with ikesim pki secret add, but carry no traffic"),
)
_SECRET = ("pre-shared-key", "password", "ascii-text", "hexadecimal", "challenge-password", "key")


@dataclass(slots=True)
class Line:
    """One `set` line, and whether something of ours came of it."""

    words: tuple[str, ...]
    used: bool = False

    @property
    def shown(self) -> str:
        """The line without what may be a secret."""
        shown: list[str] = []
        for word in self.words:
            shown.append(word)
            if word in _SECRET:
                return " ".join((*shown, "..."))
        return " ".join(shown)


@dataclass(slots=True)
class Lines:
    """All lines below `set security`."""

    lines: list[Line] = field(default_factory=list)

    def below(self, *path: str) -> Iterator[tuple[Line, tuple[str, ...]]]:
        """The lines that begin with `path`, and what follows there."""
        for line in self.lines:
            if line.words[: len(path)] == path:
                yield line, line.words[len(path) :]

    def names(self, *path: str) -> list[str]:
        """The names that stand at `path`, in order."""
        return list(dict.fromkeys(rest[0] for _, rest in self.below(*path) if rest))

    def take(self, *path: str) -> list[str]:
        """The values of a statement (a list in brackets, or repeated lines), which is used then."""
        found: list[str] = []
        for line, rest in self.below(*path):
            line.used = True
            found += [word for word in rest if word not in ("[", "]")]
        return found

    def one(self, *path: str) -> str | None:
        """The last value of a statement; None without it."""
        found = self.take(*path)
        return found[-1] if found else None

    def has(self, *path: str) -> bool:
        """Whether a statement without a value stands there."""
        found = [line for line, rest in self.below(*path) if not rest]
        for line in found:
            line.used = True
        return bool(found)


def carry(text: str, name: str, listen: tuple[str, ...]) -> Carrier:
    """Read the lines, and take what we have an equal for."""
    carrier = Carrier(name, listen)
    lines = _read(text, carrier)
    if lines.has("key-protection"):
        carrier.table("endpoint")["key-protection"] = True
    _profiles(lines, carrier)
    for gateway in lines.names("ike", "gateway"):
        before = [line.used for line in lines.lines]
        if not _connection(lines, gateway, carrier):
            for line, used in zip(lines.lines, before, strict=True):
                line.used = used
    for line in lines.lines:
        if not line.used:
            carrier.leave(f"set security {line.shown}", _reason(line))
    return carrier


def _read(text: str, carrier: Carrier) -> Lines:
    lines = Lines()
    elsewhere: dict[str, int] = {}
    for raw in text.splitlines():
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            words = tuple(shlex.split(stripped))
        except ValueError as error:
            carrier.leave(" ".join(stripped.split()[:4]), f"the line cannot be read: {error}")
            continue
        if words[0] != "set":
            carrier.leave(" ".join(words[:6]), "only set lines are read: take the output of show | display set")
        elif words[1:2] == ("security",) and len(words) > 2 and words[2] in ("pki", "ike", "ipsec", "key-protection"):
            lines.lines.append(Line(words[2:]))
        else:
            start = " ".join(words[:3])
            elsewhere[start] = elsewhere.get(start, 0) + 1
    for start, count in elsewhere.items():
        carrier.leave(start, f"not about PKI, IKE or IPsec ({count} line{'s' if count > 1 else ''})")
    return lines


def _reason(line: Line) -> str:
    for pattern, why in _REASONS:
        parts = pattern.split()
        if len(line.words) >= len(parts) and all(
            part in ("*", word) for part, word in zip(parts, line.words, strict=False)
        ):
            return why
    return "nothing that was carried over uses it, or ikesim has nothing that corresponds"


# CA profiles


def _profiles(lines: Lines, carrier: Carrier) -> None:
    for name in lines.names("pki", "ca-profile"):
        here = ("pki", "ca-profile", name)
        table = carrier.table("pki", "ca-profile", object_name(name))
        table["ca-identity"] = lines.one(*here, "ca-identity") or name
        if mail := lines.one(*here, "administrator", "email-address"):
            table["administrator-email"] = mail
        if check := _revocation(lines, (*here, "revocation-check")):
            table["revocation-check"] = check
    for name in lines.names("pki", "trusted-ca-group"):
        members = [object_name(one) for one in lines.take("pki", "trusted-ca-group", name, "ca-profiles")]
        carrier.table("pki", "trusted-ca-group")[object_name(name)] = {"ca-profiles": members}


def _revocation(lines: Lines, here: tuple[str, ...]) -> Document:
    check: Document = {}
    if lines.has(*here, "use-crl"):
        check["method"] = "crl"
    if lines.has(*here, "use-ocsp"):
        check["method"] = "ocsp"
    if lines.has(*here, "ocsp", "connection-failure", "fallback-crl"):
        check["method"] = "ocsp-then-crl"
    if lines.has(*here, "disable"):
        check["method"] = "disable"
    if lines.has(*here, "crl", "disable", "on-download-failure") | lines.has(
        *here, "ocsp", "connection-failure", "disable"
    ):
        check["on-download-failure"] = "accept"
    if hours := lines.one(*here, "crl", "refresh-interval"):
        check["refresh-interval"] = f"{hours}h"
    if urls := _urls(lines, (*here, "crl", "url")):
        check["url"] = urls
    ocsp: Document = {}
    if urls := _urls(lines, (*here, "ocsp", "url")):
        ocsp["url"] = urls
    if nonce := lines.one(*here, "ocsp", "nonce-payload"):
        ocsp["nonce"] = nonce == "enable"
    if lines.has(*here, "ocsp", "accept-unknown-status"):
        ocsp["accept-unknown"] = True
    if ocsp:
        check["ocsp"] = {"nonce": True, **ocsp}
    return check


def _urls(lines: Lines, here: tuple[str, ...]) -> list[str]:
    """The URLs; a line with a password after one stays unused, and is listed."""
    found = []
    for line, rest in lines.below(*here):
        if len(rest) == 1:
            line.used = True
            found.append(rest[0])
    return found


# gateways


def _connection(lines: Lines, gateway: str, carrier: Carrier) -> bool:
    """A gateway, its policy and the VPNs through it, as one connection; False when it cannot be carried over."""
    here = ("ike", "gateway", gateway)
    statement = f"set security ike gateway {gateway}"
    table: Document = {}
    policy = lines.one(*here, "ike-policy")
    if policy is None:
        carrier.leave(statement, "it has no ike-policy")
        return False
    methods, proposals, lifetime = _ike_proposals(lines, policy, carrier)
    if methods and not set(methods) & set(_SIGNATURES):
        carrier.leave(statement, f"it authenticates by {', '.join(methods)}, ikesim by certificates")
        return False
    _addresses(lines, here, table, carrier)
    if not _identities(lines, here, table, carrier, statement):
        return False
    version = lines.one(*here, "version")
    if version != "v2-only":
        said = version or "v1-only, as Junos has it by default"
        carrier.leave(f"{statement} version", f"{said}: ikesim speaks IKEv2, and the peer must too")
    _policy(lines, policy, table)
    if proposals:
        table["proposals"] = proposals
    if lifetime:
        table["rekey-time"] = f"{lifetime}s"
        frequency = lines.one("ike", "policy", policy, "reauth-frequency")
        if frequency and frequency.isdigit() and int(frequency):
            table["reauth-time"] = f"{int(frequency) * lifetime}s"
    _liveness(lines, here, table, carrier)
    children = _children(lines, gateway, table, carrier)
    if not children:
        carrier.leave(statement, "no VPN uses it, so that there is nothing to protect")
        return False
    carrier.table("connection")[object_name(gateway)] = {**table, "child": children}
    return True


def _addresses(lines: Lines, here: tuple[str, ...], table: Document, carrier: Carrier) -> None:
    local = lines.one(*here, "local-address")
    if local is not None:
        table["local"] = _socket(local)
        carrier.addresses[_socket(local)] = None
    addresses = lines.take(*here, "address")
    if addresses:
        table["remote"] = _socket(addresses[0])
    for backup in addresses[1:]:
        carrier.leave(f"set security ike gateway {here[-1]} address {backup}", "a connection has one remote address")


def _identities(lines: Lines, here: tuple[str, ...], table: Document, carrier: Carrier, statement: str) -> bool:
    """Both identities; False when our own is not known."""
    own = _identity(lines, (*here, "local-identity"))
    if own is None and "local" in table:
        own = _address_identity(table["local"])
    if own is None:
        carrier.leave(statement, "our identity is unknown: add local-identity, or local-address, and import it again")
        return False
    table["local-id"] = own
    remote = _identity(lines, (*here, "remote-identity")) or _identity(lines, (*here, "dynamic"))
    if lines.has(*here, "general-ikeid"):
        remote = "*"
    if remote is None and "remote" in table:
        remote = _address_identity(table["remote"])
    table["remote-id"] = remote or "*"
    return True


def _identity(lines: Lines, here: tuple[str, ...]) -> str | None:
    for word, kind in _IDENTITIES.items():
        for line, rest in lines.below(*here, word):
            if kind == "dn" and rest[:1] in (("container",), ("wildcard",)):
                rest = rest[1:]
                if line.words[-2] == "wildcard" and "*" not in rest[-1]:
                    continue
            if len(rest) == 1:
                line.used = True
                return f"{kind}:{rest[0]}"
    return None


def _policy(lines: Lines, policy: str, table: Document) -> None:
    here = ("ike", "policy", policy)
    table["local-certificate"] = object_name(lines.one(*here, "certificate", "local-certificate") or policy)
    if profile := lines.one(*here, "certificate", "trusted-ca", "ca-profile"):
        table["trusted-ca"] = object_name(profile)
    if group := lines.one(*here, "certificate", "trusted-ca", "trusted-ca-group"):
        table["trusted-ca-group"] = object_name(group)
    if oids := lines.take(*here, "certificate", "policy-oids"):
        table["policy-oids"] = oids
    for line, rest in lines.below(*here, "certificate", "peer-certificate-type"):
        line.used = rest == ("x509-signature",)
    for line, rest in lines.below(*here, "reauth-frequency"):
        line.used = line.used or rest == ("0",)


def _ike_proposals(lines: Lines, policy: str, carrier: Carrier) -> tuple[list[str], list[str], int]:
    """(authentication methods, proposals, lifetime) of an IKE policy."""
    methods: list[str] = []
    proposals: list[str] = []
    lifetime = 0
    for name in lines.take("ike", "policy", policy, "proposals"):
        here = ("ike", "proposal", name)
        method = lines.one(*here, "authentication-method")
        if method is not None:
            methods.append(method)
        found = _proposal(lines, here, lines.take(*here, "dh-group"), carrier, ike=True)
        proposals += [found] if found else []
        seconds = lines.one(*here, "lifetime-seconds")
        lifetime = lifetime or (int(seconds) if seconds and seconds.isdigit() else _DEFAULT_LIFETIME)
    return methods, proposals, lifetime


def _proposal(
    lines: Lines, here: tuple[str, ...], groups: Sequence[str], carrier: Carrier, *, ike: bool
) -> str | None:
    """strongSwan's keywords for a proposal of Junos; None when an algorithm has no equal."""
    statement = f"set security {' '.join(here)}"
    encryption = lines.one(*here, "encryption-algorithm")
    integrity = lines.one(*here, "authentication-algorithm")
    unknown = [
        one
        for one, table in (
            (encryption, _ENCRYPTION),
            (integrity, _INTEGRITY),
            *((group, _GROUPS) for group in groups),
        )
        if one is not None and one not in table
    ]
    if encryption is None or unknown:
        carrier.leave(statement, f"{', '.join(unknown) or 'no encryption'}: not offered by ikesim")
        return None
    aead = "gcm" in encryption
    parts = [_ENCRYPTION[encryption]]
    if integrity is not None and not (aead and not ike):
        parts.append(f"prf{_INTEGRITY[integrity]}" if aead else _INTEGRITY[integrity])
    elif aead and ike:
        parts.append("prfsha256")
        carrier.leave(statement, "it names no PRF: prfsha256 is taken, add others as the peer needs")
    return "-".join((*parts, *(_GROUPS[group] for group in groups)))


def _liveness(lines: Lines, here: tuple[str, ...], table: Document, carrier: Carrier) -> None:
    if interval := lines.one(*here, "dead-peer-detection", "interval"):
        table["liveness"] = {"interval": f"{interval}s"}
    if keepalive := lines.one(*here, "nat-keepalive"):
        table["keepalive"] = f"{keepalive}s"
    if lines.has(*here, "fragmentation", "disable"):
        carrier.table("endpoint")["fragment-size"] = 0
    elif size := lines.one(*here, "fragmentation", "size"):
        carrier.table("endpoint")["fragment-size"] = int(size) if size.isdigit() else 0


# VPNs


def _children(lines: Lines, gateway: str, table: Document, carrier: Carrier) -> Document:
    """The VPNs through a gateway: a child for each traffic selector, or one for everything."""
    children: Document = {}
    for vpn in lines.names("ipsec", "vpn"):
        here = ("ipsec", "vpn", vpn)
        if [rest for _, rest in lines.below(*here, "ike", "gateway")] != [(gateway,)]:
            continue
        lines.take(*here, "ike", "gateway")
        common = _esp(lines, lines.one(*here, "ike", "ipsec-policy"), carrier)
        establish = lines.one(*here, "establish-tunnels")
        if establish in ("immediately", "on-traffic"):
            table["start"] = "immediately" if establish == "immediately" else "on-request"
        if establish == "on-traffic":
            carrier.leave(f"set security ipsec vpn {vpn} establish-tunnels", "traffic begins nothing: ikesim up does")
        pairs = _selectors(lines, here)
        for number, (name, local, remote) in enumerate(pairs):
            child = object_name(
                f"{vpn}-{name}" if len(pairs) > 1 and name else vpn if number == 0 else f"{vpn}-{number}"
            )
            children[child] = {"local-ts": [local], "remote-ts": [remote], **common}
    return children


def _selectors(lines: Lines, here: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(name, local, remote)."""
    found = []
    for name in lines.names(*here, "traffic-selector"):
        local = lines.one(*here, "traffic-selector", name, "local-ip")
        remote = lines.one(*here, "traffic-selector", name, "remote-ip")
        found.append((name, local or "0.0.0.0/0", remote or "0.0.0.0/0"))
    local = lines.one(*here, "ike", "proxy-identity", "local")
    remote = lines.one(*here, "ike", "proxy-identity", "remote")
    if local or remote or not found:
        found.append(("", local or "0.0.0.0/0", remote or "0.0.0.0/0"))
    return found


def _esp(lines: Lines, policy: str | None, carrier: Carrier) -> Document:
    """Proposals and lifetimes of an IPsec policy."""
    found: Document = {}
    if policy is None:
        return found
    groups = lines.take("ipsec", "policy", policy, "perfect-forward-secrecy", "keys")
    proposals = []
    for name in lines.take("ipsec", "policy", policy, "proposals"):
        here = ("ipsec", "proposal", name)
        protocol = lines.one(*here, "protocol")
        if protocol not in (None, "esp"):
            carrier.leave(
                f"set security ipsec proposal {name}", f"protocol {protocol}: ikesim protects with ESP only"
            )
            continue
        text = _proposal(lines, here, groups, carrier, ike=False)
        proposals += [text] if text else []
        if (seconds := lines.one(*here, "lifetime-seconds")) and "rekey-time" not in found:
            found["rekey-time"] = f"{seconds}s"
        kilobytes = lines.one(*here, "lifetime-kilobytes")
        if kilobytes and kilobytes.isdigit() and "rekey-bytes" not in found:
            found["rekey-bytes"] = int(kilobytes) * 1024
    if proposals:
        found["esp-proposals"] = proposals
    return found


def _socket(address: str) -> str:
    return f"[{address}]:500" if ":" in address else f"{address}:500"


def _address_identity(socket: str) -> str | None:
    host = socket.rpartition(":")[0].strip("[]")
    try:
        return f"ipv{ip_address(host).version}:{host}"
    except ValueError:
        return None
