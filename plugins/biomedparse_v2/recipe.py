"""How BiomedParse v2 is trained: each number with its origin."""

from harness import Params, ours, paper, theirs

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
