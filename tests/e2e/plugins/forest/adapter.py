"""A random forest that learns which voxels the words of a finding stand for."""

import pickle
import time

import numpy as np
from groundbench_sdk import Adapter
from sklearn.ensemble import RandomForestClassifier

WORDS = ("emphysema", "pneumothorax", "ground", "effusion", "nodule")


def features(ct, affine, text):
    """Return Hounsfield units, the place in the body, and which words are in the text, for each voxel."""
    places = np.stack(np.meshgrid(*map(np.arange, ct.shape), indexing="ij"), -1).reshape(-1, 3)
    world = places @ affine[:3, :3].T + affine[:3, 3]
    said = np.array([word in text.lower() for word in WORDS], np.float32)
    return np.column_stack([ct.reshape(-1, 1), world, np.broadcast_to(said, (len(places), len(WORDS)))]).astype(
        np.float32
    )


def _read(path):
    return pickle.loads(path.read_bytes())  # noqa: S301 - of its own making


class Forest(Adapter):
    """Trained a tree at a time; each tree is a step that a resumed training keeps."""

    def load(self, job):
        """Read the forest, where there is one."""
        self.seed, self.trees = job.seed, job.params["trees"]
        self.forest = _read(job.checkpoint / "forest") if job.checkpoint else None

    def predict(self, case):
        """Yield what the forest takes for the finding."""
        ct = case.volume()
        for finding in case.findings:
            yield finding.id, self.forest.predict(features(ct, case.affine, finding.text)).reshape(case.shape)

    def finetune(self, train, val, training):
        """Grow tree after tree on some voxels of every finding."""
        state = training.state / "forest"
        forest = RandomForestClassifier(0, max_depth=8, warm_start=True, random_state=self.seed)
        if state.exists():
            forest = _read(state)
        drawn = np.random.default_rng(self.seed)
        x, y = [], []
        for case in train:
            for finding, label in zip(case.findings, case.labels(), strict=True):
                of = np.flatnonzero(label.reshape(-1) > 0)[:500]
                chosen = np.concatenate([of, drawn.integers(0, label.size, 500)])
                x.append(features(case.volume(), case.affine, finding.text)[chosen])
                y.append(label.reshape(-1)[chosen] > 0)
        for tree in range(forest.n_estimators + 1, self.trees + 1):
            forest.n_estimators = tree
            forest.fit(np.concatenate(x), np.concatenate(y))
            part = training.state / "part"
            part.write_bytes(pickle.dumps(forest))
            part.rename(state)
            training.event(tree, self.trees)
            time.sleep(0.2)  # so that its end can be seen to be survived
        training.checkpoint(lambda folder: (folder / "forest").write_bytes(pickle.dumps(forest)))
