"""``bench cluster``: whether a cluster is ready for runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.streams import say
from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster.host import HostCheck
    from harness.runs.pools import Elsewhere
    from harness.runs.spec import ShardSpec

cluster = LazyGroup(
    name="cluster",
    help="Check the clusters that runs can be sent to; clusters.toml in the home describes them.",
    no_args_is_help=True,
    lazy={"check": ("harness.cli.cluster:check", "Try out every host of a cluster; a table with fixes.")},
)


@click.command()
@click.argument("name")
@click.option("--plugin", metavar="NAME", help="Try the image and the weights of this model, not the base image alone.")
@click.option("--variant", metavar="V", help="Its variant; by default the first.")
@click.option("--dataset", metavar="PATH|NAME", help="Read a CT of each folder of this data set in a container.")
@click.option("--split", default="test", show_default=True, help="Which split of it.")
@click.option("--gpus", type=click.IntRange(0, 1024), default=0, show_default=True, help="As for `bench run`.")
@plugin_dir_option
@json_option
@pass_settings
def check(settings: Settings, /, name: str, *, gpus: int, as_json: bool, **options: Any) -> None:
    """Try out every host of the cluster NAME: versions, shared folder, scratch, engine, image, GPU, container, clock.

    Each line that is not ok comes with a fix. Certificates of a Dask cluster are made by the first call. Exits with 3
    when something will not work.

    Example: bench cluster check lab --plugin rules --gpus 1
    """
    from harness.cluster.config import find_cluster
    from harness.cluster.pool import check_cluster

    shard = _shard_of(settings, gpus=gpus, **options)
    checks: list[HostCheck] = []
    for line in check_cluster(find_cluster(name, settings.home), gpus=gpus, shard=shard, log=_log):
        checks.append(line)
        if not as_json:
            _show(line)
    if as_json:
        print_json({"schema": 1, "cluster": name, "checks": [line.model_dump() for line in checks]})
    failed = [f"{line.host}, {line.subject}" for line in checks if line.verdict == "failed"]
    if failed:
        raise PrerequisiteError(f"{len(failed)} checks failed: {'; '.join(failed)}", fix="see the lines above")


def _shard_of(
    settings: Settings,
    *,
    plugin: str | None,
    variant: str | None,
    dataset: str | None,
    split: str,
    gpus: int,
    plugin_dirs: tuple[Path, ...],
) -> Callable[[Elsewhere], ShardSpec] | None:
    """Return what makes the shard that the hosts try out; None without a model."""
    if plugin is None:
        return None
    from harness.cli.run import open_data
    from harness.runs.plan import RunRequest
    from harness.runs.remote import trial_of

    found = find_plugins(plugin_dirs).get(plugin)
    request = RunRequest(
        found, found.variant(variant), open_data(settings, dataset, _log), split, "mlhc2025", gpus=gpus
    )
    return lambda pool: trial_of(pool, request, home=settings.home, log=_log)


def _log(line: str) -> None:
    click.echo(line, err=True)


def _show(check: HostCheck) -> None:
    from harness.cli.tables import printable

    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[check.verdict]
    say(f"{check.verdict:8}", fg=colour, nl=False)
    click.echo(f" {check.host}, {check.subject}: {printable(check.found)}")
    if check.fix:
        click.echo(f"         fix: {printable(check.fix)}")
