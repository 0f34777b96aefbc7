"""A random forest that learns which voxels the words of a finding stand for."""

import pickle
import re
import time

import numpy as np
from groundbench_sdk import Adapter
from sklearn.ensemble import RandomForestClassifier


def words_of(text):
    """Return the words of a text."""
    return set(re.findall(r"\w+", text.lower()))


def features(ct, affine, said):
    """Return Hounsfield units, the place in the body, and which words were said, for each voxel."""
    places = np.stack(np.meshgrid(*map(np.arange, ct.shape), indexing="ij"), -1).reshape(-1, 3)
    world = places @ affine[:3, :3].T + affine[:3, 3]
    said = np.broadcast_to(np.array(said, np.float32), (len(places), len(said)))
    return np.column_stack([ct.reshape(-1, 1), world, said]).astype(np.float32)


def read(path):
    """Return what was kept, of our own making."""
    return pickle.loads(path.read_bytes())  # noqa: S301


class Forest(Adapter):
    """Trained a tree at a time; each tree is a step that a resumed training keeps."""

    def load(self, job):
        """Read words and forest, where there are any."""
        self.seed, self.trees = job.seed, job.params["trees"]
        self.words, self.forest = read(job.checkpoint / "forest") if job.checkpoint else ([], None)

    def said(self, text):
        """Return which of the known words a text has."""
        return [word in words_of(text) for word in self.words]

    def predict(self, case):
        """Yield what the forest takes for the finding."""
        ct = case.volume()
        for finding in case.findings:
            found = self.forest.predict(features(ct, case.affine, self.said(finding.text)))
            yield finding.id, found.reshape(case.shape)

    def finetune(self, train, val, training):
        """Grow tree after tree on some voxels of every finding."""
        self.words = sorted(set().union(*(words_of(finding.text) for case in train for finding in case.findings)))
        kept = training.state / "forest"
        forest = RandomForestClassifier(0, max_depth=8, warm_start=True, random_state=self.seed)
        forest = read(kept) if kept.exists() else forest
        drawn = np.random.default_rng(self.seed)
        x, y = [], []
        for case in train:
            for finding, label in zip(case.findings, case.labels(), strict=True):
                inside = label.reshape(-1) > 0
                chosen = np.concatenate([np.flatnonzero(inside)[:500], drawn.integers(0, label.size, 500)])
                x.append(features(case.volume(), case.affine, self.said(finding.text))[chosen])
                y.append(inside[chosen])
        for tree in range(forest.n_estimators + 1, self.trees + 1):
            forest.n_estimators = tree
            forest.fit(np.concatenate(x), np.concatenate(y))
            part = training.state / "part"
            part.write_bytes(pickle.dumps(forest))
            part.rename(kept)
            training.event(tree, self.trees)
            time.sleep(0.2)  # so that it can be killed on the way
        training.checkpoint(lambda folder: (folder / "forest").write_bytes(pickle.dumps((self.words, forest))))
