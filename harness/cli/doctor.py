"""``bench doctor``: checks that this machine has everything that a run needs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.streams import say
from harness.doctor import Check
from harness.errors import PrerequisiteError


@click.command()
@click.option("--plugin", metavar="NAME", help="Also what this model lacks, file by file.")
@plugin_dir_option
@json_option
@pass_settings
def doctor(settings: Settings, /, plugin_dirs: tuple[Path, ...], *, plugin: str | None, as_json: bool) -> None:
    """Check machine, home, engine, GPUs and plugins; every line that is not ok comes with a fix.

    Exits with 3 when something will not work.
    """
    from harness.doctor import CheckVerdict, run_checks

    checks = list(run_checks(settings.home, plugin_dirs, database=settings.database))
    if as_json:
        print_json({"schema": 1, "checks": [asdict(check) for check in checks]})
    else:
        for check in _folded(checks, plugin):
            _show(check)
    failed = [check.name for check in checks if check.verdict is CheckVerdict.FAILED]
    if failed:
        raise PrerequisiteError(f"{len(failed)} checks failed: {', '.join(failed)}", fix="see the lines above")


def _folded(checks: list[Check], asked: str | None) -> list[Check]:
    """Return the checks with those of models that nobody asked for in one line."""
    from harness.doctor import CheckVerdict

    lacking = [check for check in checks if check.group == "plugins" and check.verdict is CheckVerdict.WARNING]
    names = [name for name in dict.fromkeys(check.name for check in lacking) if name != asked]
    shown = [check for check in checks if check not in lacking or check.name == asked]
    if names:
        fix = "`bench doctor --plugin NAME` tells what and how to get it"
        shown.append(
            Check("plugins", "files", CheckVerdict.WARNING, f"sources or weights missing: {', '.join(names)}", fix)
        )
    return shown


def _show(check: Check) -> None:
    from harness.cli.tables import printable

    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[check.verdict]
    say(f"{check.verdict:8}", fg=colour, nl=False)
    click.echo(f" {check.group}, {check.name}: {printable(check.found)}")
    if check.fix:
        click.echo(f"         fix: {printable(check.fix)}")
