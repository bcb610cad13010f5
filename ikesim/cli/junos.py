"""`ikesim request`, `show` and `clear`: Junos' words, given to the handlers of `ikesim.cli.junos_words`."""

import importlib
from pathlib import Path
from typing import Any

import click

from ikesim.cli.common import endpoint_option, json_option
from ikesim.cli.junos_words import VERBS, forms, understand
from ikesim.errors import UsageError

_FORMS = ("json", "xml", "set")


class JunosVerb(click.Command):
    """A verb that is followed by Junos' words; its help lists them."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every form, and what it is in everyday words."""
        with formatter.section("Words (unique prefixes do)"):
            formatter.write_dl(
                [
                    (
                        " ".join([row.words, *row.keywords]),
                        f"ikesim {row.everyday}" if row.everyday else row.refusal or "-",
                    )
                    for row in forms(self.name or "")
                ],
                col_max=56,
            )


def _verb(name: str, text: str) -> click.Command:
    @click.command(name, cls=JunosVerb, help=text, context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="WORD...")
    @click.option("--xml", "as_xml", is_flag=True, help="Like | display xml.")
    @click.option("--set", "as_set", is_flag=True, help="Like | display set, for show configuration.")
    @json_option
    @endpoint_option
    @click.pass_context
    def command(
        context: click.Context, words: tuple[str, ...], as_xml: bool, as_set: bool, as_json: bool, endpoint: Path
    ) -> None:
        given = [form for form, wanted in zip(_FORMS, (as_json, as_xml, as_set), strict=True) if wanted]
        spoken, piped = _split_pipe(words)
        call = understand((name, *spoken))
        for note in call.notes:
            click.echo(f"note: {note}", err=True)
        handler = _load(call.row.handler)
        arguments = [*call.arguments, "--endpoint", str(endpoint)]
        for form in dict.fromkeys((*given, *piped)):
            if not any(f"--{form}" in parameter.opts for parameter in handler.params):
                raise UsageError(f"{call.row.words} has no --{form} form")
            arguments.append(f"--{form}")
        with handler.make_context(call.row.words, arguments, parent=context.parent) as inner:
            handler.invoke(inner)

    return command


def _split_pipe(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words before a quoted `|`, and the forms that `display` asks for behind it."""
    if "|" not in words:
        return words, ()
    at = words.index("|")
    behind = [part for part in " ".join(words[at + 1 :]).split("|") if part.split() != ["no-more"]]
    asked: list[str] = []
    for part in behind:
        verb, *rest = part.split() or [""]
        if not (verb and "display".startswith(verb) and len(rest) == 1 and rest[0] in _FORMS):
            raise UsageError(f"after | ikesim knows display json, display xml, display set and no-more, not {part!r}")
        asked.append(rest[0])
    return words[:at], tuple(asked)


def _load(handler: str) -> click.Command:
    module, _, attribute = handler.partition(":")
    command: Any = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


request = _verb(VERBS[0], "Junos' request ... words, as they stand in a runbook.")
show = _verb(VERBS[1], "Junos' show ... words, as they stand in a runbook.")
clear = _verb(VERBS[2], "Junos' clear ... words, as they stand in a runbook.")
