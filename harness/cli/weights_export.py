"""``bench weights export``: a trained checkpoint for others, where it may be shared."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, pass_settings
from harness.errors import DataError, PrerequisiteError, UsageError


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dataset", metavar="PATH|NAME", help="Its data set: the terms of today, not those of the training.")
@pass_settings
def export(settings: Settings, /, run_id: str, folder: Path, *, dataset: str | None) -> None:
    """Copy the checkpoint that RUN predicted with into FOLDER, with what it is derived from (origin.json).

    Only where all licences of the weights that it was trained from allow it and can be kept in one work, and the terms
    of its data set allow what is derived from it. What nobody has stated counts as no.
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.fingerprint import fingerprint_of
    from harness.runs.checkpoint import find_checkpoint
    from harness.runs.training.derived import export_checkpoint

    with settings.open_store(readonly=True) as store:
        run = store.run(run_id)
    key = run.record.get("training", {}).get("key")
    if key is None:
        raise UsageError(f"{run.id} was not trained here", fix="name a run of a fine-tuned variant")
    checkpoint = find_checkpoint(settings.home / "checkpoints" / key, key)
    if checkpoint is None:
        raise PrerequisiteError(f"the checkpoint of {run.id} is not in this home", fix="export it where it was trained")
    data = None
    if dataset is not None:
        data = open_dataset(find_dataset(dataset, settings.home), cache=settings.home / "datasets" / ".digests")
        trained = checkpoint.record.get("plan", {}).get("fingerprints", {})
        if not trained or any(fingerprint_of(data, split) != content for split, content in trained.items()):
            raise DataError(f"{run.id} was not trained on {data.name}", fix="name the data set that it was trained on")
    click.echo(f"the checkpoint is at {folder}; its origin is in {export_checkpoint(checkpoint, folder, data).name}")
