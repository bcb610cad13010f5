"""Who may do what to the cryptographic self-tests: two roles, told apart by the user who asks."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Role(StrEnum):
    """The two administrators of anchors TS-01 to TS-04. Neither has the other's rights."""

    CRYPTOGRAPHIC = "cryptographic-administrator"
    """May enable and disable the self-tests."""
    SECURITY = "security-administrator"
    """May schedule them, and choose which of them run."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The users (uids) of each role; None: nobody is named, so it is the user that runs the daemon."""

    cryptographic: tuple[int, ...] | None = None
    security: tuple[int, ...] | None = None
    socket: Path | None = None
    """A further socket, for administrators who are not the daemon's user; it offers the self-tests only."""

    def has(self, role: Role, uid: int, owner: int) -> bool:
        """Whether the user `uid` has a role at a daemon that `owner` runs."""
        named = self.cryptographic if role is Role.CRYPTOGRAPHIC else self.security
        return uid in ((owner,) if named is None else named)
