"""Our own small text-conditioned 3-D U-Net: learns on a CPU in minutes, and shows how a model is trained here."""

from harness import Model, Params, Resources, Variant, hookimpl, ours

#: What both variants share, and the recipe; README.md gives the reason for each number.
NET = Params(
    width=ours(16),
    words=ours(32),
    dropout=ours(0.1),
    grid_mm=ours(3.5),
    margin_mm=ours(12.0),
    threshold=ours(0.5),
)
RECIPE = Params(
    steps=ours(500),
    batch=ours(4),
    crop=ours(32),
    centred=ours(0.7),
    rate=ours(0.004),
    warmup=ours(20),
    final_rate=ours(0.02),
    weight_decay=ours(0.001),
    clip_norm=ours(1.0),
    cross_entropy=ours(0.2),
    place=ours(0.3),
    place_jitter=ours(0.04),
    bf16=ours(False),
    workers=ours(0),
    processes=ours(1),
    cache_mb=ours(1024),
    validate_every=ours(50),
    report_every=ours(20),
    save_every_s=ours(30.0),
)


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="tiny",
        title="Tiny U-Net",
        summary="Small text-conditioned 3-D U-Net with trained word vectors; learns on a CPU in minutes.",
        version="1.1.0",
        variants=(
            Variant("zero-shot", NET, exposure=ours("none", "untrained"), summary="Untrained: it finds nothing."),
            Variant(
                "fine-tuned",
                NET | RECIPE,
                fine_tuned=True,
                exposure=ours("none", "it begins from nothing"),
                summary="Trained on the train split, chosen by the val split.",
            ),
        ),
        sees=ours("3-D", "a coarse grid over the whole lungs"),
        resources=Resources(memory_gb=4, cpus=2, pids=128),
        training=Resources(memory_gb=6, cpus=2, shm_gb=0.5, out_gb=2, stall_minutes=15),
        adapter="adapter:Tiny",
        licence="Apache-2.0",
    )
