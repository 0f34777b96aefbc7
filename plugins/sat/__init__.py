"""SAT: segment anything by text, the Pro size, out of the box and fine-tuned as in the paper (section 4)."""

from harness import Hub, Model, Params, Resources, Upstream, Variant, hookimpl, ours, paper, theirs

CODE = Upstream("zhaoziheng/SAT", "5676be5a62f5cd517264b948c6198e38ddfeb0e2", "none")
WEIGHTS = Hub("zzh99/SAT")
LANGUAGE = Hub(
    "FremyCompany/BioLORD-2023-C",
    licence="LicenseRef-IHTSDO-and-NLM",
    note="each user needs their own agreements with SNOMED International (IHTSDO) and the NLM (UMLS)",
    prefix="biolord--",
)

#: Pro on the published windows; Nano on small ones for a CPU.
PRO = Params(
    backbone=theirs("UNET-L", "sh/evaluate_sat_pro.sh:40"),
    side=theirs(288, "data/inference_dataset.py:165"),
    depth=theirs(96, "data/inference_dataset.py:165"),
    voxel=theirs(1.0, "data/inference_dataset.py:87, which triples it along the body"),
    window_low=theirs(-500, "data/inference_dataset.py:70"),
    window_high=theirs(1000, "data/inference_dataset.py:70"),
    threshold=theirs(0.5, "evaluate/inference_engine.py:112"),
    channels_last=ours(False, "as upstream; other kernels are not the same"),
)
SMALL = Params(backbone="UNET", side=64, depth=32, voxel=4.0)

RECIPE = Params(
    crop_depth=paper(64, "section 4.2"),
    steps=paper(40000, "section 4.2"),
    batch=paper(1, "section 4.2: 40,000 steps are about 25 epochs of its 1,614 cases: one in all, not one a GPU"),
    rate=paper(1e-4, "section 4.2"),
    warmup=paper(0.05, "section 4.2: 2,000 of 40,000 steps"),
    decay=theirs(0.01, "train.py:89, which drops its own option, so that torch's default applies"),
    queries=theirs(32, "sh/train_sat_pro.sh:49"),
    augment=theirs(True, "data/dataset_config/72.json, one setting for all of its data sets"),
    bf16=paper(True, "section 4.2"),
)

NOT_VARIED = Params(augment=ours(False, "the paper names no augmentation"))

ZERO_SHOT = Variant(
    "zero-shot",
    PRO,
    reduced=SMALL,
    exposure=paper("none", "Table 4"),
    summary="Pro out of the box, texts in lower case.",
)
FINE_TUNED = ZERO_SHOT.trained(
    RECIPE, reduced={"crop_depth": 32, "queries": 2}, summary="Pro with all parts trained, the text encoder included."
)
PLAIN = FINE_TUNED.reading("plain", NOT_VARIED, summary="Pro trained without augmentation.")


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="sat",
        title="SAT",
        summary="3-D U-Net and mask former asked by BioLORD's reading of a text, in windows of 288 x 288 x 96.",
        version="1.0.0",
        variants=(ZERO_SHOT, FINE_TUNED, PLAIN),
        sees=paper("3-D", "section 5.1"),
        resources=Resources(memory_gb=20, cpus=6, gpus=1, gpu_gb=24, start_minutes=15, case_minutes=60),
        # The output: the cache, two states of 16 GB while one replaces the other, the checkpoint.
        training=Resources.training(memory_gb=96, cpus=12, gpu_gb=56, shm_gb=16, out_gb=176, start_minutes=15),
        citation="Zhao et al., One Model to Rule them All: Universal Segmentation by Text Prompts, 2023",
        sources=CODE.folders(
            model="4bb00c3291f0d3d32156b1914e3527506d6c6f61", train="282b1dfc4d7220c214aa9316bb3eaa1e3ae804ac"
        ),
        weights=(
            *WEIGHTS.files("Pro/SAT_Pro.pth", "Pro/text_encoder.pth"),
            *LANGUAGE.files(
                "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"
            ),
        ),
    )
