"""nnInteractive: 3-D segmentation from one 2-D box an entity; named by the paper (section 2.2), not in its table."""

from harness import Hub, Model, Params, Prompt, Resources, Variant, hookimpl, ours, theirs

WEIGHTS = Hub("MIC-DKFZ/nnInteractive", licence="CC-BY-NC-SA-4.0", prefix="nninteractive--")
SESSION = "nnInteractive/inference/inference_session.py"


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="nninteractive",
        title="nnInteractive",
        summary="3-D U-Net that sees prompts as channels; a 2-D box on one slice of each entity, at full resolution.",
        version="1.0.0",
        variants=(
            Variant(
                "box",
                Params(
                    configuration=theirs("3d_fullres_ps192_bs24", f"{SESSION}:205"),
                    patch=theirs(192, "the published plans.json, which must say the same"),
                    features=theirs(32, "the published plans.json, which must say the same"),
                    autozoom=theirs(True, f"{SESSION}:62"),
                ),
                prompt=Prompt.BOX,
                reduced={"patch": 96, "features": 2, "autozoom": False},  # random masks always reach the border
                exposure=ours("none", "weights of March 2025, before the masks of this data set were published"),
                summary="A box on the middle slice of each entity; no window, no resampling.",
            ),
        ),
        sees=theirs("3-D", f"{SESSION}:205"),
        resources=Resources(memory_gb=16, cpus=4, gpus=1, gpu_gb=12, shm_gb=1, start_minutes=10, case_minutes=120),
        licence="Apache-2.0",
        homepage="https://github.com/MIC-DKFZ/nnInteractive",
        citation="Isensee et al., nnInteractive: Redefining 3D Promptable Segmentation, 2025",
        weights=WEIGHTS.files(
            "nnInteractive_v1.0/plans.json",
            "nnInteractive_v1.0/inference_session_class.json",
            "nnInteractive_v1.0/fold_0/checkpoint_final.pth",
        ),
    )
