"""Tiny: the smallest model that learns to ground text here, and the template of those that are trained."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from frame import find_frame  # type: ignore[import-not-found] # a module of this plugin
from groundbench_sdk import Adapter, Case, Job, Training, TrainingCase, texts
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.torch_training import fit, load_checkpoint, setup_device
from net import TinyNet  # type: ignore[import-not-found] # a module of this plugin
from samples import Samples, encode_texts, probability  # type: ignore[import-not-found] # a module of this plugin
from torch.nn import functional as F  # noqa: N812 - the field's name
from words import MAX_WORDS, count_words  # type: ignore[import-not-found] # a module of this plugin


class Tiny(Adapter):
    """A small U-Net and two text heads."""

    def load(self, job: Job) -> None:
        """Build the net from the seed; read the checkpoint where there is one."""
        self.params: dict[str, Any] = job.params
        self.seed, self.device = job.seed, setup_device(job)
        self.net: Any = TinyNet(width=job.params["width"], words=job.params["words"], dropout=job.params["dropout"])
        if job.checkpoint is not None:
            load_checkpoint(self.net, job.checkpoint)
        self.net.to(self.device, memory_format=torch.channels_last_3d).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; the CT is encoded once, whatever the number of findings."""
        if not case.findings:
            return
        for finding in case.findings:
            _, dropped = texts.fit(finding.text, count_words, MAX_WORDS)
            if dropped:
                case.warn(texts.warning(finding.id, dropped, MAX_WORDS, "tiny"))
        volume = case.volume(np.float32)
        frame = find_frame(volume, case.affine, grid_mm=self.params["grid_mm"], margin_mm=self.params["margin_mm"])
        ct, coordinates = (torch.from_numpy(a).to(self.device) for a in (frame.coarse(volume), frame.coordinates()))
        encoded = encode_texts([finding.text for finding in case.findings], self.device)
        scale = [float(factor) for factor in frame.factors]
        for finding, coarse in zip(case.findings, probability(self.net, ct, coordinates, encoded), strict=True):
            fine = F.interpolate(coarse[None, None], scale_factor=scale, mode="trilinear")[0, 0]
            yield finding.id, frame.on_ct((fine > self.params["threshold"]).cpu().numpy())

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train the whole net from random weights."""
        p = self.params
        recipe = Recipe(
            steps=p["steps"],
            batch=p["batch"],
            schedule="cosine",
            warmup=p["warmup"],
            final_rate=p["final_rate"],
            clip_norm=p["clip_norm"],
            bf16=p["bf16"],
            validate_every=p["validate_every"],
            report_every=p["report_every"],
            save_every_s=p["save_every_s"],
            workers=p["workers"],
        )
        folder = training.state / "cases"
        samples = Samples(train, p, folder, self.device)
        tests = Samples(val, p, folder, self.device)
        fit(
            self.net,
            torch.optim.AdamW(self.net.parameters(), lr=p["rate"], weight_decay=p["weight_decay"]),
            recipe=recipe,
            n_train=len(samples.findings),
            sample=samples.sample,
            loss=samples.loss,
            training=training,
            seed=self.seed,
            device=self.device,
            n_val=len(tests.cases),
            validate=tests.dices,
        )
