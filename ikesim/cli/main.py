"""The command `ikesim`: a table of commands, each imported only when it is used."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import click

from ikesim import __version__
from ikesim.cli.common import Failure
from ikesim.cli.junos_words import VERBS
from ikesim.errors import IkesimError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("ikesim.cli.run:run", "Run endpoints until interrupted."),
    "up": ("ikesim.cli.control:up", "Bring a connection up; blocks until the verdict."),
    "down": ("ikesim.cli.control:down", "Take a connection, or one of its children, down."),
    "rekey": ("ikesim.cli.control:rekey", "Rekey a connection, or one of its children."),
    "redirect": ("ikesim.cli.control:redirect", "Send a connection's peer to another gateway."),
    "move": ("ikesim.cli.control:move", "Move a connection to another of our addresses."),
    "status": ("ikesim.cli.control:status", "Show the SAs of an endpoint."),
    "ping": ("ikesim.cli.control:ping", "Send ICMP echoes through the tunnel."),
    "reload": ("ikesim.cli.control:reload", "Read the configuration and the PKI objects again."),
    "config": ("ikesim.cli.config:config", "Check a configuration."),
    "pki": ("ikesim.cli.pki:pki", "The PKI objects of one endpoint."),
    "ca-profile": ("ikesim.cli.ca_profile:ca_profile", "The CA profiles of an endpoint's configuration."),
    "sa": ("ikesim.cli.sa:sa", "The IKE SAs of an endpoint, and the decisions they stand on."),
    "self-test": ("ikesim.cli.self_test:self_test", "The cryptographic self-tests."),
    "ca": ("ikesim.cli.ca:ca", "The lab's certification authority."),
    "explain": ("ikesim.cli.explain:explain", "Explain a trust decision."),
    "lab": ("ikesim.cli.lab:lab", "Two endpoints with everything around them."),
    "inspect": ("ikesim.cli.inspect:inspect", "Decode, decrypt, verify and draw a capture."),
    "request": ("ikesim.cli.junos:request", "Junos' words: request security pki ..."),
    "show": ("ikesim.cli.junos:show", "Junos' words: show security pki|ike|ipsec ..."),
    "clear": ("ikesim.cli.junos:clear", "Junos' words: clear security pki|ike|ipsec ..."),
}
"""Name -> (module:attribute, one line of help)."""

EXIT_INTERNAL = 5
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called.

    A command whose module is not installed is not listed.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = {
            name: entry for name, entry in lazy.items() if importlib.util.find_spec(entry[0].partition(":")[0])
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: first what one needs first."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command. Junos' verbs may be shortened, the others not: scripts would come to rely on it."""
        if cmd_name not in self._lazy:
            begun = [name for name in self._lazy if name.startswith(cmd_name)]
            if len(begun) != 1 or begun[0] not in VERBS:
                return None
            cmd_name = begun[0]
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; our errors become one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except IkesimError as error:
            raise Failure(error) from error


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 yes, 1 refused, 2 usage or configuration, 3 not found, 4 forbidden, 5 internal, "
    "6 nobody answered.",
)
@click.version_option(__version__, prog_name="ikesim")
def cli() -> None:
    """An IKEv2 laboratory for certificate authentication: real on the wire, every decision explained."""


def main() -> None:
    """The console script. An exception that is not ours is a bug: its traceback, and exit code 5 (not 1: refused)."""
    try:
        code = cli.main(prog_name="ikesim", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_INTERRUPTED)
    except Exception:  # noqa: BLE001 - the process boundary: report, and end with the code that says "internal"
        traceback.print_exc()
        sys.exit(EXIT_INTERNAL)
