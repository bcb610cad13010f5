"""Names of the things an endpoint handles."""

from typing import NewType

SaId = NewType("SaId", str)
"""An IKE SA ("bob#3") or one of its CHILD SAs ("bob/net#7"); unique for the life of the endpoint."""

FetchId = NewType("FetchId", int)
"""An open fetch; unique for the life of the endpoint."""
