"""How SegVol is trained: each number with its origin, and the readings that differ."""

from harness import Params, ours, paper, theirs

RECIPE = Params(
    depth=paper(64, "section 4.2"),
    epochs=paper(50, "section 4.2"),
    batch=theirs(4, "train.py:45"),
    rate=paper(1e-4, "section 4.2"),
    warmup=ours(0.2, "10 epochs of train.py:43, as a share of the paper's 50"),
    decay=theirs(1e-5, "train.py:42"),
    jitter_chance=theirs(0.1, "train.py:30"),
    jitter=theirs(0.1, "data_utils.py:245"),
    resize=theirs("area", "data_utils.py:236, whose Resized has no mode: soft labels"),
    train_projection=theirs(False, "network/model.py:51 never trains it"),
    workers=ours(4),
    cache_mb=ours(49152),
)

#: Trained on what prediction sees, with the layer between text and image.
HARD = Params(
    resize=ours("nearest", "as it predicts: hard labels, and a small finding marks the nearest sample"),
    train_projection=ours(True, "else texts of findings would stay where names of organs were"),
)
