"""`scripts/bench explore`: how many orders of two crossing actions exist, and whether one breaks an invariant."""

from collections.abc import Iterator
from multiprocessing import Pool
from time import monotonic
from typing import Any

from tests.explorer.matrix import BOTH_WINNERS, NONCES, Case, cases, ends

WORKERS = 2
PARTS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "nothing happens": ({}, {}),
    "one loss": ({"losses": 1, "max_states": 250}, {"losses": 1, "max_states": 20_000}),
    "one duplicate": ({"duplicates": 1, "max_states": 60}, {"duplicates": 1, "max_states": 6_000}),
    "one delay": ({"delays": 1, "max_states": 60}, {"delays": 1, "max_states": 6_000}),
    "one loss, one duplicate": ({}, {"losses": 1, "duplicates": 1, "max_states": 3_000}),
    "two losses": ({}, {"losses": 2, "max_states": 3_000}),
}
"""What may happen in one order, and how far it is followed: in the usual run ({}: left out), and in the full one."""
Seen = tuple[int, int, int, list[str]]


def run(full: bool = False) -> dict[str, Any]:
    """Explore all pairs. Figures: pairs, states, orders, pairs cut at the limit of states, findings, seconds."""
    chosen = NONCES if full else BOTH_WINNERS
    for nonces in chosen:
        ends(nonces)
    figures: dict[str, Any] = {"pairs of actions": sum(1 for _ in cases(chosen[:1])), "nonce outcomes": len(chosen)}
    with Pool(WORKERS) as pool:
        for name, (usual, whole) in PARTS.items():
            limits = whole if full else usual
            if not limits and name != "nothing happens":
                continue
            begun = monotonic()
            seen = list(pool.imap(_explore, _jobs(chosen, limits), chunksize=4))
            figures[f"{name}: states"] = sum(item[0] for item in seen)
            figures[f"{name}: orders"] = sum(item[1] for item in seen)
            figures[f"{name}: pairs cut at the limit of states"] = sum(item[2] > 0 for item in seen)
            figures[f"{name}: findings"] = [text for item in seen for text in item[3]] or 0
            figures[f"{name}: seconds"] = round(monotonic() - begun, 1)
    return {"figures": figures, "ratios": {}}


def _jobs(chosen: tuple[Any, ...], limits: dict[str, int]) -> Iterator[tuple[Case, dict[str, int]]]:
    return ((case, limits) for case in cases(chosen))


def _explore(job: tuple[Case, dict[str, int]]) -> Seen:
    case, limits = job
    result = case.run(**limits)
    return result.states, result.orders, result.cut, [f"{case}\n{finding}" for finding in result.findings[:1]]
