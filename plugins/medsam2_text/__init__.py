"""MedSAM2 Text: MedSAM2 asked by CT-CLIP's vector of a finding, trained as in the paper (section 4)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Source, Variant, Weights, hookimpl

_GIT = "https://github.com/bowang-lab/MedSAM2"
_COMMIT = "332f30d420f1d1b08e2a79b3ae6a602458808383"

#: Paper, section 4: 32 consecutive frames drawn from each CT, 50 epochs. The rest is upstream's (rates, objects).
_TRAINING: dict[str, Param] = {
    "config": "configs/sam2.1_hiera_t512.yaml",
    "checkpoint": "MedSAM2_latest.pt",
    "image_size": 512,
    "window_low": -1000,
    "window_high": 400,
    "predict_memory": True,
    "train_memory": True,
    "frames": 32,
    "objects": 3,
    "foreground": 0.0,
    "epochs": 50,
    "steps": 0,
    "batch": 1,
    "rate": 5e-5,
    "image_rate": 3e-5,
    "bf16": True,
    "validations": 5,
    "processes": 1,
    "workers": 6,
    "cache_mb": 131072,
}
#: The same layers on small pictures, two of them a sample.
_SMALL: dict[str, Param] = {
    "image_size": 64,
    "frames": 2,
    "foreground": 1.0,
    "steps": 2,
    "validations": 1,
    "processes": 2,
    "workers": 1,
    "cache_mb": 64,
}

_NAMES = ("MedSAM2_latest.pt", "CT-CLIP_v2.pt", "cxr-bert--config.json", "cxr-bert--vocab.txt")


def _source(name: str, path: str, tree: str) -> Source:
    return Source(name, _GIT, _COMMIT, "Apache-2.0", tree, path)


def _bert(file: str) -> Weights:
    """Declare a file of the tokenizer and its configuration; digests and sizes could not be looked up."""
    revision = "f1cc2c6b7fac60f3724037746a129a5baf194dbc"
    return Weights(
        f"cxr-bert--{file}",
        "microsoft/BiomedVLP-CXR-BERT-specialized",
        file,
        revision,
        sha256="",
        size=0,
        licence="MIT",
    )


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="medsam2-text",
            title="MedSAM2 Text",
            summary="MedSAM2 with a vector of the text in place of a box; slice by slice, remembering those before.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="All of MedSAM2 trained with the findings' texts; CT-CLIP's text encoder stays frozen.",
                    params=_TRAINING,
                    reduced=_SMALL,
                    weights=_NAMES,
                ),
            ),
            resources=Resources(
                memory_mb=20480,
                cpus=4.0,
                shm_mb=256,
                gpus=1,
                gpu_memory_mb=4000,
                start_timeout_s=600.0,
                case_timeout_s=3600.0,
            ),
            training=Resources(
                memory_mb=65536,
                cpus=12.0,
                gpus=1,
                gpu_memory_mb=24000,
                shm_mb=16384,
                out_mb=163840,
                start_timeout_s=600.0,
                stall_timeout_s=14_400.0,  # a validation says nothing until all its cases are done
            ),
            licence="Apache-2.0",
            homepage=_GIT,
            citation="Ma et al., MedSAM2: Segment Anything in 3D Medical Images and Videos, 2025; Hamamci et al., "
            "CT-CLIP, 2024",
            sources=(
                _source("medsam2", "sam2", "c9fe39de785bb7c0e2e2f21ff9438d267c3eda5c"),
                # One class of the image encoder comes from here.
                _source("medsam2-efficient", "efficient_track_anything", "f963d4196cf75a109d910482d9819cb7c73e83c9"),
                # The loss comes from here.
                _source("medsam2-training", "training", "47f91613e23e9115c54207451e8a44f2005a96ab"),
            ),
            weights=(
                Weights(  # as in the plugin medsam2
                    name="MedSAM2_latest.pt",
                    repo="wanglab/MedSAM2",
                    file="MedSAM2_latest.pt",
                    revision="e4a6f35edd7e091619cbc0750f462f1574e23955",
                    sha256="c92743b99f00d078bf32a3afcc38aaa9faf1c1692dffe3eaa7a90938c1991060",
                    size=156_040_129,
                    licence="CC-BY-SA-4.0, for research and education only",
                ),
                Weights(  # digest, size and revision could not be looked up
                    name="CT-CLIP_v2.pt",
                    repo="ibrahimhamamci/CT-RATE",
                    file="models/CT-CLIP-Related/CT-CLIP_v2.pt",
                    revision="",
                    sha256="",
                    size=0,
                    licence="CC-BY-NC-SA-4.0",
                    gated=True,
                    repo_type="dataset",
                ),
                _bert("config.json"),
                _bert("vocab.txt"),
            ),
        )
    ]
