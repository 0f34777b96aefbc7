"""How MedSAM2 Text is trained: each number with its origin, and the readings that differ."""

from harness import Params, ours, paper, theirs

CONFIG = "sam2/configs/sam2.1_hiera_tiny_finetune512.yaml"

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
