"""What may stand in a message: the one table of payloads for each exchange and direction (RFC 7296 1.2 to 1.5, 2.25).

A message is matched against the forms of its exchange and direction. The forms of one such pair exclude each other:
each names a payload or notify that must be there and that all others lack, so that at most one can match (a test says
so).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ikesim.errors import ProtocolError
from ikesim.reasons import Reason
from ikesim.wire.message import Message, Raw
from ikesim.wire.registry import ExchangeType as X
from ikesim.wire.registry import NotifyType
from ikesim.wire.registry import PayloadType as T

ANY = 64
"""No limit of its own: a message holds at most 64 payloads."""

KNOWN = frozenset(
    (
        T.SA,
        T.KE,
        T.IDi,
        T.IDr,
        T.CERT,
        T.CERTREQ,
        T.AUTH,
        T.NONCE,
        T.N,
        T.D,
        T.V,
        T.TSi,
        T.TSr,
        T.SK,
        T.CP,
        T.EAP,
        T.SKF,
    )
)


class Form(StrEnum):
    """What a message turned out to be."""

    INIT_REQUEST = "IKE_SA_INIT request"
    INIT_RESPONSE = "IKE_SA_INIT response"
    INIT_NOTIFY = "IKE_SA_INIT response without an SA"
    INTERMEDIATE_REQUEST = "IKE_INTERMEDIATE request"
    INTERMEDIATE_RESPONSE = "IKE_INTERMEDIATE response"
    INTERMEDIATE_NOTIFY = "IKE_INTERMEDIATE response without a key exchange"
    AUTH_REQUEST = "IKE_AUTH request"
    AUTH_RESPONSE = "IKE_AUTH response"
    AUTH_NOTIFY = "IKE_AUTH response without an identity"
    CHILD_REQUEST = "CREATE_CHILD_SA request for a CHILD SA"
    CHILD_REKEY_REQUEST = "CREATE_CHILD_SA request to rekey a CHILD SA"
    IKE_REKEY_REQUEST = "CREATE_CHILD_SA request to rekey the IKE SA"
    CHILD_RESPONSE = "CREATE_CHILD_SA response for a CHILD SA"
    IKE_REKEY_RESPONSE = "CREATE_CHILD_SA response for an IKE SA"
    CREATE_NOTIFY = "CREATE_CHILD_SA response without an SA"
    FOLLOWUP_REQUEST = "IKE_FOLLOWUP_KE request"
    FOLLOWUP_RESPONSE = "IKE_FOLLOWUP_KE response"
    FOLLOWUP_NOTIFY = "IKE_FOLLOWUP_KE response without a key exchange"
    INFORMATIONAL_REQUEST = "INFORMATIONAL request"
    INFORMATIONAL_RESPONSE = "INFORMATIONAL response"


@dataclass(frozen=True, slots=True)
class Rule:
    """One form: how often each payload may stand there (minimum, maximum), and what tells it from its siblings."""

    form: Form
    exchange: int
    response: bool
    protected: bool
    payloads: Mapping[int, tuple[int, int]]
    present: tuple[int, ...] = ()
    """Payloads whose presence tells this form from its siblings."""
    absent: tuple[int, ...] = ()
    """Payloads whose absence does."""
    together: tuple[int, ...] = ()
    """Payloads of which all are there or none."""
    with_notify: int | None = None
    without_notify: int | None = None

    def applies(self, kinds: tuple[int, ...], notifies: frozenset[int]) -> bool:
        """Whether the message is of this form; the counts are checked after that."""
        return (
            all(kind in kinds for kind in self.present)
            and not any(kind in kinds for kind in self.absent)
            and (self.with_notify is None or self.with_notify in notifies)
            and (self.without_notify is None or self.without_notify not in notifies)
        )


_ONE, _MAYBE, _MANY = (1, 1), (0, 1), (0, ANY)
_EXTRA: dict[int, tuple[int, int]] = {T.N: _MANY, T.V: _MANY}
_CHILD: dict[int, tuple[int, int]] = {
    T.SA: _ONE,
    T.NONCE: _ONE,
    T.KE: _MAYBE,
    T.TSi: _ONE,
    T.TSr: _ONE,
    T.CP: _MAYBE,
    **_EXTRA,
}
_AUTH: dict[int, tuple[int, int]] = {
    T.AUTH: _MAYBE,
    T.CERT: _MANY,
    T.CERTREQ: _MANY,
    T.SA: _MAYBE,
    T.TSi: _MAYBE,
    T.TSr: _MAYBE,
    T.CP: _MAYBE,
    T.EAP: _MAYBE,
    **_EXTRA,
}
_FIRST_CHILD = (T.SA, T.TSi, T.TSr)
_REKEY = NotifyType.REKEY_SA

RULES: tuple[Rule, ...] = (
    Rule(Form.INIT_REQUEST, X.IKE_SA_INIT, False, False, {T.SA: _ONE, T.KE: _ONE, T.NONCE: _ONE, **_EXTRA}),
    Rule(
        Form.INIT_RESPONSE,
        X.IKE_SA_INIT,
        True,
        False,
        {T.SA: _ONE, T.KE: _ONE, T.NONCE: _ONE, T.CERTREQ: _MANY, **_EXTRA},
        present=(T.SA,),
    ),
    Rule(Form.INIT_NOTIFY, X.IKE_SA_INIT, True, False, {T.N: (1, ANY), T.V: _MANY}, absent=(T.SA,)),
    Rule(Form.INTERMEDIATE_REQUEST, X.IKE_INTERMEDIATE, False, True, {T.KE: _ONE, **_EXTRA}),
    Rule(Form.INTERMEDIATE_RESPONSE, X.IKE_INTERMEDIATE, True, True, {T.KE: _ONE, **_EXTRA}, present=(T.KE,)),
    Rule(Form.INTERMEDIATE_NOTIFY, X.IKE_INTERMEDIATE, True, True, {T.N: (1, ANY), T.V: _MANY}, absent=(T.KE,)),
    Rule(Form.AUTH_REQUEST, X.IKE_AUTH, False, True, {T.IDi: _ONE, T.IDr: _MAYBE, **_AUTH}, together=_FIRST_CHILD),
    Rule(
        Form.AUTH_RESPONSE,
        X.IKE_AUTH,
        True,
        True,
        {T.IDr: _ONE, **_AUTH},
        present=(T.IDr,),
        together=_FIRST_CHILD,
    ),
    Rule(Form.AUTH_NOTIFY, X.IKE_AUTH, True, True, {**_EXTRA}, absent=(T.IDr,)),
    Rule(Form.CHILD_REQUEST, X.CREATE_CHILD_SA, False, True, _CHILD, present=(T.TSi,), without_notify=_REKEY),
    Rule(Form.CHILD_REKEY_REQUEST, X.CREATE_CHILD_SA, False, True, _CHILD, present=(T.TSi,), with_notify=_REKEY),
    Rule(
        Form.IKE_REKEY_REQUEST,
        X.CREATE_CHILD_SA,
        False,
        True,
        {T.SA: _ONE, T.NONCE: _ONE, T.KE: _ONE, **_EXTRA},
        absent=(T.TSi,),
    ),
    Rule(Form.CHILD_RESPONSE, X.CREATE_CHILD_SA, True, True, _CHILD, present=(T.SA, T.TSi)),
    Rule(
        Form.IKE_REKEY_RESPONSE,
        X.CREATE_CHILD_SA,
        True,
        True,
        {T.SA: _ONE, T.NONCE: _ONE, T.KE: _ONE, **_EXTRA},
        present=(T.SA,),
        absent=(T.TSi,),
    ),
    Rule(Form.CREATE_NOTIFY, X.CREATE_CHILD_SA, True, True, {T.N: (1, ANY), T.V: _MANY}, absent=(T.SA,)),
    Rule(Form.FOLLOWUP_REQUEST, X.IKE_FOLLOWUP_KE, False, True, {T.KE: _ONE, **_EXTRA}),
    Rule(Form.FOLLOWUP_RESPONSE, X.IKE_FOLLOWUP_KE, True, True, {T.KE: _ONE, **_EXTRA}, present=(T.KE,)),
    Rule(Form.FOLLOWUP_NOTIFY, X.IKE_FOLLOWUP_KE, True, True, {T.N: (1, ANY), T.V: _MANY}, absent=(T.KE,)),
    Rule(Form.INFORMATIONAL_REQUEST, X.INFORMATIONAL, False, True, {T.D: _MANY, T.CP: _MAYBE, **_EXTRA}),
    Rule(Form.INFORMATIONAL_RESPONSE, X.INFORMATIONAL, True, True, {T.D: _MANY, T.CP: _MAYBE, **_EXTRA}),
)

_BY_EXCHANGE: dict[tuple[int, bool], tuple[Rule, ...]] = {
    key: tuple(rule for rule in RULES if (rule.exchange, rule.response) == key)
    for key in dict.fromkeys((rule.exchange, rule.response) for rule in RULES)
}
_TOLD_BY_NOTIFY = frozenset(key for key, rules in _BY_EXCHANGE.items() if any(rule.with_notify for rule in rules))
"""Where a notify tells forms apart."""


def is_protected(exchange: int) -> bool:
    """Whether the payloads of an exchange stand inside SK; what is not in the table is taken for protected."""
    rules = _BY_EXCHANGE.get((exchange, False))
    return rules is None or rules[0].protected


def refuse_critical(payloads: Iterable[Raw]) -> None:
    """Raise ProtocolError for the first critical payload of a type that is not known (RFC 7296 2.5)."""
    for raw in payloads:
        if raw.critical and raw.kind not in KNOWN:
            raise ProtocolError(
                f"payload type {raw.kind} is critical and unknown",
                reason=Reason.PAYLOAD_CRITICAL,
                notify=NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
                data=bytes((raw.kind,)),
            )


def recognise(message: Message) -> Form:
    """The form of a message whose payloads are in the clear (after decryption, where there was any).

    All its payloads are decoded here, so that a malformed one leaves nothing half done. Raises ProtocolError:
    UNSUPPORTED_CRITICAL_PAYLOAD for an unknown critical payload (RFC 7296 2.5), INVALID_SYNTAX for a payload that is
    missing, unexpected, malformed, or there too often.
    """
    header = message.header
    kinds = message.kinds
    refuse_critical(message.payloads)
    key = (header.exchange, header.is_response)
    if key not in _BY_EXCHANGE:
        raise _refusal(f"exchange type {header.exchange} is not supported")
    rekeys = key in _TOLD_BY_NOTIFY and message.notify(_REKEY) is not None
    form = _form(header.exchange, header.is_response, kinds, rekeys)
    message.decode()
    return form


@lru_cache(maxsize=1024)
def _form(exchange: int, response: bool, kinds: tuple[int, ...], rekeys: bool) -> Form:
    """The form of these payloads: most messages hold the same few lists of them. Raises ProtocolError."""
    notifies = frozenset((_REKEY,)) if rekeys else frozenset[int]()
    for rule in _BY_EXCHANGE[exchange, response]:
        if rule.applies(kinds, notifies):
            _count(rule, kinds)
            return rule.form
    raise _refusal(f"{X(exchange).name} with payloads {_names(kinds)} is no message of RFC 7296")


def _count(rule: Rule, kinds: tuple[int, ...]) -> None:
    for kind, (least, most) in rule.payloads.items():
        number = kinds.count(kind)
        if number < least:
            raise _refusal(f"{rule.form} lacks payload {T(kind).name}")
        if number > most:
            raise _refusal(f"{rule.form} has payload {T(kind).name} {number} times")
    if rule.together and 0 < sum(kind in kinds for kind in rule.together) < len(rule.together):
        raise _refusal(f"{rule.form} has some of {_names(rule.together)}, but not all")
    for kind in kinds:
        if kind in KNOWN and kind not in rule.payloads:
            raise _refusal(f"{rule.form} has an unexpected payload {T(kind).name}")


def _names(kinds: Iterable[int]) -> str:
    return " ".join(T(kind).name if kind in KNOWN else str(kind) for kind in kinds) or "none"


def _refusal(message: str) -> ProtocolError:
    return ProtocolError(message, reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX)
