"""Progress on stderr for what takes longer than a second; silent where stderr is no terminal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

DELAY = 1.0
"""Seconds before anything is shown."""


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show `what`, with a spinner and the seconds it has taken, once the block has run for a second."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    display = threading.Thread(target=_show, args=(what, over), daemon=True)
    display.start()
    try:
        yield
    finally:
        over.set()
        display.join()


def _show(what: str, over: threading.Event) -> None:
    """Wait, then show until it is over."""
    if over.wait(DELAY):
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        over.wait()
