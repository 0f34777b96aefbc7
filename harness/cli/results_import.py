"""``bench results import``: rows from text folders into this home's database."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import UsageError


@click.command("import")
@click.argument("folders", metavar="FOLDER...", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--masks", type=click.Path(path_type=Path, exists=True), help="The masks of the one FOLDER.")
@click.option("--dataset", metavar="PATH|NAME", help="Its data set: the row is rescored before it is stored.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The files of its checkpoint: runs of the same training use them.",
)
@click.option(
    "--signers",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Keys of the organisers (a file as ssh-keygen's allowed_signers): their verification counts.",
)
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@json_option
@pass_settings
def import_rows(
    settings: Settings,
    /,
    folders: tuple[Path, ...],
    *,
    masks: Path | None,
    dataset: str | None,
    checkpoint: Path | None,
    signers: Path | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Import rows: each FOLDER is a text folder, or holds some. All are verified before the first is stored.

    A row is stored as reported; as rescored where its masks are scored again here (--masks, --dataset); above that only
    where an organiser whose key is in --signers has verified it. What is there already stays.
    """
    from harness.dataset import find_dataset
    from harness.submissions.importing import import_all, import_checkpoint_of
    from harness.submissions.verify import HeldAgainst

    if (masks is None) != (dataset is None):
        raise UsageError("--masks and --dataset go together", fix="give both, or neither")
    index = None if dataset is None else find_dataset(dataset, settings.home)
    if checkpoint is not None:
        if len(folders) > 1:
            raise UsageError("--checkpoint is that of one row", fix="import it alone")
        place = import_checkpoint_of(folders[0], checkpoint, settings.home)
        click.echo(f"the checkpoint is at {place}", err=True)
    with settings.open_store() as store:
        imported = import_all(store, folders, HeldAgainst(masks, index, settings.home, signers, jobs))
    if as_json:
        print_json({"schema": 1, "rows": [vars(one) for one in imported]})
        return
    for one in imported:
        click.echo(f"{one.run}: {one.level}, {one.what}")
    stored = [one for one in imported if one.run]
    if stored:
        click.echo(f"next: bench results show {stored[0].run}")
