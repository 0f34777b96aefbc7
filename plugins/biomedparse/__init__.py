"""BiomedParse, version 1: a 2-D model asked by text, out of the box and fine-tuned as in the paper (section 4)."""

from harness import LITERAL, LUNG, Hub, Model, Params, Resources, Upstream, Variant, hookimpl, ours, paper, theirs

CODE = Upstream("microsoft/BiomedParse", "750eb40d4624398561fe586418101f48ae9b0f1d", "Apache-2.0")
DETECTRON = Upstream("MaureenZOU/detectron2-xyz", "42121d75e10d9f858f3a91b6a39f5722c02868f0", "Apache-2.0")
WEIGHTS = Hub("microsoft/BiomedParse", licence="CC-BY-NC-SA-4.0", gated=True)
#: The tokenizer; the text encoder's weights are in the published file.
CLIP = Hub(
    "openai/clip-vit-base-patch32",
    "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    licence="MIT",
    note="that of the code; the card of the files states none",
    prefix="clip--",
)

CONFIG = "configs/biomed_seg_lang_v1.yaml"

#: The published network on the published size of a picture, and the same modules with few channels for a CPU.
PUBLISHED = Params(
    network=theirs("published", CONFIG),
    image_size=theirs(1024, f"{CONFIG}:285"),
    window_low=theirs(-1000, "inference_utils/processing_utils.py:17, for lungs"),
    window_high=theirs(1000, "inference_utils/processing_utils.py:17, for lungs"),
    stretch=theirs("slice", "inference_utils/processing_utils.py:47"),
    threshold=theirs(0.5, "inference_utils/inference.py:76"),
    slices_at_once=ours(4),
    precision=ours("float32", "as upstream; tf32 and bf16 are not the same"),
)
SMALL = Params(network="small", image_size=64, slices_at_once=16)

RECIPE = Params(
    image_size=paper(512, "section 4.2"),
    epochs=paper(10, "section 4.2"),
    batch=theirs(4, f"{CONFIG}:254"),
    at_once=ours(2),
    rate=paper(1e-4, "section 4.2"),
    encoder_rate=theirs(0.1, f"{CONFIG}:316"),
    decay=theirs(0.05, f"{CONFIG}:312"),
    schedule=theirs("constant", f"{CONFIG}:306"),
    first_drop=theirs(8 / 9, f"{CONFIG}:306"),
    second_drop=theirs(26 / 27, f"{CONFIG}:306"),
    drop_factor=theirs(0.1, f"{CONFIG}:308"),
    scale_low=theirs(0.9, f"{CONFIG}:286"),
    scale_high=theirs(1.1, f"{CONFIG}:287"),
    clip_norm=theirs(5.0, f"{CONFIG}:327"),
    bf16=ours(True, "upstream trains in float16"),
    validations=ours(5),
)

ZERO_SHOT = Variant(
    "zero-shot", PUBLISHED, reduced=SMALL, exposure=paper("none", "Table 4"), summary="Version 1 out of the box."
)
FINE_TUNED = ZERO_SHOT.trained(
    RECIPE, reduced={"batch": 2}, summary="Version 1 with all parts trained, on slices that hold the finding."
)
#: The paper's preprocessing (section 3.6), its window read in both ways; a slice's own extremes do not matter there.
WHOLE = Params(stretch=paper("window", "section 3.6"))
READINGS = {"lung-window": LUNG.params | WHOLE, "literal-window": LITERAL.params | WHOLE}


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="biomedparse",
        title="BiomedParse",
        summary="2-D model asked by text; a CT is read slice by slice, without the slices around.",
        version="1.0.0",
        variants=(ZERO_SHOT, FINE_TUNED, *(FINE_TUNED.reading(name, params) for name, params in READINGS.items())),
        sees=paper("2-D", "section 4.2: each slice by itself"),
        resources=Resources(memory_gb=20, cpus=4, gpus=1, gpu_gb=12, start_minutes=15, case_minutes=60),
        training=Resources.training(memory_gb=64, cpus=12, gpu_gb=20, shm_gb=8, out_gb=160, start_minutes=15),
        citation="Zhao et al., A foundation model for joint segmentation, detection and recognition of biomedical "
        "objects across nine modalities, Nature Methods 2025",
        sources=(
            *CODE.folders(
                modeling="90f4e0610722e5612f57ff9b15372ec6e9adbabf",
                utilities="07074ac70d4e1e9e7f61300071ff22151a0573b4",
                configs="d447436facfb2883caf177a8d44fd6060192e98d",
            ),
            DETECTRON.folder("detectron2", "0239db07737f6b352a5296aebbb2c1de495930a2", name="biomedparse-detectron2"),
        ),
        weights=(
            WEIGHTS.file("biomedparse_v1.pt"),
            CLIP.file("vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
            CLIP.file("merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
        ),
    )
