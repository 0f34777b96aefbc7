"""One row of the board, beside the models that no model should be below."""

from __future__ import annotations

from harness.authoring.answers import weights_of
from harness.authoring.verdict import PluginCheck, Quiet, Surroundings
from harness.dataset import Dataset, open_dataset
from harness.phantom.dataset import make_dataset
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin, discover
from harness.runs.plan import RunRequest
from harness.runs.run import execute
from harness.runs.run_weights import RANDOM
from harness.store.database import Store

#: A model that reads no image, and one that knows a few words.
FLOORS = ("ellipsoid", "rules")

#: Cases of the phantom: both are predicted; for a training, of five, four are predicted and one is trained on.
_CASES, _WITH_TRAINING = 2, 5

_PROFILE = "mlhc2025"


def check_row(plugin: Plugin, variant: Variant, around: Surroundings) -> PluginCheck:
    """Return the mean Dice of a model on a phantom, beside those of `FLOORS`."""
    if weights_of(variant, plugin) == RANDOM:
        return PluginCheck("row", "skip", "its weights are random here; `bench run` makes the row with those declared")
    if variant.fine_tuned and not around.full:
        return PluginCheck("row", "skip", "it would be trained again on a phantom: --full does so, and `bench run`")
    folder = around.work.parent / "phantom"  # drawn once for all variants
    if not folder.exists():
        trained = any(one.fine_tuned for one in plugin.model.variants)
        cases = _WITH_TRAINING if around.full and trained else _CASES
        make_dataset(folder, cases=cases, size="full" if around.full else "small", seed=0)
    dataset = open_dataset(folder)
    dice, findings = _dice(plugin, variant, dataset, around, around.engine)
    beside = ["empty 0"]
    shipped = discover()
    for floor in filter(None, map(shipped.plugins.get, FLOORS)):
        # Ours, and light: as processes, so that no image is built for them.
        value, _ = _dice(floor, floor.variant(None), dataset, around, "local")
        beside.append(f"{floor.name} ({floor.variant(None).prompt}) {value:.3f}")
    said = f"Dice {dice:.3f} over {findings} findings of a phantom; beside it {', '.join(beside)}"
    if dice == 0 and not variant.weights and any(one.fine_tuned for one in plugin.model.variants):
        return PluginCheck("row", "skip", f"{said}; it has no weights and is not trained, as another variant is")
    if dice == 0:
        return PluginCheck("row", "FAIL", said, "it finds nothing; look at its masks: `bench run`, then `results show`")
    return PluginCheck("row", "pass", said)


def _dice(plugin: Plugin, variant: Variant, dataset: Dataset, around: Surroundings, engine: str) -> tuple[float, int]:
    """Return the mean Dice of all findings of the phantom's test cases, and their number."""
    home = around.own_home
    request = RunRequest(plugin, variant, dataset, "test", _PROFILE, engine=engine)
    with Store(home / "results.db") as store:
        row = execute(request, home=home, store=store, watcher=Quiet(around.log), stop=around.stop)
        dice = store.metrics(row.id, _PROFILE)["dice"]["all"]
    return float(dice["value"] or 0), row.n_findings
