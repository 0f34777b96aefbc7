"""The same numbers through functions of a model's authors and through the plugin's: ``experiments.py UPSTREAM NAME``.

Each experiment is a function of a module named in ``MODULES`` that returns one number, the largest difference or how
much differs. The authors' code is a package that is installed, or lies in ``UPSTREAM/<repository>``; of a script,
single functions are run, so that its command line and its other imports are not. Prints the number, and the version of
torch, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import torch
from theirs import ROOT

MODULES = ("text_models", "video_models", "nnunet_models")

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT / "containers" / "sdk"))
    (experiment,) = [found for name in MODULES if (found := getattr(import_module(name), sys.argv[2], None))]
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
        result = experiment(Path(scratch))
    sys.stdout.write(json.dumps({"result": result, "torch": torch.__version__}) + "\n")
