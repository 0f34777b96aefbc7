"""Passes the cases of a job to the rules, which are given only the CT, its affine and the texts."""

from collections.abc import Iterator

import numpy as np
from groundbench_sdk import Adapter, Case
from grounding import iter_segment  # type: ignore[import-not-found] # lies beside this file, in the image too


class Rules(Adapter):
    """Segments by rule; there is nothing to load."""

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``, each mask (H, W, D) of bool."""
        texts = [finding.text for finding in case.findings]
        masks = iter_segment(case.volume(), case.affine, texts)
        for finding, mask in zip(case.findings, masks, strict=True):
            yield finding.id, mask
