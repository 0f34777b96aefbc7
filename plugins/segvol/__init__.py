"""SegVol: a 3-D model asked by text or by boxes, out of the box and fine-tuned as in the paper (section 4)."""

from harness import Hub, Model, Params, Prompt, Resources, Upstream, Variant, hookimpl, ours, paper, theirs

CODE = Upstream("BAAI-DCAI/SegVol", "5768c9795794a327a2629ce7f137ab03d5ea8378", "MIT")
WEIGHTS = Hub("BAAI/SegVol", licence="MIT", note="that of the code; the card of the weights was not seen")

#: The input that the weights were published for, and one that a CPU computes in seconds.
PUBLISHED = Params(
    depth=theirs(32, "train.py:25"),
    side=theirs(256, "train.py:25"),
    threshold=theirs(0.5, "inference_demo.py:36"),
)
SMALL = Params(depth=8, side=32)

RECIPE = Params(
    depth=paper(64, "section 4.2"),
    epochs=paper(50, "section 4.2"),
    batch=theirs(4, "train.py:45"),
    rate=paper(1e-4, "section 4.2"),
    warmup=ours(0.2, "10 epochs of train.py:43, as a share of the paper's 50"),
    decay=theirs(1e-5, "train.py:42"),
    jitter_chance=theirs(0.1, "train.py:30"),
    jitter=theirs(0.1, "data_utils.py:245"),
    resize=theirs("area", "data_utils.py:236, whose Resized has no mode: soft labels"),
    train_projection=theirs(False, "network/model.py:51 never trains it"),
    workers=ours(4),
    cache_mb=ours(49152),
)

#: Trained on what prediction sees, with the layer between text and image.
HARD = Params(
    resize=ours("nearest", "as it predicts: hard labels, and a small finding marks the nearest sample"),
    train_projection=ours(True, "else texts of findings would stay where names of organs were"),
)

NOTHING_SEEN = paper("none", "Table 4")
TEXT = Variant(
    "text",
    Params(prompt="text") | PUBLISHED,
    reduced=SMALL,
    exposure=NOTHING_SEEN,
    summary="Out of the box, the finding's text; no zoom.",
)
TEXT_FINE_TUNED = TEXT.trained(
    RECIPE,
    name="text-fine-tuned",
    reduced={"batch": 2},
    summary="Trained as upstream's code trains, with the findings' texts alone; no pseudo masks, no zoom.",
)
NEAREST = TEXT_FINE_TUNED.reading("nearest", HARD, summary="Trained on nearest samples, the text's projection too.")
BOX = Variant(
    "box",
    Params(prompt="box") | PUBLISHED,
    prompt=Prompt.BOX,
    reduced=SMALL,
    exposure=NOTHING_SEEN,
    summary="Out of the box, a box an entity from the truth; no text, no zoom.",
)


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="segvol",
        title="SegVol",
        summary="3-D model: the whole CT at 32 or 64 x 256 x 256, asked by a text through CLIP or by boxes.",
        version="1.0.0",
        variants=(TEXT, TEXT_FINE_TUNED, BOX, NEAREST),
        sees=paper("3-D", "section 5.1"),
        resources=Resources(memory_gb=16, cpus=4, gpus=1, gpu_gb=6, start_minutes=10, case_minutes=20),
        training=Resources.training(
            memory_gb=64, cpus=8, gpu_gb=66, shm_gb=8, out_gb=64, start_minutes=10, stall_minutes=120
        ),
        citation="Du et al., SegVol: Universal and Interactive Volumetric Medical Image Segmentation, NeurIPS 2024",
        sources=(
            CODE.folder(
                "segment_anything_volumetric", "fe3e05e7048da5e6add2999e9e9ff8c0b2146afc", name="segvol-segment"
            ),
            *CODE.folders(
                network="3e2e72186d0641d451ec0f60aaee25492e878d8f",
                utils="4b8dfe24a08bc6e7628bd5ef0421686620e87b0c",
                config="47a338be56a1103cb8d8c0f6bc3c4f67c5e22f86",
            ),
        ),
        weights=(WEIGHTS.file("SegVol_v1.pth"),),
    )
