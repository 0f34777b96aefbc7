"""MedSAM2: SAM 2.1 trained further on medical volumes, prompted with one box an entity (paper, section 4.1)."""

from harness import (
    LITERAL,
    LUNG,
    BoxRule,
    Hub,
    Model,
    Params,
    Prompt,
    Resources,
    Upstream,
    Variant,
    Weights,
    Window,
    hookimpl,
    ours,
    paper,
    theirs,
)

CODE = Upstream("bowang-lab/MedSAM2", "332f30d420f1d1b08e2a79b3ae6a602458808383", "Apache-2.0")
LICENCE, NOTE = "CC-BY-SA-4.0", "its authors also say: for research and education only"
#: At this revision the digest and the number of bytes stand in several public records of downloads.
PINNED = Hub("wanglab/MedSAM2", "e4a6f35edd7e091619cbc0750f462f1574e23955", licence=LICENCE, note=NOTE)
NOT_PINNED = Hub("wanglab/MedSAM2", licence=LICENCE, note=NOTE)

INPUT = LUNG.params | Params(
    config=theirs("configs/sam2.1_hiera_t512.yaml", "medsam2_infer_3D_CT.py:36"),
    image_size=theirs(512, "medsam2_infer_3D_CT.py:245"),
    prompt=theirs("box", "medsam2_infer_3D_CT.py:259"),
    within=theirs("volume", "medsam2_infer_3D_CT.py:268"),
    slices_each_way=ours(0, "no limit"),
    together=ours(False, "one entity after another; all at once is not the same"),
)
REDUCED = Params(image_size=128, slices_each_way=1)

#: Variant -> its published file, and what that was trained on. The first is the default.
CHECKPOINTS = {
    "latest": (
        PINNED.file(
            "MedSAM2_latest.pt", "c92743b99f00d078bf32a3afcc38aaa9faf1c1692dffe3eaa7a90938c1991060", 156_040_129
        ),
        "the authors' newest weights",
    ),
    "ct-lesion": (NOT_PINNED.file("MedSAM2_CTLesion.pt"), "weights for lesions in CT"),
    "base": (NOT_PINNED.file("MedSAM2_2411.pt"), "the authors' first weights, November 2024"),
}


#: The window of the authors' script for nodules in chest CTs.
NODULES = Window(-1500, 0, "upstream, examples/infer_CT_LUNA25.py:80")


def _variant(name: str, weights: Weights, what: str) -> Variant:
    return Variant(
        name,
        INPUT | {"checkpoint": weights.name},
        prompt=Prompt.BOX,
        exposure=paper("none", "Table 4"),
        summary=f"Boxes, {what}, followed slice by slice",
        weights=(weights.name,),
        reduced=REDUCED,
    )


def _variants() -> tuple[Variant, ...]:
    """Return a variant for each checkpoint, and of the first one the other readings of the protocol, one at a time."""
    variants = tuple(_variant(name, weights, what) for name, (weights, what) in CHECKPOINTS.items())
    latest, lesion, _ = variants
    return (
        *variants,
        latest.reading("literal-window", LITERAL.params),
        latest.reading("moved-boxes", boxes=BoxRule.MOVED),
        latest.reading("within-box", Params(within=ours("box", "a box ends where its entity ends"))),
        latest.reading("mask-prompt", Params(prompt=theirs("mask", "examples/infer_CT_LUNA25.py:189"))),
        lesion.reading("nodule-window", NODULES.params),
    )


@hookimpl
def bench_models() -> Model:
    """Return the model."""
    return Model(
        name="medsam2",
        title="MedSAM2",
        summary="SAM2 trained further on medical volumes; a box around each entity, followed slice by slice.",
        version="1.0.0",
        variants=_variants(),
        sees=paper("slices with memory", "section 5.1: it attends to the slices before"),
        resources=Resources(memory_gb=16, cpus=4, gpus=1, gpu_gb=3, shm_gb=0.25, start_minutes=5, case_minutes=240),
        citation="Ma et al., MedSAM2: Segment Anything in 3D Medical Images and Videos, 2025",
        sources=(
            CODE.folder("sam2", "c9fe39de785bb7c0e2e2f21ff9438d267c3eda5c", name="medsam2"),
            CODE.folder(  # one class of the image encoder
                "efficient_track_anything", "f963d4196cf75a109d910482d9819cb7c73e83c9", name="medsam2-efficient"
            ),
        ),
        weights=tuple(weights for weights, _ in CHECKPOINTS.values()),
    )
