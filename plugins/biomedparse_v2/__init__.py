"""BiomedParse v2: a 2-D model that sees the neighbours of a slice, asked by a text; not in the paper."""

from harness import Hub, Model, Params, Resources, Upstream, Variant, hookimpl, ours, paper, theirs

#: A copy: upstream's own commit cannot be fetched any more (README.md).
CODE = Upstream("eliritchie15/BiomedParse-Experimentation", "062e601d3b273504a15c2c92b354d946b8e84236", "Apache-2.0")
WEIGHTS = Hub(
    "microsoft/BiomedParse", "e473e5b2b1a3f44649734afd3dc7cf1770aaa9e2", licence="CC-BY-NC-SA-4.0", gated=True
)
#: The tokenizer; the text encoder's weights are in the checkpoint.
CLIP = Hub(
    "openai/clip-vit-base-patch32",
    "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    licence="MIT",
    note="that of the code; the card of the files states none",
    prefix="clip--",
)

#: The published network on its own pictures; a small one on small pictures for a CPU.
PUBLISHED = Params(
    network=theirs("published", "configs/model/biomedparse_3D.yaml"),
    image_size=theirs(512, "inference.py:91"),
    window_low=theirs(-910, "README.md:193, recommended for lungs: width 1500, level -160"),
    window_high=theirs(590, "README.md:193"),
    existence=theirs(0.5, "inference.py:34"),
    threshold=theirs(0.5, "src/evaluators/biomedparse_evaluator.py:32"),
    slices_at_once=theirs(4, "inference.py:103"),
    precision=ours("float32", "as upstream; tf32 and bf16 are not the same"),
)
SMALL = Params(network="small", image_size=128, slices_at_once=16)

RECIPE = Params(
    epochs=paper(10, "section 4.2, of version 1"),
    batch=theirs(8, "configs/finetune_biomedparse.yaml:20"),
    at_once=ours(2),
    rate=paper(1e-4, "section 4.2, of version 1"),
    decay=theirs(0.01, "configs/optimizer/adamw.yaml:4"),
    schedule=ours("constant", "upstream's could not be located"),
    clip_norm=theirs(5.0, "configs/trainer/biomedparse_trainer.yaml:3"),
    negatives=theirs(0.15, "its 2-D data set of a later commit, which is not pinned"),
    bf16=theirs(True, "configs/trainer/biomedparse_trainer.yaml:6"),
)

ZERO_SHOT = Variant(
    "zero-shot",
    PUBLISHED,
    reduced=SMALL,
    exposure=ours("unknown", "no file that we could read lists the CTs that it was trained on"),
    summary="Out of the box, at slices where the model says that the finding is.",
)
FINE_TUNED = ZERO_SHOT.trained(
    RECIPE, reduced={"batch": 2, "cache_mb": 256}, summary="All of it trained, on slices with truth and some without."
)


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="biomedparse-v2",
        title="BiomedParse v2",
        summary="Slices of 512 x 512, each with its two neighbours, asked by a text; the model may say: not here.",
        version="1.0.0",
        variants=(ZERO_SHOT, FINE_TUNED),
        sees=ours("2-D", "a slice with the one before and the one after, and no others"),
        resources=Resources(memory_gb=20, cpus=4, gpus=1, gpu_gb=6, start_minutes=15, case_minutes=60),
        training=Resources.training(memory_gb=64, cpus=8, gpu_gb=28, shm_gb=8, out_gb=160, start_minutes=15),
        homepage="https://github.com/microsoft/BiomedParse",
        citation="Zhao et al., Boltzmann Attention Sampling for Image Analysis with Small Objects, CVPR 2025",
        sources=(CODE.folder("src", "f492190d66e44711d8c99aa848c53b68ac417649", name="biomedparse-v2"),),
        weights=(
            WEIGHTS.file(
                "biomedparse_v2.ckpt", "6ea0bee43b983a7490e0b48689add96440c4405ca4b50b9f2fe21d5d03fd9440", 4_460_902_829
            ),
            CLIP.file("vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
            CLIP.file("merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
        ),
    )
