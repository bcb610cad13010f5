"""A moment that notes for how long every comparison with it comes out the same.

What a decision says holds as long as each time that it looked at stays on the same side of the clock. Rather than
have every rule report its times, the decision is made for a Moment: comparing it narrows the window from `earliest`
to `latest` (both inclusive; time moves in microseconds). Any other use of its value leaves nothing but the moment
itself.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import getattr_static
from types import GetSetDescriptorType, MethodDescriptorType
from typing import Any, Self

_TICK = timedelta.resolution
_NOTHING = timedelta(0)
_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Moment(datetime):
    """An aware datetime that keeps the window in which all comparisons made with it stay the same."""

    earliest: datetime
    latest: datetime

    @classmethod
    def of(cls, at: datetime) -> Self:
        """The moment `at`, compared with nothing yet."""
        moment = cls.combine(at.date(), at.timetz())
        moment.earliest, moment.latest = _ALWAYS
        return moment

    @property
    def plain(self) -> datetime:
        """The same moment as an ordinary datetime."""
        return datetime.combine(datetime.date(self), datetime.timetz(self))

    def __lt__(self, other: Any) -> bool:
        before = super().__lt__(other)
        if before:
            self._until(other, _TICK)
        else:
            self._since(other)
        return before

    def __le__(self, other: Any) -> bool:
        not_after = super().__le__(other)
        if not_after:
            self._until(other)
        else:
            self._since(other, _TICK)
        return not_after

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def _until(self, last: datetime, less: timedelta = _NOTHING) -> None:
        if last is not self:
            self.latest = min(self.latest, last - less)

    def _since(self, first: datetime, more: timedelta = _NOTHING) -> None:
        if first is not self:
            self.earliest = max(self.earliest, first + more)

    def only_now(self) -> None:
        """The value itself was used: nothing can be said about any other moment."""
        self.earliest = self.latest = self.plain


def _using(name: str) -> Callable[..., Any]:
    def method(self: Moment, *args: Any, **kwargs: Any) -> Any:
        self.only_now()
        return getattr(self.plain, name)(*args, **kwargs)

    return method


def _reading(name: str) -> property:
    def value(self: Moment) -> Any:
        self.only_now()
        return getattr(self.plain, name)

    return property(value)


_OPERATORS = ("__add__", "__radd__", "__sub__", "__rsub__", "__eq__", "__ne__", "__hash__")
_TEXTS = ("__str__", "__repr__", "__format__")
_STAYS_THE_SAME = ("tzinfo",)

for _name in dir(datetime):
    _attribute = getattr_static(datetime, _name)
    _public = not _name.startswith("_") and _name not in _STAYS_THE_SAME
    if _name in (*_OPERATORS, *_TEXTS) or (_public and isinstance(_attribute, MethodDescriptorType)):
        setattr(Moment, _name, _using(_name))
    elif _public and isinstance(_attribute, GetSetDescriptorType):
        setattr(Moment, _name, _reading(_name))
