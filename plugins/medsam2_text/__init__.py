"""MedSAM2 Text: MedSAM2 asked by CT-CLIP's vector of a finding, trained as in the paper (section 4)."""

from harness import LITERAL, LUNG, Hub, Model, Params, Resources, Upstream, Variant, hookimpl, ours, paper, theirs

CODE = Upstream("bowang-lab/MedSAM2", "332f30d420f1d1b08e2a79b3ae6a602458808383", "Apache-2.0")
WEIGHTS = Hub(
    "wanglab/MedSAM2",
    "e4a6f35edd7e091619cbc0750f462f1574e23955",
    licence="CC-BY-SA-4.0",
    note="its authors also say: for research and education only",
)
CT_CLIP = Hub(
    "ibrahimhamamci/CT-RATE",
    licence="CC-BY-NC-SA-4.0",
    note="its gate forbids to redistribute any portion",
    gated=True,
    repo_type="dataset",
)
BERT = Hub(
    "microsoft/BiomedVLP-CXR-BERT-specialized", "f1cc2c6b7fac60f3724037746a129a5baf194dbc", "MIT", prefix="cxr-bert--"
)

CONFIG = "sam2/configs/sam2.1_hiera_tiny_finetune512.yaml"

INPUT = LUNG.params | Params(
    config=theirs("configs/sam2.1_hiera_t512.yaml", "medsam2_infer_3D_CT.py:36"),
    checkpoint=ours("MedSAM2_latest.pt", "the paper does not say which"),
    image_size=theirs(512, f"{CONFIG}:4"),
    threshold=theirs(0.5, "medsam2_infer_3D_CT.py:269"),
    predict_memory=ours(True, "the paper's section 4.2 can be read both ways"),
)
#: The same layers on small pictures, two of them a sample.
SMALL = Params(image_size=64, frames=2, foreground=1.0)

RECIPE = Params(
    train_memory=ours(True, "the paper's section 4.2 can be read both ways"),
    frames=paper(32, "section 4.2"),
    objects=ours(3, f"SAM 2's recipe; upstream has 5, {CONFIG}:8"),
    first_frame=theirs(True, "training/dataset/vos_sampler.py:69, a window begins with a slice that shows an object"),
    foreground=paper(0.0, "section 4.2: where the first slice does not matter, slices are drawn from the whole CT"),
    epochs=paper(50, "section 4.2"),
    batch=ours(1, f"upstream has 8, of 8 frames each, {CONFIG}:5"),
    rate=theirs(5e-5, f"{CONFIG}:9"),
    image_rate=theirs(3e-5, f"{CONFIG}:10"),
    decay=theirs(0.1, f"{CONFIG}:322"),
    layer_decay=theirs(0.9, f"{CONFIG}:301"),
    final_rate=theirs(0.1, f"{CONFIG}:312"),
    clip_norm=theirs(0.1, f"{CONFIG}:295"),
    bf16=theirs(True, f"{CONFIG}:288"),
    validations=ours(5),
)

ANYWHERE = Params(first_frame=paper(False, "section 4.2, to the letter: 32 consecutive slices, randomly sampled"))

SEEN = ours("unknown", "CT-CLIP was trained on CT-RATE, whence this benchmark's cases come; on which is not stated")

FINE_TUNED = Variant("fine-tuned", INPUT | RECIPE, reduced=SMALL, exposure=SEEN).trained(
    summary="All of MedSAM2 trained with the findings' texts; CT-CLIP's text encoder stays frozen."
)


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="medsam2-text",
        title="MedSAM2 Text",
        summary="MedSAM2 with a vector of the text in place of a box; slice by slice, remembering those before.",
        version="1.0.0",
        variants=(
            FINE_TUNED,
            FINE_TUNED.reading("literal-window", LITERAL.params),
            FINE_TUNED.reading("any-slices", ANYWHERE),
        ),
        sees=paper("slices with memory", "section 5.1: it attends to the slices before"),
        resources=Resources(memory_gb=20, cpus=4, gpus=1, gpu_gb=4, shm_gb=0.25, start_minutes=10, case_minutes=60),
        training=Resources.training(memory_gb=64, cpus=12, gpu_gb=24, shm_gb=16, out_gb=160, start_minutes=10),
        citation="Ma et al., MedSAM2: Segment Anything in 3D Medical Images and Videos, 2025; Hamamci et al., "
        "CT-CLIP, 2024",
        sources=(
            CODE.folder("sam2", "c9fe39de785bb7c0e2e2f21ff9438d267c3eda5c", name="medsam2"),
            # One class of the image encoder; the loss.
            CODE.folder(
                "efficient_track_anything", "f963d4196cf75a109d910482d9819cb7c73e83c9", name="medsam2-efficient"
            ),
            CODE.folder("training", "47f91613e23e9115c54207451e8a44f2005a96ab"),
        ),
        weights=(
            WEIGHTS.file(  # as in the plugin medsam2
                "MedSAM2_latest.pt", "c92743b99f00d078bf32a3afcc38aaa9faf1c1692dffe3eaa7a90938c1991060", 156_040_129
            ),
            CT_CLIP.file("models/CT-CLIP-Related/CT-CLIP_v2.pt"),
            *BERT.files("config.json", "vocab.txt"),
        ),
    )
