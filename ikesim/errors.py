"""The exception tree of ikesim.

Nothing else is raised out of a public function: an exception of any other type is a bug. Errors that a peer can
cause carry the notify to answer with (an IANA number, or None for silence); errors that an operator can cause carry
where the cause stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ikesim.reasons import Reason


class IkesimError(Exception):
    """Base of all errors of ikesim."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration: where it stands and what would be right."""

    file: str
    table: str
    key: str
    message: str

    def __str__(self) -> str:
        where = ".".join(part for part in (self.table, self.key) if part)
        return f"{self.file}: {where}: {self.message}" if where else f"{self.file}: {self.message}"


class ConfigurationError(IkesimError):
    """A configuration cannot be used; `problems` lists every fault found, in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UsageError(IkesimError):
    """A request that cannot be carried out as asked (a port in use, an open state folder, a bad argument)."""

    exit_code = 2


class NotFoundError(IkesimError):
    """The named object does not exist."""

    exit_code = 3


class ForbiddenError(IkesimError):
    """A rule of the PKI model forbids the request (a private key offered for import, say)."""

    exit_code = 4


class ProtocolError(IkesimError):
    """Something in a peer's message that ends its exchange.

    `notify` is the IANA notify type to answer with, None for silence; `data` is its notification data.
    """

    exit_code = 1

    def __init__(self, message: str, *, reason: Reason, notify: int | None = None, data: bytes = b"") -> None:
        super().__init__(message)
        self.reason = reason
        self.notify = notify
        self.data = data


class WireError(ProtocolError):
    """Octets that are not what RFC 7296 section 3 allows.

    `payload` is the payload type (None: the header), `offset` the octet in the message where the fault stands, `rule`
    the section it breaks.
    """

    def __init__(
        self,
        message: str,
        *,
        rule: str,
        offset: int = 0,
        payload: int | None = None,
        notify: int | None = 7,
        data: bytes = b"",
        reason: Reason = Reason.PAYLOAD_MALFORMED,
    ) -> None:
        super().__init__(message, reason=reason, notify=notify, data=data)
        self.rule = rule
        self.offset = offset
        self.payload = payload


class CryptoError(IkesimError):
    """A cryptographic operation that did not succeed."""


class IntegrityError(CryptoError):
    """An integrity check value or authentication tag that does not verify."""


class KeyExchangeError(CryptoError):
    """A public value that its group does not allow."""


class UnsupportedAlgorithmError(CryptoError):
    """A transform that ikesim does not implement."""


class AuthError(IkesimError):
    """AUTH that does not prove its sender; `evidence` holds the values compared."""

    def __init__(self, message: str, *, reason: Reason, evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.evidence = dict(evidence or {})
