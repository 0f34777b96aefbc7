"""``bench doctor``: checks that this machine has everything that a run needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option
from harness.errors import PrerequisiteError


@click.command()
@plugin_dir_option
@json_option
@pass_settings
def doctor(settings: Settings, /, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """Check machine, home, engine, GPUs and plugins; every line that is not ok comes with a fix.

    Exits with 3 when something will not work.
    """
    from harness.doctor import CheckVerdict, run_checks

    checks = list(run_checks(settings.home, plugin_dirs))
    if as_json:
        click.echo(json.dumps({"schema": 1, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        from harness.cli.tables import print_table

        print_table(
            ["", "check", "", "found", "what to do"],
            [[check.group, check.name, check.verdict, check.found, check.fix] for check in checks],
        )
    failed = [check.name for check in checks if check.verdict is CheckVerdict.FAILED]
    if failed:
        raise PrerequisiteError(f"{len(failed)} checks failed: {', '.join(failed)}", fix="see the last column above")
