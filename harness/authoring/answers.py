"""The masks of a model over the made-up CTs, and what they say of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from harness.authoring.torture import Form, write_torture
from harness.authoring.verdict import PluginCheck, Quiet, Surroundings
from harness.dataset import open_dataset
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.protocol import BoxRule
from harness.rows import RunRow
from harness.runs.plan import RunRequest
from harness.runs.run import execute
from harness.runs.run_weights import PINNED, RANDOM
from harness.status import Status
from harness.store.database import Store

_NOTHING = "the plain CT has no mask with a voxel, so that nothing can be compared"
_LACKING = "no CT has a mask for every finding, so that nothing can be compared"
_DRAWN = "its boxes are moved, by another draw for each case"

#: Of what turns with the array's axes, the Dice below which a model does not turn with them.
_ALIKE = 0.8


def weights_of(variant: Variant, plugin: Plugin) -> str:
    """Return the weights that a check uses: those beside the plugin, otherwise random ones, where it needs any."""
    beside = all(file.local is not None for file in plugin.model.loaded_by(variant))
    return PINNED if beside else RANDOM


class Answers:
    """The masks of one run over the made-up CTs.

    Parameters
    ----------
    plugin, variant
        The model.
    chosen
        The forms of CTs, the plain one first.
    around
        Where it is run.
    name
        Of its data set's folder.
    last_first
        Whether the cases have other names, in the reversed order, and one that cannot be read comes before them.
    """

    def __init__(
        self,
        plugin: Plugin,
        variant: Variant,
        chosen: list[Form],
        around: Surroundings,
        name: str,
        *,
        last_first: bool = False,
    ) -> None:
        self._variant, self._forms, self._around = variant, chosen, around
        self._row: RunRow | None = None
        self._ended: dict[str, tuple[str, str]] = {}
        self.tried_again: set[str] = set()  #: cases that failed, until each had a container of its own
        self.folder = around.work / name
        written = [*chosen, replace(chosen[0], words="a file that ends too soon")] if last_first else chosen
        self._names = write_torture(self.folder, written, last_first=last_first)
        self._cut = self._names[-1] if last_first else ""
        self.request = RunRequest(
            plugin,
            variant,
            open_dataset(self.folder),
            "test",
            "mlhc2025",
            engine=around.engine,
            weights=weights_of(variant, plugin),
        )

    @property
    def run_folder(self) -> Path:
        """The folder of the run."""
        assert self._row is not None  # noqa: S101 - asked for after the run
        return self._around.own_home / "runs" / self._row.id

    def run(self) -> None:
        """Run the model; raises as `bench run` does."""
        with Store(self._around.own_home / "results.db") as store:
            watcher = Quiet(self._around.log, self._shorten if self._cut else lambda: None)
            self._row = execute(
                self.request, home=self._around.own_home, store=store, watcher=watcher, stop=self._around.stop
            )
            rows, cases = store.findings(self._row.id), store.cases(self._row.id)
        self._ended = {row.case: (row.status, row.reason) for row in rows if row.status != Status.OK}
        self.tried_again = {case.case for case in cases if case.attempts > 1 and case.case != self._cut}

    def _shorten(self) -> None:
        """Take half of a CT away, now that it has been validated."""
        path = self.folder / "ct" / f"{self._cut}.nii.gz"
        os.truncate(path, path.stat().st_size // 2)

    @property
    def failed(self) -> dict[str, str]:
        """How the forms that were not answered ended, by what they are called for people."""
        words = {name: form.words for name, form in zip(self._names, self._forms, strict=False)}
        return {
            words[case]: f"{status}{f', {reason}' if reason else ''}"
            for case, (status, reason) in self._ended.items()
            if case in words
        }

    def masks(self, place: int) -> list[npt.NDArray[np.bool_]] | None:
        """Return the masks of a form, in the plain one's array order; None where one is lacking."""
        name, form = self._names[place], self._forms[place]
        if name in self._ended:
            return None
        folder = self.run_folder / "masks" / name
        paths = [folder / f"{finding}.nii.gz" for finding in range(len(form.texts))]
        return [form.back(np.asarray(nib.load(path).dataobj).reshape(form.ct.shape) > 0) for path in paths]  # type: ignore[attr-defined]

    @property
    def _whole(self) -> list[list[npt.NDArray[np.bool_]]]:
        """The masks of the forms of which none is lacking."""
        return [masks for place in range(len(self._forms)) if (masks := self.masks(place)) is not None]

    @property
    def _steady(self) -> bool:
        """Whether a prompt that fills the CT is the same under every name."""
        return self._variant.prompt is not Prompt.BOX or self._variant.boxes is not BoxRule.MOVED

    def answered(self) -> PluginCheck:
        """Whether every finding of every form has a valid mask."""
        if not self.failed:
            return PluginCheck("answers", "pass", f"every finding of {len(self._forms)} CTs, in every form")
        forms: dict[str, list[str]] = {}
        for words, ended in self.failed.items():
            forms.setdefault(ended, []).append(words)
        every = len(self._forms)
        parts = [f"{'every form' if len(one) == every else ', '.join(one)}: {ended}" for ended, one in forms.items()]
        said = "; ".join(parts)
        if self.request.plugin.granted_truth and {status for status, _ in self._ended.values()} == {
            Status.MISSING_OUTPUT
        }:
            return PluginCheck("answers", "skip", f"{said}; a known answer may leave findings out")
        return PluginCheck("answers", "FAIL", said, "answer each, with an empty mask where there is nothing to find")

    def read_alike(self) -> PluginCheck:
        """Whether the same voxels have the same masks, however they are stored."""
        return self._alike(
            PluginCheck("reads", "pass", "the same masks however the voxels are stored"),
            ("same", np.array_equal),
            "the masks are not those of 16-bit integers where the same voxels are stored as {}",
            "read voxels by a library that knows NIfTI, with scale and byte order; `case.volume()` does",
        )

    def turned_alike(self) -> PluginCheck:
        """Whether the masks turn with the array's axes."""

        def alike(plain: npt.NDArray[np.bool_], turned: npt.NDArray[np.bool_]) -> bool:
            both = int(plain.sum() + turned.sum())
            return both == 0 or 2 * int((plain & turned).sum()) / both >= _ALIKE

        return self._alike(
            PluginCheck("orients", "pass", "the same place in the body, whatever the array's axes"),
            ("turned", alike),
            "the masks lie elsewhere in the body where the array has {}",
            "reorient by the affine before the model, and back after it; `groundbench_sdk.grids` does",
        )

    def _alike(
        self, passed: PluginCheck, rule: tuple[str, Callable[[Any, Any], bool]], said: str, fix: str
    ) -> PluginCheck:
        """Return the outcome for the forms that hold what the plain CT holds, by a rule for their masks."""
        if not self._steady:
            return PluginCheck(passed.name, "skip", _DRAWN)
        compared = list(self._compared(*rule))
        if not compared:
            return PluginCheck(passed.name, "skip", _NOTHING if self._whole else _LACKING)
        if other := [form.words for form, same in compared if not same]:
            return PluginCheck(passed.name, "FAIL", said.format("; ".join(other)), fix)
        return passed

    def _compared(self, held: str, same: Callable[[Any, Any], bool]) -> Iterator[tuple[Form, bool]]:
        plain = self.masks(0)
        if plain is None or not any(mask.any() for mask in plain):
            return  # of nothing but empty masks, nothing could differ
        for place, form in enumerate(self._forms):
            masks = self.masks(place)
            if place and form.held == held and masks is not None:
                yield form, all(map(same, plain, masks))

    def repeats(self, first: Answers) -> PluginCheck:
        """Whether this run, under other names and in another order, has the masks of the first."""
        if not self._steady:
            return PluginCheck("repeats", "skip", _DRAWN)
        other = []
        for place, form in enumerate(self._forms):
            if not form.steady:
                continue
            mine, before = self.masks(place), first.masks(place)
            if (mine is None) != (before is None) or (
                mine is not None and before is not None and not all(map(np.array_equal, mine, before))
            ):
                other.append(form.words)
        if not other and not any(mask.any() for masks in self._whole for mask in masks):
            return PluginCheck("repeats", "skip", "no form has a mask with a voxel" if self._whole else _LACKING)
        if other:
            return PluginCheck(
                "repeats",
                "FAIL",
                f"other masks under other names and in another order: {'; '.join(other)}",
                "draw every random choice from job.seed and the voxels, and keep nothing of earlier cases",
            )
        return PluginCheck("repeats", "pass", "the same masks twice, under other names and in another order")

    def heeds_its_prompt(self) -> PluginCheck:
        """Whether another text, or a box elsewhere, has another mask."""
        by = "box" if self._variant.prompt == Prompt.BOX else "text"
        for place, form in enumerate(self._forms):
            masks = self.masks(place) or []
            for one, two in combinations(range(len(masks)), 2):
                other_prompt = (
                    not np.array_equal(form.truth[one], form.truth[two])
                    if by == "box"
                    else form.texts[one] != form.texts[two]
                )
                if other_prompt and not np.array_equal(masks[one], masks[two]):
                    return PluginCheck("heeds its prompt", "pass", f"another {by} has another mask")
        if not any(mask.any() for masks in self._whole for mask in masks):
            return PluginCheck("heeds its prompt", "skip", "every mask is empty" if self._whole else _LACKING)
        return PluginCheck(
            "heeds its prompt",
            "FAIL",
            f"every finding of a CT has the same mask, whatever its {by}",
            "segment what is asked for; a model that finds one thing answers the others with an empty mask",
        )
