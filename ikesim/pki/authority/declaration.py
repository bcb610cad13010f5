"""A hierarchy declared in TOML, and made: authorities, cross certificates, leaves, what is revoked, CRLs.

    url = "http://127.0.0.1:8080"          # where `ikesim ca serve` will listen: CDP and AIA of everything issued
    [ca.north]
    key = "ecdsa-p384"
    [ca.north-issuing]
    issuer = "north"
    path-length = 0
    responder = true                       # a delegated OCSP signer
    [ca.north-2]
    same-name-as = "north"                 # another generation: same subject, new key
    [cross.north-by-south]
    of = "north"
    issuer = "south"
    [leaf.bob]
    issuer = "north-issuing"
    san = ["fqdn:bob.example"]
    not-after = "-1d"                      # relative to now, or "2030-01-01T00:00:00Z"
    revoked = "key-compromise"
    [crl.north]
    days = 30

Every knob of :class:`~.certificate.CertificateKnobs` can be said in [ca], [cross] and [leaf], every one of
:class:`~.crl.CrlKnobs` in [crl], with dashes for underscores; octets are hexadecimal, `false` leaves out what would
be there by default, and `signing-key` names the authority of the declaration whose key signs.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

from ikesim.errors import ConfigurationError, IkesimError, NotFoundError, Problem, UsageError
from ikesim.pki.authority.authority import Authority
from ikesim.pki.authority.certificate import CertificateKnobs
from ikesim.pki.authority.crl import CrlKnobs
from ikesim.pki.authority.directory import LabCa, private_pem, write_public
from ikesim.pki.authority.extensions import REASONS, Extension
from ikesim.pki.disk import write_private

_RELATIVE = re.compile(r"([+-]?)(\d+(?:\.\d+)?)([smhdwy])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_OWN = {
    "ca": {"issuer", "subject", "key", "days", "same-name-as", "same-key-as", "responder", "crl-at", "ocsp-at"},
    "cross": {"of", "issuer", "days"},
    "leaf": {"issuer", "subject", "san", "key", "days", "revoked", "revoked-at"},
    "crl": {"days", "number"},
}
"""What a table may say besides knobs."""
_TIMES = {"not-before", "not-after", "this-update", "next-update"}
_OCTETS = {"subject-key-id", "authority-key-id", "outer-algorithm", "public-key-info"}


def declare(lab: LabCa, file: Path, now: datetime) -> None:
    """Make everything that `file` declares in `lab`. Raises ConfigurationError with every fault of the file."""
    try:
        document = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise NotFoundError(f"{file} does not exist") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(str(file), "", "", f"is not TOML: {error}")]) from None
    maker = _Maker(lab, str(file), document, now)
    maker.check()
    maker.make()


def read_time(text: object, now: datetime) -> datetime:
    """A time as people write it: "-30d", "+1y", "2030-01-01T00:00:00Z", or a TOML date-time. Raises ValueError."""
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    match = _RELATIVE.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        seconds = float(match[2]) * _UNITS[match[3]]
        return now + timedelta(seconds=-seconds if match[1] == "-" else seconds)
    if not isinstance(text, str):
        raise ValueError("is not a time")
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class _Maker:
    """One declaration on its way to become files."""

    def __init__(self, lab: LabCa, file: str, document: Mapping[str, Any], now: datetime) -> None:
        self.lab, self.file, self.document, self.now = lab, file, document, now
        self.problems: list[Problem] = []

    def check(self) -> None:
        """Find every fault before anything is made."""
        for key, value in self.document.items():
            if key == "url":
                if not isinstance(value, str) or not value.startswith("http://"):
                    self.fault("", key, "is a URL that begins with http://")
            elif key not in _OWN:
                self.fault("", key, f"is not known here: accepted are url, {', '.join(_OWN)}")
            elif not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
                self.fault(key, "", f"holds tables: [{key}.NAME]")
        if not self.tables("ca") and not self.problems:
            self.fault("ca", "", "has no authority: add [ca.NAME]")
        for kind in _OWN:
            for name, table in self.tables(kind).items():
                self.check_table(kind, name, table)
        if self.problems:
            raise ConfigurationError(self.problems)

    def check_table(self, kind: str, name: str, table: Mapping[str, Any]) -> None:
        """Find the faults of one table: unknown keys, wrong values, references to nothing."""
        where = f"{kind}.{name}"
        hints = get_type_hints(CrlKnobs if kind == "crl" else CertificateKnobs)
        for key, value in table.items():
            if key in _OWN[kind]:
                continue
            if key.replace("-", "_") not in hints:
                known = sorted(_OWN[kind] | {one.replace("_", "-") for one in hints})
                self.fault(where, key, f"is not known here: accepted are {', '.join(known)}")
                continue
            try:
                self.knob(key, value, hints[key.replace("-", "_")])
            except (ValueError, UsageError) as error:
                self.fault(where, key, str(error))
        references = ["issuer", "of", "same-name-as", "same-key-as", "signing-key"]
        for key in references:
            if key in table and table[key] not in self.tables("ca"):
                self.fault(where, key, f"names no [ca.{table[key]}] of this file")
        for key in {"cross": ("of", "issuer"), "leaf": ("issuer",)}.get(kind, ()):
            if key not in table and not (kind == "leaf" and len(self.tables("ca")) == 1):
                self.fault(where, key, "is required")
        if kind == "crl" and name not in self.tables("ca"):
            self.fault(where, "", f"names no [ca.{name}] of this file")
        if "revoked" in table and kind == "leaf" and table["revoked"] not in (True, *REASONS):
            self.fault(where, "revoked", f"is true or one of {', '.join(REASONS)}")

    def make(self) -> None:
        """Make everything, authorities first, each after its issuer."""
        waiting = dict(self.tables("ca"))
        while waiting:
            ready = [name for name, table in waiting.items() if not self.needs(table) & set(waiting)]
            if not ready:
                raise ConfigurationError(
                    [Problem(self.file, f"ca.{name}", "issuer", "leads back to itself") for name in waiting]
                )
            for name in ready:
                self.at(f"ca.{name}", self.make_ca, name, waiting.pop(name))
        for name, table in self.tables("cross").items():
            self.at(f"cross.{name}", self.make_cross, name, table)
        for name, table in self.tables("leaf").items():
            self.at(f"leaf.{name}", self.make_leaf, name, table)
        for name in self.lab.authorities:
            self.at(f"crl.{name}", self.make_crl, name, self.tables("crl").get(name, {}))

    def make_ca(self, name: str, table: Mapping[str, Any]) -> None:
        """A root or intermediate."""
        issuer = self.lab.authorities.get(table.get("issuer", ""))
        same_name = self.lab.authorities.get(table.get("same-name-as", ""))
        same_key = self.lab.authorities.get(table.get("same-key-as", ""))
        base = self.document.get("url", "").rstrip("/")
        self.lab.check_free(name)
        authority = Authority.create(
            name,
            now=self.now,
            subject=same_name.subject if same_name is not None else table.get("subject"),
            key_type=table.get("key", "ecdsa-p256"),
            private_key=None if same_key is None else same_key.key,
            issuer=issuer,
            crl_at=table.get("crl-at", (f"{base}/{name}.crl",) if base else ()),
            ocsp_at=table.get("ocsp-at", (f"{base}/ocsp/{name}",) if base and table.get("responder") else ()),
            days=table.get("days", 3650),
            **self.knobs(table),
        )
        self.lab.add(authority)
        if table.get("responder"):
            self.lab.responders[name] = authority.responder(self.now)

    def make_cross(self, name: str, table: Mapping[str, Any]) -> None:
        """A certificate for one authority by another."""
        self.lab.check_free(name)
        certificate = self.lab.authority(table["issuer"]).cross_sign(
            self.lab.authority(table["of"]), self.now, table.get("days", 1825), name=name, **self.knobs(table)
        )
        self.lab.write_pem(name, certificate)

    def make_leaf(self, name: str, table: Mapping[str, Any]) -> None:
        """An end certificate with its key, for devices that are not endpoints of ikesim."""
        self.lab.check_free(name)
        authority = self.lab.authority(table.get("issuer"))
        leaf = authority.leaf(
            table.get("subject", f"CN={name}"),
            table.get("san", [f"fqdn:{name}"] if "." in name else []),
            self.now,
            table.get("days", 365),
            key_type=table.get("key", "ecdsa-p256"),
            name=name,
            **self.knobs(table),
        )
        self.lab.write_pem(name, leaf.certificate, *authority.chain)
        write_private(self.lab.directory / f"{name}.key", private_pem(leaf.key))
        revoked = table.get("revoked")
        if revoked:
            at = read_time(table.get("revoked-at", "-1h"), self.now)
            authority.revoke(leaf.certificate, None if revoked is True else revoked, at=at)

    def make_crl(self, name: str, table: Mapping[str, Any]) -> None:
        """The first CRL of an authority."""
        hints = get_type_hints(CrlKnobs)
        knobs: Any = {
            key.replace("-", "_"): self.knob(key, value, hints[key.replace("-", "_")])
            for key, value in table.items()
            if key not in _OWN["crl"]
        }
        days = table.get("days", 7)
        self.lab.crl_days[name] = days
        crl = self.lab.authority(name).crl(self.now, days, table.get("number"), **knobs)
        write_public(self.lab.directory / f"{name}.crl", crl)

    def knobs(self, table: Mapping[str, Any]) -> Any:
        """The certificate knobs of a table."""
        hints = get_type_hints(CertificateKnobs)
        return {
            key.replace("-", "_"): self.knob(key, value, hints[key.replace("-", "_")])
            for key, value in table.items()
            if key.replace("-", "_") in hints
        }

    def knob(self, key: str, value: Any, hint: Any) -> Any:
        """One value in the type that the knob wants. Raises ValueError or UsageError, saying what it should be."""
        text = str(hint)
        if value is False and "None" in text:
            return None
        if key in _TIMES:
            try:
                return read_time(value, self.now)
            except ValueError:
                raise ValueError('is a time such as "-30d", "+1y" or "2030-01-01T00:00:00Z"') from None
        if key in _OCTETS:
            if not isinstance(value, str):
                raise ValueError("is octets in hexadecimal")
            return bytes.fromhex(value)
        if key == "signing-key":
            held = self.lab.authorities.get(value)
            return None if held is None else held.key
        if key == "extra":
            return [Extension(one["oid"], bool(one.get("critical")), bytes.fromhex(one["value"])) for one in value]
        return _plain(value, hint, text)

    def at(self, table: str, make: Callable[[str, Mapping[str, Any]], None], name: str, values: Any) -> None:
        """Make one thing; what is wrong with it is reported with its table."""
        try:
            make(name, values)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigurationError([Problem(self.file, table, "", f"cannot be made: {error}")]) from None
        except ConfigurationError:
            raise
        except IkesimError as error:
            raise ConfigurationError([Problem(self.file, table, "", str(error))]) from None

    def needs(self, table: Mapping[str, Any]) -> set[str]:
        """The authorities that must exist before the one of this table."""
        keys = ("issuer", "same-name-as", "same-key-as", "signing-key")
        return {table[key] for key in keys if key in table}

    def tables(self, kind: str) -> dict[str, dict[str, Any]]:
        """The tables of one kind, by name."""
        found = self.document.get(kind, {})
        return (
            {name: table for name, table in found.items() if isinstance(table, dict)}
            if isinstance(found, dict)
            else {}
        )

    def fault(self, table: str, key: str, message: str) -> None:
        """Note one fault."""
        self.problems.append(Problem(self.file, table, key, message))


def _plain(value: Any, hint: Any, text: str) -> Any:
    """A flag, number, text or list of them. Raises ValueError."""
    if hint is bool or text.startswith("bool"):
        if not isinstance(value, bool):
            raise ValueError("is true or false")
    elif "Sequence" in text or "Collection" in text:
        if not isinstance(value, list):
            raise ValueError("is a list")
        return tuple(tuple(one) if isinstance(one, list) else one for one in value)
    elif hint is int or text.startswith("int"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("is a number")
    elif not isinstance(value, str):
        raise ValueError("is a text")
    return value
