"""How nnInteractive sees a CT: as it is, in upstream's axes, with a box on the middle slice of each entity."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import Box, reorient_to

#: Axes of an array that upstream's reader returns: RAS, in reverse order.
AXES = "SAR"


class NnInteractive(Adapter):
    """One session of upstream's; a CT is set once, and each entity is a new interaction."""

    def load(self, job: Job) -> None:
        """Open the session, with the published files or a small random network."""
        from groundbench_sdk.torch_training import setup_device
        from groundbench_sdk.torch_weights import link_files
        from session import made_up_files, open_session

        device, folder, self.seed = setup_device(job), Path(mkdtemp()), job.seed
        if job.weights_mode == "random":
            made_up_files(folder, job.params)
        else:
            link_files(job.weights, "nninteractive--", folder)
        self.session = open_session(folder, job.params, device=device, threads=job.threads)

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield for every finding the union of its entities' masks."""
        reorientation = reorient_to(AXES, case.affine)
        image = case.volume(np.float32, axes=AXES)
        if image.min() == image.max():
            raise ValueError("the CT has the same value everywhere: nnInteractive cannot standardise it")
        found = np.zeros(image.shape, np.uint8)
        self.session.set_image(image[None])
        self.session.set_target_buffer(found)
        for finding in case.findings:
            mask = np.zeros(image.shape, bool)
            for box in finding.boxes or []:
                np.random.seed(self.seed)  # noqa: NPY002 - upstream draws the places of refinement from it
                self.session.reset_interactions()  # empties `found`, too
                self.session.add_bbox_interaction(
                    on_key_slice(reorientation.box(box, case.shape)), include_interaction=True
                )
                mask |= found > 0
            yield finding.id, reorientation.restore(mask)


def on_key_slice(box: Box) -> list[list[int]]:
    """Return ``[[s, s + 1], [a0, a1], [r0, r1]]`` of a box along S, A, R: its middle slice, the lower of two.

    The published weights know 2-D boxes only; ends are excluded, as here.
    """
    key = (box[0] + box[3] - 1) // 2
    return [[key, key + 1], [box[1], box[4]], [box[2], box[5]]]
