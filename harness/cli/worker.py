"""``bench worker``: a Dask worker of this host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.errors import UsageError


@click.command()
@click.option("--address", metavar="ADDRESS", default="", help="Of the scheduler, such as tls://gpu1:8786.")
@click.option(
    "--scheduler-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that `dask scheduler --scheduler-file` has written, in place of the address.",
)
@click.option(
    "--shared",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The cluster's shared folder, where this host sees it.",
)
@click.option(
    "--gpu-ids",
    default="",
    metavar="ID[,ID]",
    help="GPUs of this worker, by number, UUID or its beginning; by default the one that is granted, if there is one.",
)
@click.option("--insecure", is_flag=True, help="Accept an address without encryption beyond this machine.")
def worker(address: str, scheduler_file: Path | None, shared: Path, gpu_ids: str, *, insecure: bool) -> None:
    """Run shards for a Dask scheduler, one at a time; start one worker for each GPU.

    The worker ends when the scheduler does, after its shard. SIGTERM or Ctrl-C ends it after the case in flight, or
    after half a minute; a second signal ends it at once.

    Example: bench worker --address tls://gpu1:8786 --shared /proj/bench --gpu-ids 0
    """
    from pydantic import ValidationError

    from harness.cli.signals import heeding
    from harness.cluster.config import DaskCluster
    from harness.cluster.tasks import Here
    from harness.cluster.worker import choose_gpus, serve

    try:
        cluster = DaskCluster(
            name="of this worker",
            kind="dask",
            address=address,
            scheduler_file=None if scheduler_file is None else scheduler_file.absolute(),
            shared=shared.resolve(),
            insecure=insecure,
        )
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ").replace("insecure = true", "--insecure")
        said = said.replace("needs one of address and scheduler_file", "give one of --address and --scheduler-file")
        raise UsageError(said, fix="see `bench worker --help`") from error
    here = Here(cluster.shared)

    def leave(*_: Any) -> None:
        if here.stop.soon.is_set():
            here.stop.now.set()
        here.stop.soon.set()

    gpus = choose_gpus(tuple(part.strip() for part in gpu_ids.split(",") if part.strip()))
    with heeding(leave):
        serve(cluster, gpus, here, lambda line: click.echo(line, err=True))
