"""Every fault has a test, and the document says what is really said."""

from importlib import import_module
from pathlib import Path

from ikesim.faults import FAULTS, SCENES
from ikesim.faults.base import Named
from tests.faults.document import FILE, WIDTH, document


def test_every_fault_is_played() -> None:
    """Those that a test module imports: unused imports do not pass the style check."""
    tested: set[type] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        module = import_module(f"tests.faults.{file.stem}")
        tested |= {item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Named)}
    assert {*FAULTS.values(), *SCENES.values()} <= tested


def test_every_fault_has_one_line_of_help_and_options_that_can_be_given_as_text() -> None:
    for name, kind in {**FAULTS, **SCENES}.items():
        line = kind.help()
        assert line.endswith(".") and len(line) <= 120, name
        defaults = {key: item.default for key, item in kind.options().items() if isinstance(item.default, (int, str))}
        assert isinstance(kind.of({key: str(value) for key, value in defaults.items()}), kind)


def test_the_document_shows_what_is_really_said() -> None:
    text = document()
    assert FILE.read_text() == text, "write it again: python -m tests.faults.document"
    shown = [block.split("```")[0] for block in text.split("```text\n")[1:]]
    assert len(shown) == 10
    assert all(len(line) <= WIDTH for block in shown for line in block.splitlines())
