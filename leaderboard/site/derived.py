"""The results database of text folders: derived, used, and gone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.store.database import Store
from harness.submissions.importing import import_all
from harness.submissions.verify import HeldAgainst


@contextmanager
def derived_store(place: Path, signers: Path | None, log: Callable[[str], None]) -> Iterator[Store]:
    """Open a database of the rows of all text folders below a place; each is verified, in any order they are the same.

    Parameters
    ----------
    place
        A folder of text folders.
    signers
        The organisers' keys: their verifications raise a row's level.
    log
        Called with a line for each folder that is left out.

    Raises
    ------
    DataError
        There is no folder, or one does not verify.
    """
    with tempfile.TemporaryDirectory(prefix="groundbench-") as scratch, Store(Path(scratch, "results.db")) as store:
        for row in import_all(store, [place], HeldAgainst(signers=signers)):
            if not row.run:
                log(f"note: {row.folder} {row.what}")
        yield store
