"""`scripts/bench longrun`: a day of virtual time in a bad network, and with --full one for each of several seeds."""

from time import process_time
from typing import Any

from tests.longrun.life import live

DAY = 24 * 3600.0


def run(full: bool = False) -> dict[str, Any]:
    """Figures of each day; ratio: objects at its end to those after two hours."""
    figures: dict[str, Any] = {}
    growth = []
    for seed in range(1, 6 if full else 2):
        begun = process_time()
        life = live(DAY, seed)
        figures |= {
            f"day {seed}: CPU seconds": round(process_time() - begun, 2),
            f"day {seed}: rekeyings": life.rekeyings,
            f"day {seed}: echoes answered": f"{life.answered} of {life.probes}",
            f"day {seed}: longest silence, seconds": life.longest_silence,
            f"day {seed}: IKE and CHILD SAs at a time, at most": f"{life.most_ike}, {life.most_children}",
            f"day {seed}: objects after 2 hours, at the end": f"{life.objects[0]}, {life.objects[-1]}",
        }
        growth.append(life.objects[-1] / life.objects[0])
    return {"figures": figures, "ratios": {"objects_end_over_begin": round(max(growth), 3)}}
