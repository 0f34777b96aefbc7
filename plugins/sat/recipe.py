"""How SAT is trained: each number with its origin, and the readings that differ."""

from harness import Params, ours, paper, theirs

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
