"""The JSON form of a trust decision as a schema, for who reads decisions in another language.

`docs/decision.schema.json` is what :func:`decision_schema` returns. The form itself is written by
`ikesim.pki.decision.TrustDecision.to_json`; the models here say the same once more, so that the two are compared.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ikesim.pki.decision import CheckOutcome
from ikesim.reasons import Reason

Time = Annotated[str, Field(pattern=r"Z$", json_schema_extra={"format": "date-time"}, description="UTC.")]
Outcome = Literal["good", "skipped", "stale", "failed", "on-hold", "revoked"]
Why = Annotated[Reason | None, Field(description="One of the reason codes; null where nothing failed.")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Check(_Model):
    """One rule applied to one thing."""

    rule: str = Field(description='The section that demands it: "RFC 5280 6.1.3 (a)(1)".')
    subject: str = Field(description="What it was applied to, as people name it.")
    outcome: CheckOutcome
    evidence: dict[str, JsonValue] = Field(description="The values compared.")
    source: str = Field(description='Where the thing came from: "peer", "store", "anchor", a URL.')


class Path(_Model):
    """A candidate path, the end certificate first."""

    certificates: list[str]
    reason: Why
    checks: list[Check]


class Certificate(_Model):
    """The end certificate."""

    subject: str
    issuer: str
    serial: str = Field(pattern="^-?0x[0-9a-f]+$")
    san: list[str]
    not_before: Time
    not_after: Time


class Revocation(_Model):
    """The worst revocation outcome on the path, and the worst that would have been accepted."""

    outcome: Outcome
    ceiling: Outcome


class Attempt(_Model):
    """A connection that was tried for the peer."""

    connection: str
    reason: Why


class Decision(_Model):
    """A trust decision."""

    accepted: bool
    reason: Why
    summary: str = Field(description="One sentence.")
    identity: str | None
    certificate: Certificate | None
    trusted_ca_group: str | None
    ca_profile: str | None = Field(description="Of the anchor.")
    revocation: Revocation | None
    attempts: list[Attempt]
    paths: list[Path]
    pending: bool = Field(description="Nothing was refused, but AUTH or fetches are outstanding.")
    wanted: list[str] = Field(description="URLs to fetch before this can be decided.")
    policies: list[str] = Field(description="The user-constrained policy set (RFC 5280 6.1.6), OIDs.")


def decision_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `ikesim explain --json`, of `decision` in events, of `TrustDecision.to_json`."""
    schema = Decision.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "TrustDecision", **schema}
