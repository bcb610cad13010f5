"""docs/faults.md: every fault, and ten of them with what is really said.

Written by `python -m tests.faults.document`.
"""

from typing import NamedTuple

from ikesim.cli.render import render_decision
from ikesim.faults import FAULTS, SCENES, SceneFault, catalogue
from ikesim.faults.certificates import (
    CaOutsideGroup,
    ExpiredCertificate,
    ExtendedKeyUsage,
    LookAlikeCa,
    PathLength,
)
from ikesim.faults.identities import SanMismatch
from ikesim.faults.proofs import ImpossibleKey, RsaForgery
from ikesim.faults.revocation import BadCrl, OcspResponder
from ikesim.testing import SimPki
from tests.faults.stage import play, verdict
from tests.support import REPOSITORY

FILE = REPOSITORY / "docs" / "faults.md"
WIDTH = 98

INTRODUCTION = """# Faults: what can be made to go wrong

ikesim can misbehave on purpose, so that one sees how the other side takes it. There are two kinds of faults, each one
small class with one line of help.

**Faults of a running endpoint** attach to the seams of the core, in a daemon or in a simulation, and are switched on
and off at any time; several act one after the other on the same message:

    ikesim lab faults                                   all of them
    ikesim lab faults drop-message                      one, with its options
    ikesim lab faults drop-message exchange=IKE_AUTH times=1 --endpoint alice.toml
    ikesim lab faults --endpoint alice.toml             what is on, and what probes have noted
    ikesim lab faults --off 1 --endpoint alice.toml

The control API has them under `/faults` (GET, POST `{"name": ..., "options": {...}}`, DELETE `/faults/NUMBER`). In a
test:

    from ikesim.faults import Switchboard, Target, make
    Switchboard(Target.simulated(pair.alice)).enable(make("drop-message", {"exchange": "IKE_AUTH", "times": 1}))

**Scenes** are prepared before two endpoints meet: a certificate chain, a CRL, a responder, a signature. The liar's
AUTH is valid, except where AUTH is the fault, so that only the one thing decides. `tests/faults` plays every one of
them through a whole IKE_AUTH, in both roles, and asserts reason, subject and rule.

The rows are those of strongSwan's conftest hooks (DH), libreswan's impairments (DI) and a catalogue of certificate
faults (DC). Not here: hash-and-URL (DC20), and a lost CRL refresh timer (DI56), since ikesim fetches a CRL when a
decision needs it. One identity at two places (DC24) is nobody's fault and stands in `tests/faults/test_moments.py`.
"""


class Example(NamedTuple):
    row: str
    says: str
    fault: SceneFault


EXAMPLES = (
    Example("DC01", "The CA in the middle of the chain has expired.", ExpiredCertificate(level="intermediate")),
    Example("DC02", "A CA of the same name and key identifier, with another key.", LookAlikeCa()),
    Example("DC03", "A CA that is held, but not trusted for this connection.", CaOutsideGroup()),
    Example("DC05", "One intermediate more than the issuing CA may have below it.", PathLength(limit=0)),
    Example("DC07", "A certificate for signing code.", ExtendedKeyUsage(names="codeSigning")),
    Example("DC08", "An address inside a host name.", SanMismatch(form="ip-as-dns")),
    Example(
        "DC14",
        "A signature made without the key, for the exponent 3 (CVE-2018-16152).",
        RsaForgery(form="cube-root", exponent=3),
    ),
    Example("DC15", "A curve given by parameters of the attacker's choice.", ImpossibleKey(form="explicit")),
    Example("DC17", "A stale CRL.", BadCrl(form="expired")),
    Example("DC19", "An answer of a responder from before the revocation, replayed.", OcspResponder(form="replayed")),
)


def document() -> str:
    """The whole file."""
    parts = [INTRODUCTION, "## Ten scenes, and what bob says to alice\n"]
    for example in EXAMPLES:
        pki = SimPki(seed="docs")
        _, pair = play(example.fault, pki, seed="docs")
        parts.append(f"### {example.row}: `{example.fault!r}`\n")
        parts.append(f"{example.says}\n")
        shown = render_decision(verdict(pair, "bob"), width=WIDTH)
        parts.append(f"```text\n{shown}```\n")
    for names, title in ((FAULTS, "## Faults of a running endpoint\n"), (SCENES, "## Scenes\n")):
        parts.append(title)
        rows = [item for item in catalogue() if item["name"] in names]
        parts.append(
            "\n".join(
                ["| fault | rows | what it does |", "|---|---|---|"]
                + [f"| {item['name']} | {', '.join(item['rows'])} | {item['help']} |" for item in rows]
            )
            + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(document())
