"""OCSP responses that were fetched, verified and said "good": used again until their nextUpdate, then asked anew.

What is kept is evidence like any other: every decision judges it again, its signer, its times, its certificate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from ikesim.pki.certificates import CertificateError, parse
from ikesim.pki.decision import LearnedOcsp

MAX_RESPONSES = 1024
"""Kept by one endpoint; a response with its signer's certificate has about 1.5 KiB."""
MAX_OCTETS = 8 * 1024
"""Of a response that is kept; one for a single certificate stays below 3 KiB."""
MAX_ABOUT_ONE = 4
"""For one serial number: CAs that happen to use the same."""


@dataclass(slots=True)
class Responses:
    """The responses of one endpoint, by the serial number of the certificate they are about."""

    held: dict[int, tuple[LearnedOcsp, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.held)

    def learn(self, learned: Sequence[LearnedOcsp], at: datetime) -> None:
        """Keep what a decision learned; what has expired goes first, then what was learned longest ago."""
        for item in learned:
            if len(item.der) > MAX_OCTETS or item.until < at:
                continue
            others = self.held.pop(item.serial, ())
            current = [other for other in others if other.until >= at and other.der != item.der]
            self.held[item.serial] = (item, *current)[:MAX_ABOUT_ONE]
        if len(self.held) > MAX_RESPONSES:
            expired = [serial for serial, items in self.held.items() if all(item.until < at for item in items)]
            for serial in expired or list(islice(self.held, len(self.held) - MAX_RESPONSES)):
                del self.held[serial]

    def about(self, certificates: Sequence[bytes], at: datetime) -> tuple[bytes, ...]:
        """Those about these certificates (DER) that have not expired."""
        if not self.held:
            return ()
        found: dict[bytes, None] = {}
        for octets in certificates:
            try:
                serial = parse(octets).serial
            except CertificateError:
                continue
            found.update(dict.fromkeys(item.der for item in self.held.get(serial, ()) if item.until >= at))
        return tuple(found)
