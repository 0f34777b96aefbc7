"""One case from its plan: drawn, described, scanned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.phantom.body import paint_body
from harness.phantom.canvas import Canvas
from harness.phantom.findings import BENEATH_VESSELS, PAINTERS, Brush
from harness.phantom.grid import Grid, Size, grid_for
from harness.phantom.patient import Patient
from harness.phantom.plan import CasePlan, plan_case
from harness.phantom.scanner import scan
from harness.phantom.segments import AIRWAY, LOBE_OF
from harness.phantom.streams import Stream, stream
from harness.phantom.trees import grow_trees, paint_airways, paint_vessels
from harness.phantom.wording import word

#: Voxels painted at a time: few enough to fit the processor's cache and to bound the memory.
_VOXELS = 1 << 20


@dataclass(frozen=True)
class PhantomCase:
    """A finished case.

    Parameters
    ----------
    plan
        Its plan.
    grid
        Its grid.
    ct
        Shape (H, W, D), int16, HU.
    finding
        Shape (H, W, D), uint8: index of the finding a voxel belongs to plus one, 0 for none.
    entity
        Shape (H, W, D), uint8: the entity id within that finding.
    anatomy
        Shape (H, W, D), uint8: lobes 1 to 5, central and segmental airways 6.
    texts
        One per finding.
    """

    plan: CasePlan
    grid: Grid
    ct: npt.NDArray[np.int16]
    finding: npt.NDArray[np.uint8]
    entity: npt.NDArray[np.uint8]
    anatomy: npt.NDArray[np.uint8]
    texts: tuple[str, ...]

    def entry(self) -> dict[str, object]:
        """Return the case's entry in ``dataset.json``."""
        numbers = range(len(self.texts))
        voxels = np.bincount(self.finding.ravel(), minlength=len(self.texts) + 1)[1:]
        entities = [len(np.unique(self.entity[self.finding == number + 1])) for number in numbers]
        return {
            "name": self.plan.name,
            "findings": {str(number): self.texts[number] for number in numbers},
            "entity_counts": {str(number): entities[number] for number in numbers},
            "shape": list(self.grid.shape),
            "pixels": {str(number): int(voxels[number]) for number in numbers},
            "categories": {str(number): self.plan.findings[number].category for number in numbers},
            "protocol": "protocol1",
        }


def make_case(seed: int, number: int, size: Size) -> PhantomCase:
    """Make case `number` (counted from 0) of the data set of `seed`; the same three always give the same case."""
    plan = plan_case(seed, number)
    patient = Patient.draw(stream(seed, number, Stream.PATIENT), plan.pleura, plan.collapsed)
    grid = grid_for(size, *patient.field_of_view)
    canvas = Canvas(patient, grid, patient.cloud(stream(seed, number, Stream.TREES)))
    paint_body(canvas, max(1, _VOXELS // (grid.shape[0] * grid.shape[1])))
    trees = grow_trees(canvas, stream(seed, number, Stream.TREES, part=1))
    brushes = [
        Brush(canvas, trees, planned.site, index, planned.collapsed, stream(seed, number, Stream.FINDING, part=index))
        for index, planned in enumerate(plan.findings)
    ]
    codes = [planned.category for planned in plan.findings]
    texts = {i: PAINTERS[code](brushes[i]) for i, code in enumerate(codes) if code in BENEATH_VESSELS}
    paint_vessels(canvas, trees)
    paint_airways(canvas, trees)
    texts |= {i: PAINTERS[code](brushes[i]) for i, code in enumerate(codes) if code not in BENEATH_VESSELS}
    _close_ranks(canvas, len(codes))
    anatomy = LOBE_OF[canvas.segments]
    anatomy[canvas.airway & (canvas.finding == 0)] = AIRWAY
    ct = scan(canvas.ct, grid, stream(seed, number, Stream.NOISE))
    words = word([texts[i] for i in range(len(codes))], codes, stream(seed, number, Stream.WORDING))
    return PhantomCase(plan, grid, ct, canvas.finding, canvas.entity, anatomy, words)


def _close_ranks(canvas: Canvas, findings: int) -> None:
    """Renumber the entities of each finding 1..n where an entity is so small that no voxel received it."""
    for number in range(1, findings + 1):
        mine = canvas.finding == number
        ids, inverse = np.unique(canvas.entity[mine], return_inverse=True)
        if len(ids) and (ids != np.arange(1, len(ids) + 1)).any():
            canvas.entity[mine] = (inverse + 1).astype(np.uint8)
