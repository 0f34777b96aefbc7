"""How VoxTell is trained: upstream publishes no training with texts, its paper states how it was done."""

from harness import Params, ours, theirs

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
