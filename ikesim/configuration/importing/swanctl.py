"""strongSwan's swanctl.conf as a document of ours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import PurePath

from ikesim.configuration.importing.carrying import Carrier, Document, object_name
from ikesim.errors import UsageError
from ikesim.ike.negotiation import parse_esp_proposal, parse_ike_proposal

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_KEY = re.compile(r'[^={}\n#"]+')
_VALUE = re.compile(r'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\n#}]*))')
_TIME = re.compile(r"(\d+)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PREFIXES = {
    "fqdn:": "fqdn:",
    "dns:": "fqdn:",
    "email:": "rfc822:",
    "rfc822:": "rfc822:",
    "userfqdn:": "rfc822:",
    "ipv4:": "ipv4:",
    "ipv6:": "ipv6:",
    "dn:": "dn:",
    "asn1dn:": "dn:",
    "keyid:": "key-id:0x",
}
_ADDRESS_SETTINGS = frozenset({"local_addrs", "remote_addrs", "local_port", "remote_port"})
_REASONS = {
    "vips": "there is no configuration payload",
    "pools": "there is no configuration payload",
    "aggressive": "IKEv2 has no aggressive mode",
    "updown": "packets stay in memory: no script has anything to do",
    "mark_in": "packets stay in memory",
    "mark_out": "packets stay in memory",
    "if_id_in": "packets stay in memory",
    "if_id_out": "packets stay in memory",
    "keyingtries": "ikesim up tries once, and says why it failed",
    "close_action": "a closed child is begun again by ikesim up only",
    "inactivity": "children are not closed for inactivity",
    "life_time": "a child lives for rekey-time, and over-time of its connection",
    "life_bytes": "a child lives until rekey-bytes",
    "life_packets": "a child lives until rekey-packets",
    "rand_time": "rekey-time is brought forward by jitter, a share of it",
    "over_time": "over-time is a share of rekey-time: set it in the connection",
    "groups": "there are no attribute certificates",
    "pubkeys": "only CA profiles validate: a pinned key is not enough",
    "ca_id": "CAs are named by their profile",
    "ppk_id": "there are no postquantum preshared keys",
    "ppk_required": "there are no postquantum preshared keys",
    "ipcomp": "packets are not compressed",
    "tfc_padding": "packets are not padded",
    "replay_window": "the replay window has 64 packets",
    "cert_uri_base": "certificates are sent, not their URLs",
}


@dataclass(slots=True)
class Section:
    """A section of the file: settings and sections inside it; what nothing asked for is left over."""

    path: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    sections: dict[str, "Section"] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def take(self, key: str) -> str | None:
        """A setting, which is used then; None without it, or when it is empty."""
        self.used.add(key)
        return self.settings.get(key) or None

    def many(self, key: str) -> list[str]:
        """A setting that is a list."""
        return [part.strip() for part in (self.take(key) or "").split(",") if part.strip()]

    def inner(self, name: str) -> "Section":
        """The section of that name; an empty one when it is not there."""
        return self.sections.get(name) or Section((*self.path, name))

    def beginning(self, name: str) -> list["Section"]:
        """The sections NAME, NAME1, NAME-x and so on, in order."""
        return [one for key, one in self.sections.items() if key.startswith(name)]

    def rest(self) -> Iterator[tuple[str, str]]:
        """(path, key) of every setting that was not used."""
        for key in self.settings:
            if key not in self.used:
                yield ".".join((*self.path, key)), key
        for section in self.sections.values():
            yield from section.rest()


def carry(text: str, name: str, listen: tuple[str, ...]) -> Carrier:
    """Read the file, and take what we have an equal for. Raises UsageError on what is not such a file."""
    carrier = Carrier(name, listen)
    root = parse(text, carrier)
    _authorities(root, carrier)
    for section in root.inner("connections").sections.values():
        _connection(section, carrier)
    for kind, why in (
        ("secrets", "secrets are never carried over: make keys with ikesim pki key generate, hold others with "
                    "ikesim pki secret add"),
        ("pools", "there is no configuration payload"),
    ):  # fmt: skip
        for section in root.inner(kind).sections.values():
            carrier.leave(".".join(section.path), why)
            section.used |= set(section.settings)
    for path, key in root.rest():
        carrier.leave(path, _REASONS.get(key, "ikesim has nothing that corresponds"))
    return carrier


def parse(text: str, carrier: Carrier) -> Section:
    """The sections of a file (strongswan.conf(5)). Raises UsageError where it is not well formed."""
    root = Section()
    stack = [root]
    position = 0
    while (position := _skip(text, position)) < len(text):
        if text[position] == "}":
            if len(stack) == 1:
                raise UsageError("this is not swanctl.conf: a } closes nothing")
            stack.pop()
            position += 1
            continue
        match = _KEY.match(text, position)
        key = match[0].strip() if match else text[position]
        position = match.end() if match else position
        if key.startswith("include "):
            carrier.leave(key, "included files are not read: import them too")
            continue
        position = _skip(text, position)
        here = stack[-1]
        if match and text[position : position + 1] == "{":
            position += 1
            stack.append(_open(root, here, key))
        elif match and text[position : position + 1] == "=":
            value = _VALUE.match(text, position + 1)
            assert value is not None
            position = value.end()
            here.settings[key] = value[2].strip() if value[1] is None else re.sub(r"\\(.)", r"\1", value[1])
        else:
            raise UsageError(f"this is neither Junos' set lines nor swanctl.conf: {key[:40]!r} stands alone")
    if len(stack) > 1:
        raise UsageError(f"this is not swanctl.conf: the section {'.'.join(stack[-1].path)} is not closed")
    return root


def _skip(text: str, position: int) -> int:
    """Past blanks and comments."""
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _open(root: Section, parent: Section, key: str) -> Section:
    """The section that `NAME : BASE, BASE` begins, with what it inherits."""
    name, _, bases = key.partition(":")
    section = parent.sections.setdefault(name.strip(), Section((*parent.path, name.strip())))
    for base in (part.strip() for part in bases.split(",") if part.strip()):
        _inherit(section, _find(root, base))
    return section


def _find(root: Section, dotted: str) -> Section:
    here = root
    for part in dotted.split("."):
        if part not in here.sections:
            raise UsageError(f"the section {dotted} is referred to, and is not in this file: add it above")
        here = here.sections[part]
    return here


def _inherit(section: Section, base: Section) -> None:
    """What a section says with `: base` that it does not say itself."""
    for key, value in base.settings.items():
        section.settings.setdefault(key, value)
    for name, inner in base.sections.items():
        _inherit(section.sections.setdefault(name, Section((*section.path, name))), inner)


# CA profiles


def _authorities(root: Section, carrier: Carrier) -> None:
    for name, section in root.inner("authorities").sections.items():
        table = _profile(object_name(name), carrier)
        cacert = section.take("cacert") or section.take("file")
        if cacert:
            carrier.leave(
                ".".join((*section.path, "cacert")),
                f"load the certificate with: ikesim pki load {cacert} --ca {name}",
            )
        check = table.setdefault("revocation-check", {})
        if urls := section.many("crl_uris"):
            check["url"] = urls
        if urls := section.many("ocsp_uris"):
            check["ocsp"] = {"nonce": True, "url": urls}
            check["method"] = "ocsp-then-crl"
        if not check:
            del table["revocation-check"]


def _profile(name: str, carrier: Carrier) -> Document:
    table = carrier.table("pki", "ca-profile", name)
    table.setdefault("ca-identity", name)
    return table


# connections


def _connection(section: Section, carrier: Carrier) -> None:
    if section.take("version") == "1":
        return _leave_all(section, carrier, "ikesim speaks IKEv2 only")
    locals_, remotes = section.beginning("local"), section.beginning("remote")
    for one in (*locals_, *remotes):
        auth = one.take("auth") or "pubkey"
        if auth.split("-")[0] != "pubkey":
            return _leave_all(section, carrier, f"{one.path[-1]}.auth = {auth}: ikesim authenticates by certificates")
        if auth != "pubkey":
            carrier.leave(".".join((*one.path, "auth")), f"{auth}: name the schemes in signature-schemes")
    for one in (*locals_[1:], *remotes[1:]):
        _leave_all(one, carrier, "there is one authentication round")
    local = locals_[0] if locals_ else Section((*section.path, "local"))
    remote = remotes[0] if remotes else Section((*section.path, "remote"))
    table: Document = {}
    _addresses(section, table, carrier)
    own = local.take("id")
    if own is None:
        return _leave_all(
            section, carrier, "local.id is not said; strongSwan takes the certificate's subject: write it"
        )
    table["local-id"] = identity(own)
    table["remote-id"] = identity(remote.take("id") or "%any")
    certificates = local.many("certs")
    table["local-certificate"] = [object_name(PurePath(one).stem) for one in certificates] or [section.path[-1]]
    for certificate in certificates:
        carrier.leave(
            ".".join((*local.path, "certs")),
            f"{certificate}: a certificate needs its key here; begin with ikesim pki key generate "
            f"{object_name(PurePath(certificate).stem)}",
        )
    _settings(section, table, carrier)
    children = {
        object_name(one.path[-1]): _child(one, table, carrier) for one in section.inner("children").sections.values()
    }
    kept = {name: child for name, child in children.items() if child is not None}
    if not kept:
        return _leave_all(section, carrier, "it has no child that can be carried over")
    _trust(remote, table, carrier)
    carrier.table("connection")[object_name(section.path[-1])] = {**table, "child": kept}
    return None


def _leave_all(section: Section, carrier: Carrier, why: str) -> None:
    carrier.leave(".".join(section.path), why)
    _use_all(section)


def _use_all(section: Section) -> None:
    section.used |= set(section.settings)
    for inner in section.sections.values():
        _use_all(inner)


def _addresses(section: Section, table: Document, carrier: Carrier) -> None:
    for side in ("local", "remote"):
        port = section.take(f"{side}_port") or "500"
        addresses = section.many(f"{side}_addrs")
        fixed = [one for one in addresses if _is_address(one)]
        for other in addresses:
            if other not in fixed[:1] and not other.startswith("%any"):
                carrier.leave(
                    ".".join((*section.path, f"{side}_addrs")), f"{other}: one IP address is what {side} takes"
                )
        if fixed:
            table[side] = f"[{fixed[0]}]:{port}" if ":" in fixed[0] else f"{fixed[0]}:{port}"
    if "local" in table:
        carrier.addresses[table["local"]] = None


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False


def identity(text: str) -> str:
    """An identity with its type said; strongSwan guesses it from the text."""
    if text == "%any":
        return "*"
    for theirs, ours in _PREFIXES.items():
        if text.lower().startswith(theirs):
            return ours + text[len(theirs) :]
    if text.startswith("@#"):
        return f"key-id:0x{text[2:]}"
    if "=" in text:
        return f"dn:{text.strip('/').replace('/', ', ') if text.startswith('/') else text}"
    if text.startswith("@"):
        return f"fqdn:{text[1:]}"
    try:
        return f"ipv{ip_address(text).version}:{text}"
    except ValueError:
        return f"rfc822:{text}" if "@" in text else f"fqdn:{text}"


def _trust(remote: Section, table: Document, carrier: Carrier) -> None:
    """CA certificates become profiles; the revocation policy is theirs with us."""
    profiles = [object_name(PurePath(one).stem) for one in remote.many("cacerts")]
    for name, file in zip(profiles, remote.many("cacerts"), strict=True):
        _profile(name, carrier)
        carrier.leave(".".join((*remote.path, "cacerts")), f"load it with: ikesim pki load {file} --ca {name}")
    if len(profiles) == 1:
        table["trusted-ca"] = profiles[0]
    elif profiles:
        group = object_name(remote.path[1])
        carrier.table("pki", "trusted-ca-group")[group] = {"ca-profiles": profiles}
        table["trusted-ca-group"] = group
    said = remote.take("revocation") or "relaxed"
    policy = {"ifuri": "if-uri"}.get(said, said)
    for name in profiles or list(carrier.document.get("pki", {}).get("ca-profile", {})):
        held = _profile(name, carrier).setdefault("revocation-check", {}).setdefault("policy", policy)
        if held != policy:
            why = f"{said}: the policy belongs to the CA profile, and {name} has {held} by another connection"
            carrier.leave(".".join((*remote.path, "revocation")), why)
    if oids := remote.many("cert_policy"):
        table["policy-oids"] = oids
    for certificate in remote.many("certs"):
        carrier.leave(".".join((*remote.path, "certs")), f"{certificate}: only CA profiles validate, not pinned ones")


def _settings(section: Section, table: Document, carrier: Carrier) -> None:
    where = ".".join(section.path)
    if proposals := _proposals(section, "proposals", carrier):
        table["proposals"] = proposals
    for theirs, ours in (("rekey_time", "rekey-time"), ("reauth_time", "reauth-time")):
        if (seconds := _time(section.take(theirs))) is not None:
            table[ours] = f"{seconds}s"
    if (seconds := _time(section.take("dpd_delay"))) is not None:
        table["liveness"] = {"interval": f"{seconds}s"}
    if mobike := section.take("mobike"):
        table["mobike"] = mobike in ("yes", "1", "true")
    if send := section.take("send_cert"):
        table["send-certificate"] = {"ifasked": "if-asked"}.get(send, send)
    unique = section.take("unique")
    if unique is not None:
        table["unique"] = {"no": "never"}.get(unique, unique)
    if unique == "no":
        carrier.leave(f"{where}.unique", "no is read as never: INITIAL_CONTACT replaces nothing either")
    fragmentation = section.take("fragmentation")
    if fragmentation == "no":
        carrier.table("endpoint")["fragment-size"] = 0
    if section.take("encap") == "no":
        carrier.leave(f"{where}.encap", "ESP travels in UDP always: native ESP is not offered")
    if section.take("send_certreq") == "no":
        carrier.leave(f"{where}.send_certreq", "the CAs that are trusted are always asked for")


def _child(section: Section, table: Document, carrier: Carrier) -> Document | None:
    where = ".".join(section.path)
    mode = section.take("mode") or "tunnel"
    if mode != "tunnel" or section.settings.get("ah_proposals"):
        _leave_all(section, carrier, "ESP in tunnel mode is what there is")
        return None
    child: Document = {}
    for side in ("local", "remote"):
        selectors = section.many(f"{side}_ts") or ["dynamic"]
        address = table.get(side, "").rpartition(":")[0].strip("[]")
        own = [f"{address}/{128 if ':' in address else 32}" if one == "dynamic" else one for one in selectors]
        if "dynamic" in selectors and not address:
            _leave_all(section, carrier, f"{side}_ts is dynamic, and no {side} address is known")
            return None
        child[f"{side}-ts"] = own
    if proposals := _proposals(section, "esp_proposals", carrier):
        child["esp-proposals"] = proposals
    if (seconds := _time(section.take("rekey_time"))) is not None:
        child["rekey-time"] = f"{seconds}s"
    for key in ("rekey_bytes", "rekey_packets"):
        value = section.take(key)
        if value is not None:
            child[key.replace("_", "-")] = int(value) if value.isdigit() else value
    start = section.take("start_action") or "none"
    if "start" in start:
        table["start"] = "immediately"
    if "trap" in start:
        carrier.leave(f"{where}.start_action", "traffic begins nothing: ikesim up does")
    action = section.take("dpd_action")
    if action in ("clear", "restart", "start") and "liveness" in table:
        table["liveness"]["action"] = "clear" if action == "clear" else "restart"
    elif action is not None:
        carrier.leave(
            f"{where}.dpd_action", f"{action}: an SA that died is cleared or restarted, and dpd_delay says when"
        )
    return child


def _proposals(section: Section, key: str, carrier: Carrier) -> list[str]:
    """The proposals that ikesim knows; an absent list, and `default`, are its own."""
    parse_one = parse_ike_proposal if key == "proposals" else parse_esp_proposal
    found = []
    for text in section.many(key):
        try:
            if text != "default":
                parse_one(text)
                found.append(text)
        except ValueError as error:
            carrier.leave(".".join((*section.path, key)), str(error))
    return found


def _time(text: str | None) -> int | None:
    match = _TIME.fullmatch(text) if text else None
    return int(match[1]) * _SECONDS[match[2]] if match else None
