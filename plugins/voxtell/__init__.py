"""VoxTell: the open state of the art of 3-D segmentation by free text, out of the box and trained in a loop of ours."""

from harness import Hub, Model, Params, Resources, Variant, hookimpl, ours, theirs

#: Two releases of the image model, and the language model of both.
NEWEST = Hub("mrokuss/VoxTell", licence="CC-BY-NC-SA-4.0").files(
    "voxtell_v1.1/fold_0/checkpoint_final.pth", "voxtell_v1.1/plans.json"
)
FIRST = Hub("mrokuss/VoxTell", licence="CC-BY-NC-SA-4.0", prefix="v1.0--").files(
    "voxtell_v1.0/fold_0/checkpoint_final.pth", "voxtell_v1.0/plans.json"
)
LANGUAGE = Hub("Qwen/Qwen3-Embedding-4B", licence="Apache-2.0", prefix="qwen--").files(
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
)

#: The published network, and the same layers with few channels on small patches.
PUBLISHED = Params(
    patch=theirs(192, "voxtell/model/voxtell_model.py:40"),
    features=theirs(32, "voxtell/model/voxtell_model.py:40"),
    queries=theirs(2048, "voxtell/inference/predictor.py:158"),
    prompts_at_once=ours(4),
    channels_last=ours(False, "as upstream; other kernels are not the same"),
)
SMALL = Params(patch=64, features=4, queries=64)

#: What VoxTell's paper says in its appendix B.3, as a public report on it has it.
PAPER = "VoxTell's paper, appendix B.3"
#: The training on this data that a public report found best; VoxTell's paper has one rate, 1e-4.
REPORT = "a public report of trainings on this data"

RECIPE = Params(
    steps=ours(40000, "what the paper gives SAT"),
    batch=ours(2),
    present=theirs(2, PAPER),
    absent=theirs(1, PAPER),
    foreground=theirs(0.85, PAPER),
    rate=theirs(1e-4, PAPER),
    encoder_rate=ours(0.1, f"{REPORT}: the image encoder at 1e-5"),
    momentum=ours(0.99, f"nnU-Net's, with Nesterov's; {REPORT}"),
    schedule=ours("polynomial", f"nnU-Net's; {REPORT}"),
    decay=ours(3e-5, "nnU-Net's"),
    clip_norm=ours(12.0, f"nnU-Net's; {REPORT}"),
    warmup=ours(0.0),
    bf16=ours(True),
)
#: The paper's one rate for all of the image model.
ONE_RATE = Params(encoder_rate=theirs(1.0, PAPER))

ZERO_SHOT = Variant(
    "zero-shot",
    PUBLISHED,
    reduced=SMALL,
    exposure=theirs("train", "version 1.1, partially: issue 11 of MIC-DKFZ/VoxTell"),
    summary="Out of the box, the finding's text in lower case.",
    weights=tuple(file.name for file in NEWEST + LANGUAGE),
)
ZERO_SHOT_FIRST = ZERO_SHOT.reading(
    "v1-0",
    exposure=theirs("none", "version 1.0: issue 11 of MIC-DKFZ/VoxTell"),
    summary="The first release out of the box, which has seen nothing of this data.",
    weights=tuple(file.name for file in FIRST + LANGUAGE),
)
FINE_TUNED = ZERO_SHOT.trained(
    RECIPE,
    # At 64 the deepest stage is 2 voxels wide, where oneDNN's bfloat16 gradient of a convolution is not the same twice.
    reduced={"patch": 96},
    summary="Trained with the findings' texts as its paper trains; the language model stays frozen.",
)
ONE = FINE_TUNED.reading("one-rate", ONE_RATE, summary="Trained with the same rate for the image encoder.")


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="voxtell",
        title="VoxTell",
        summary="3-D U-Net whose stages are asked by vectors that a language model makes of any text.",
        version="1.0.0",
        variants=(ZERO_SHOT, FINE_TUNED, ZERO_SHOT_FIRST, ONE),
        sees=theirs("3-D", "voxtell/model/voxtell_model.py:40"),
        resources=Resources(memory_gb=20, cpus=6, gpus=1, gpu_gb=20, shm_gb=1, start_minutes=20, case_minutes=60),
        training=Resources.training(memory_gb=96, cpus=12, gpu_gb=24, shm_gb=16, out_gb=160, start_minutes=20),
        licence="Apache-2.0",
        homepage="https://github.com/MIC-DKFZ/VoxTell",
        citation="Rokuss et al., VoxTell: Free-Text Promptable Universal 3D Medical Image Segmentation, CVPR 2026",
        weights=NEWEST + FIRST + LANGUAGE,
    )
