"""``bench submit``: a row as a text folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import DataError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from harness.registry.card import Card
    from harness.rows import RunRow
    from harness.runs.checkpoint import Checkpoint
    from harness.submissions.record import MaskArchive


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--to",
    "to",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="The checkout of a results repository, or any folder: the text folder is made below DIR/submissions/.",
)
@click.option("--card", "card_file", type=click.Path(path_type=Path), help="What you state of the row (TOML).")
@click.option(
    "--public-split",
    "public_splits",
    multiple=True,
    metavar="SPLIT",
    help="Single findings of this split may be shown. Of any other only means and digests leave.",
)
@click.option("--masks", type=click.Path(path_type=Path, exists=True), help="New place of the masks, if they moved.")
@click.option("--dataset", metavar="PATH|NAME", help="New place of the data set, if it moved.")
@click.option(
    "--pack",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.zip",
    help="Also pack the masks into this archive, to be put where --masks-at says.",
)
@click.option("--masks-at", default="", metavar="https://…", help="Where others get the masks.")
@click.option(
    "--checkpoint-at",
    default=None,
    metavar="https://…",
    help='Where others get the checkpoint of a fine-tuned row; "" sends its training record alone.',
)
@click.option("--sign", "key", type=click.Path(path_type=Path), metavar="KEY", help="Sign with this SSH key.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@click.option("--dry-run", is_flag=True, help="Say what would leave, and write nothing.")
@json_option
@pass_settings
def submit(
    settings: Settings,
    /,
    run_id: str,
    *,
    to: Path,
    card_file: Path | None,
    public_splits: tuple[str, ...],
    masks: Path | None,
    dataset: str | None,
    pack: Path | None,
    masks_at: str,
    checkpoint_at: str | None,
    key: Path | None,
    jobs: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a finished row as one folder of text: record, scores of findings, digests of masks, card.

    First the row is computed again from its masks, as `bench results verify` does. The folder can be read, compared and
    merged in git; nothing is sent anywhere, and nothing is overwritten. Neither paths nor host names leave, nor texts
    that the terms of the data set do not allow.

    Example: bench submit rules-zero-shot-0123456789 --to ../results --card card.toml --public-split val
    """
    from harness.dataset.terms import Terms
    from harness.runs.claims import claimed, trained_here
    from harness.runs.verify import verify_run
    from harness.submissions.submit import place_of, publication_of, text_files
    from harness.submissions.text_files import write_files
    from harness.submissions.verify import check_text, parse_folder

    with settings.open_store(readonly=True) as store:
        run = store.run(run_id)
        report = verify_run(store, run, settings.home, masks=masks, dataset=dataset, jobs=jobs)
        if report["differences"]:
            raise DataError(
                f"{run.id} is not what its masks give ({len(report['differences'])} differences)",
                fix=f"`bench results verify {run.id}` names them; only a row that it proves is submitted",
            )
        run = replace(run, record=claimed(run, trained_here(store)).record)
        publication = publication_of(
            Terms.model_validate(run.record.get("dataset", {}).get("terms", {})),
            run.split,
            public_splits,
            card=_card(card_file, run),
            masks=_archive(run, settings.home, None if dry_run else pack, masks_at),
            checkpoint=None if checkpoint_at is None else (_checkpoint(settings, run), checkpoint_at),
            key=None if dry_run else key,
        )
        files = text_files(store, run, publication)
    folder = to / place_of(files, run)
    if not publication.opened:
        click.echo(
            f"note: split {run.split} is not named as public (--public-split): means and digests leave, no findings",
            err=True,
        )
    checks = check_text(parse_folder(files, folder))
    if wrong := [one for one in checks if one.outcome == "FAIL"]:
        raise DataError(f"{run.id} cannot travel: {wrong[0].name}: {wrong[0].found}", fix=wrong[0].fix)
    if not dry_run:
        write_files(folder, files)
    if as_json:
        sizes = {name: len(content) for name, content in files.items()}
        print_json({"schema": 1, "run": run.id, "folder": str(folder), "written": not dry_run, "files": sizes})
        return
    for name, content in files.items():
        click.echo(f"{len(content):>10,} bytes  {name}")
    if dry_run:
        click.echo(f"would be written to {folder}")
        return
    click.echo(f"written to {folder}")
    click.echo(f"next: bench submission verify {folder}")
    if (to / ".git").exists():
        click.echo(f"then: git -C {to} add submissions && git -C {to} commit -m 'Add {run.plugin} {run.variant}'")


def _card(file: Path | None, run: RunRow) -> Card:
    """Return the card of a row: the given one, else the one that it was scored with; else nothing is stated."""
    from harness.registry.card import Card, card_of, read_card

    if file is not None:
        return read_card(file)
    stated = run.record.get("card")
    return card_of(stated, f"the card of {run.id}") if isinstance(stated, dict) else Card()


def _archive(run: RunRow, home: Path, pack: Path | None, address: str) -> MaskArchive:
    from harness.submissions.record import MaskArchive
    from harness.submissions.submit import pack_masks

    if address and not address.startswith("https://"):
        raise UsageError(f"--masks-at {address} is not an address", fix="give one that begins with https://")
    packed = MaskArchive() if pack is None else pack_masks(run, home, pack)
    return packed.model_copy(update={"address": address})


def _checkpoint(settings: Settings, run: RunRow) -> Checkpoint:
    from harness.runs.checkpoint import find_checkpoint

    key = run.record.get("training", {}).get("key")
    if key is None:
        raise UsageError(f"{run.id} was not trained here", fix="leave --checkpoint-at out")
    found = find_checkpoint(settings.home / "checkpoints" / key, key)
    if found is None:
        raise PrerequisiteError(f"the checkpoint of {run.id} is not in this home", fix="submit it where it was trained")
    return found
