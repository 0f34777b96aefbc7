"""``bench ground``: one report and its CT in, each sentence with its mask out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curation.commands.options import llm_options
from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.engines import ENGINES

if TYPE_CHECKING:
    from leaderboard.grounded.result import Result


@click.command()
@click.option("--report", required=True, type=click.Path(path_type=Path), help="Text file of one report, in UTF-8.")
@click.option("--ct", required=True, type=click.Path(path_type=Path), help="Its CT: a NIfTI file (.nii.gz or .nii).")
@click.option("--plugin", "name", required=True, metavar="NAME[:VARIANT]", help="The model, see `bench list`.")
@click.option("--variant", metavar="V", help="Variant to run; by default the model's first.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the page and the masks: new, empty, or of the same report, CT and model.",
)
@click.option("--gpus", type=click.IntRange(0, 1024), default=0, show_default=True, help="Number of GPUs to use.")
@click.option("--gpu-ids", default="", metavar="ID[,ID]", help="GPUs to use, as for `bench run`.")
@click.option(
    "--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True, help="As for `bench run`."
)
@click.option(
    "--weights", default="pinned", show_default=True, metavar="pinned|random|PATH", help="As for `bench run`."
)
@plugin_dir_option
@llm_options
@json_option
@pass_settings
def ground(
    settings: Settings,
    /,
    *,
    report: Path,
    ct: Path,
    name: str,
    variant: str | None,
    out: Path,
    gpus: int,
    gpu_ids: str,
    engine: str,
    weights: str,
    plugin_dirs: tuple[Path, ...],
    method_of: Callable[[Any, str], Any],
    as_json: bool,
) -> None:
    """Show where each sentence of a report is in its CT, as a model draws it.

    The report is cut into sentences, its findings are extracted and categorized as `bench curate run` does, and those
    of the lung and the pleura are given to the model as text. OUT gets index.html, findings.json and a mask a finding
    in the grid of the CT. Nobody has marked these findings: nothing is scored.

    The report's text stays on this machine and in OUT, unless --llm names a model elsewhere and --send-to allows it.
    The same command goes on where it was stopped. For research; not for diagnosis.

    Example: bench ground --report report.txt --ct ct.nii.gz --plugin rules --out shown
    """
    from harness.cli.run import interruptible
    from harness.cli.watch import make_watcher
    from harness.errors import ModelError
    from leaderboard.grounded.way import FINDINGS, PAGE, Asked, make

    plugin_name, _, own = name.partition(":")
    plugin = find_plugins(plugin_dirs).get(plugin_name)
    asked = Asked(
        report=report,
        ct=ct,
        plugin=plugin,
        variant=plugin.variant(own or variant),
        out=out,
        home=settings.home,
        engine=engine,
        gpus=gpus,
        gpu_ids=tuple(part.strip() for part in gpu_ids.split(",") if part.strip()),
        weights=weights,
    )
    with make_watcher() as watcher, interruptible(watcher.log) as stop:
        result, told = make(asked, method_of, watcher=watcher, stop=stop)
    if as_json:
        print_json({**told, "page": str(out / PAGE), "document": str(out / FINDINGS)})
    else:
        _say(result, out / PAGE)
    if failed := result.failed:
        raise ModelError(
            f"{len(failed)} of {len(result.shown)} findings have no mask: {failed[0].mask.reason}",
            fix=f"the log of its container is below {asked.run_folder}; the same command tries again",
        )


def _say(result: Result, page: Path) -> None:
    """Print what was found, one line a finding, and where the page is."""
    from harness.cli.tables import printable
    from leaderboard.grounded.result import facts_of

    click.echo(result.lead)
    for finding, shown in zip(result.traced.findings, result.shown, strict=True):
        if shown.measured is None:
            said = shown.mask.reason or "nothing marked"
        else:
            facts = dict(facts_of(shown.measured))
            said = f"{facts['Volume']}; {facts['Side']}; {shown.file}"
        click.echo(printable(f"  {finding.category}  {finding.text}: {said}"))
    click.echo(
        f"no truth, no score; the report's text is in {page.parent} only. The page is at {page.resolve().as_uri()}"
    )
