"""``bench results sign``: the record of a run, signed with a key that a person has."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, pass_settings


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="The SSH key: a private one, or the public one of a key that an agent holds.",
)
@pass_settings
def sign(settings: Settings, /, run_id: str, *, key: Path) -> None:
    """Sign the record of a run, so that `bench results verify RUN --signers FILE` says who vouches for it.

    The record holds every number of the row and the digest of every mask. Verify the row first.
    """
    from harness.submissions.signed_record import sign_record

    with settings.open_store(readonly=True) as store:
        run = store.run(run_id)
    click.echo(f"signed: {sign_record(settings.home / 'runs' / run.id, key)}")
