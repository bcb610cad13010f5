"""What a fault is: a name, a line of help, options, and the seams that it uses."""

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, get_args, get_type_hints

from ikesim.errors import UsageError
from ikesim.faults.target import Target
from ikesim.ike.ids import SaId
from ikesim.wire.message import Header
from ikesim.wire.registry import ExchangeType

SEAMS = (
    "after_decode",
    "before_encode",
    "before_header",
    "before_protect",
    "before_sign",
    "after_sign",
    "on_send",
    "on_receive",
    "on_fetch",
    "on_timer",
    "on_install",
)
"""The fields of `ikesim.ike.ports.Hooks`, in the order in which a message meets them."""


class Named:
    """What has a name, a line of help and options: a dataclass, whose fields are the options.

    The name is the class's in small letters with hyphens, the help the first line of its docstring. `rows` are those
    of the anchors' fault tables that it stands for.
    """

    rows: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, rows: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.rows = tuple(rows.split())

    @classmethod
    def title(cls) -> str:
        """The name under which it is switched on."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def help(cls) -> str:
        """One line."""
        return (cls.__doc__ or "").partition("\n")[0].strip()

    @classmethod
    def options(cls) -> dict[str, "Field[Any]"]:
        """Its options, by name."""
        return {item.name: item for item in fields(cls) if item.init and not item.metadata.get("internal")}  # type: ignore[arg-type] # every subclass is a dataclass

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Any:
        """One with these options; values may be text, as on a command line. Raises UsageError."""
        known, types = cls.options(), get_type_hints(cls)
        values: dict[str, Any] = {}
        for key, value in given.items():
            name = key.replace("-", "_")
            if name not in known:
                listed = ", ".join(item.replace("_", "-") for item in known) or "none"
                raise UsageError(f"fault {cls.title()} has no option {key!r}; there are: {listed}")
            values[name] = _typed(f"{cls.title()}: {key}", types[name], value)
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise UsageError(f"fault {cls.title()}: {error}") from None


def _typed(what: str, wanted: Any, value: Any) -> Any:
    """A value of an option's type; octets are hexadecimal, numbers may be 0x...."""
    kinds = get_args(wanted) or (wanted,)
    if type(None) in kinds and value in (None, ""):
        return None
    kind = next(item for item in kinds if item is not type(None))
    text = str(value).strip()
    try:
        if kind is bool:
            return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text.lower()]
        if kind is int:
            return int(text, 0)
        if kind is float:
            return float(text)
        if kind is bytes:
            return bytes.fromhex(text)
    except (KeyError, ValueError):
        raise UsageError(f"{what} is {kind.__name__}, not {text!r}") from None
    return text


@dataclass(kw_only=True)
class Fault(Named):
    """A fault of a running endpoint: it defines those seams of `SEAMS` that it needs, as methods.

    A seam's method gets what the hook of that name gets, and returns a replacement or None.
    """

    def __post_init__(self) -> None:
        self.target: Target
        """Set when it is switched on."""

    def start(self) -> None:
        """It was switched on; `self.target` is set."""

    def stop(self) -> None:
        """It is switched off."""


@dataclass(kw_only=True)
class MessageFault(Fault):
    """A fault of chosen messages: by exchange (IKE_AUTH, or a number), direction, message ID and count."""

    exchange: str = ""
    """Empty: every one."""
    response: bool | None = None
    """None: requests and responses."""
    message_id: int | None = None
    times: int = 0
    """How many messages it changes; 0: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number = exchange_number(self.exchange) if self.exchange else None
        self._met = 0

    def chosen(self, header: Header) -> bool:
        """Whether it is this message's turn; counts it."""
        if not self.selects(header) or (self.times and self._met >= self.times):
            return False
        self._met += 1
        return True

    def selects(self, header: Header) -> bool:
        """Whether the message is of those that the options choose."""
        return (
            self._number in (None, header.exchange)
            and self.response in (None, header.is_response)
            and self.message_id in (None, header.message_id)
        )


def exchange_number(text: str) -> int:
    """An exchange type by name or number. Raises ValueError."""
    if text.isdigit():
        return int(text)
    try:
        return int(ExchangeType[text.upper().replace("-", "_")])
    except KeyError:
        known = ", ".join(item.name for item in ExchangeType)
        raise ValueError(f"exchange {text!r} is not one of {known}") from None


def known_sa(sa: SaId | None) -> SaId:
    """The SA of a seam that always has one."""
    assert sa is not None
    return sa
