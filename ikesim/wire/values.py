"""Values: dataclasses with slots that can be compared and hashed, and that nothing changes once they are made.

The type checker sees to that, as with `frozen=True`. A frozen class checks at run time as well, and pays for it with
every instance: 0.7 us instead of 0.2 us for one of five fields, and a handshake makes about a hundred.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class a dataclass of values; to change one, make another with `dataclasses.replace`."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
