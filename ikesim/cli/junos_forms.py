"""The forms in which Junos displays data: JSON and XML with its leaf names, `set` lines, braces."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from xml.etree import ElementTree

import click

from ikesim.cli.common import print_json

F = TypeVar("F", bound=Callable[..., Any])
Document = Mapping[str, Any]


def xml_option(command: F) -> F:
    """`--xml`, as the argument `as_xml`."""
    return click.option("--xml", "as_xml", is_flag=True, help="One XML document on stdout, like | display xml.")(
        command
    )


def put(document: Document, lines: Iterable[str], *, as_json: bool, as_xml: bool) -> None:
    """Print a document in the form that was asked for; `lines` is the one for people."""
    if as_json:
        print_json(document)
    elif as_xml:
        click.echo(xml_text(document))
    else:
        for line in lines:
            click.echo(line)


def xml_text(document: Document) -> str:
    """An `rpc-reply`; a list is its element repeated."""
    reply = ElementTree.Element("rpc-reply")
    _fill(reply, document)
    ElementTree.indent(reply)
    return ElementTree.tostring(reply, encoding="unicode")


def _fill(element: ElementTree.Element, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            for one in inner if isinstance(inner, list) else [inner]:
                _fill(ElementTree.SubElement(element, key), one)
    elif value is not None:
        element.text = value if isinstance(value, str) else str(value).lower() if value is True else str(value)


def set_lines(tree: Document, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The `set` lines of a configuration; a value of True is a statement without argument, a list several."""
    for key, value in tree.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            yield from set_lines(value, here) if value else [" ".join(("set", *here))]
        elif value is True:
            yield " ".join(("set", *here))
        else:
            for one in value if isinstance(value, list) else [value]:
                yield " ".join(("set", *here, _quoted(one)))


def brace_lines(tree: Document, indent: str = "") -> Iterator[str]:
    """The configuration as Junos shows it by default."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key} {{"
            yield from brace_lines(value, indent + "    ")
            yield f"{indent}}}"
        elif value is True or isinstance(value, Mapping):
            yield f"{indent}{key};"
        elif isinstance(value, list) and len(value) > 1:
            yield f"{indent}{key} [ {' '.join(map(_quoted, value))} ];"
        else:
            yield f"{indent}{key} {_quoted(value[0] if isinstance(value, list) else value)};"


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if not text or any(character in ' "{};[]?&#' for character in text) else text
