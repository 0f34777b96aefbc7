"""What a training depends on: nothing more than before, but for variants that are prompted with boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness.dataset import open_dataset
from harness.dataset.boxes import BOX_RULES
from harness.dataset.fingerprint import fingerprint_of
from harness.errors import DataError, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.origins import Param
from harness.registry.protocol import BoxRule
from harness.runs.checkpoint import Checkpoint, write_record
from harness.runs.params import EXECUTION, changed
from harness.runs.plan import RunRequest
from harness.runs.run_weights import Loaded
from harness.runs.training.finetune import TrainingPlan, ensure_checkpoint, plan_training, training_cases
from harness.runs.training.here import TrainerHere
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from harness.store.database import Store
from harness.store.trainings import TrainingPoint, TrainingRow, Trainings

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.engines.base import Container, ContainerSpec, Engine


def _plan(prompt: Prompt) -> TrainingPlan:
    variant = Variant("v", prompt=prompt, fine_tuned=True, params={"size": 8})
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(variant,)), "here")
    request = RunRequest(plugin, variant, cast("Dataset", None), "test", "mlhc2025", seed=3)
    image = Image(id="sha256:1", tag="m:1", size=1, device="cpu")
    return TrainingPlan(request, image, Loaded(), (), {"train": "a", "val": "b"})


@pytest.mark.parametrize("prompt", [Prompt.TEXT, Prompt.STRUCTURED_TEXT])
def test_the_key_of_a_training_by_text_stays(prompt: Prompt) -> None:
    """Checkpoints that were trained before boxes were known to trainings are found again."""
    plan = _plan(prompt)
    assert plan.identity == {
        "contract": 1, "verb": "finetune", "plugin": "m", "plugin_version": "1", "variant": "v", "params": {"size": 8},
        "weights": {"mode": "none", "files": {}}, "image": "sha256:1", "fingerprints": {"train": "a", "val": "b"},
        "seed": 3,
    }  # fmt: skip
    assert plan.key == "adb34b176d99c35e8793d2f808ccef5fea22517f568b4438ab86ed9ec7f3cd28"


def test_the_rule_of_its_boxes_is_part_of_a_training() -> None:
    """A training with boxes by another rule, or one that had none, is another training."""
    with_boxes, without = _plan(Prompt.BOX), _plan(Prompt.TEXT)
    assert with_boxes.identity["boxes"] == BOX_RULES[BoxRule.WIDENED]
    assert {**without.identity, "boxes": with_boxes.identity["boxes"]} == with_boxes.identity
    assert with_boxes.key != without.key


@pytest.mark.parametrize("gpus", [0, 1, 2, 4])
def test_neither_gpus_nor_how_the_loop_is_executed_are_part_of_a_training(gpus: int) -> None:
    """One key for any number of GPUs, of processes and of loaders; what the model learns is another training."""
    params: dict[str, Param] = {"size": 8, "batch": 4, "at_once": 1, **dict.fromkeys(sorted(EXECUTION), 1)}
    plan = _plan(Prompt.TEXT)
    variant = replace(plan.request.variant, params=params)
    one = replace(plan, request=replace(plan.request, variant=variant))
    several = replace(one, request=replace(one.request, gpus=gpus, changes=dict.fromkeys(sorted(EXECUTION), 9)))
    assert several.key == one.key
    assert several.identity["params"] == {"size": 8, "batch": 4, "at_once": 1}
    assert several.request.params["workers"] == 9  # it reaches the container
    assert changed(variant, several.request.params) == []
    for name in ("batch", "at_once"):
        other = replace(one, request=replace(one.request, changes={name: 2}))
        assert other.key != one.key
        assert changed(variant, other.request.params) == [f"changed parameters: {name}=2"]


def test_val_cases_without_a_finding_choose_nothing(splits_writer: Callable[..., Path], tmp_path: Path) -> None:
    """Refused before anything is trained: the first weights would be as good as the last."""
    folder = splits_writer(tmp_path)
    data = open_dataset(folder)
    val = tuple(replace(case, findings=()) for case in data.splits["val"])
    data = replace(data, splits={**data.splits, "val": val})
    request = replace(_plan(Prompt.TEXT).request, dataset=data)
    with pytest.raises(DataError, match="no val case has a finding"):
        training_cases(request)


def test_the_order_of_the_index_decides_no_sample(splits_writer: Callable[..., Path], tmp_path: Path) -> None:
    """The key does not see how the index is sorted, so the cases come by name: numbers by value, train before val."""
    data = splits_writer(tmp_path / "data", lambda n: f"toy_{3 * n}_a_1")
    orders = []
    for turned in (False, True):
        index = json.loads((data / "dataset.json").read_text())
        if turned:
            index = {split: index[split][::-1] for split in reversed(index)}
            (data / "dataset.json").write_text(json.dumps(index))
        request = replace(_plan(Prompt.TEXT).request, dataset=open_dataset(data))
        orders.append([case.id for case in training_cases(request)])
    assert orders[0] == orders[1] == ["toy_3_a_1", "toy_6_a_1", "toy_9_a_1", "toy_12_a_1", "toy_15_a_1"]


class Log:
    """Collects the lines that a watcher would show."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        raise AssertionError(f"{name} did not train")


class Down:
    """An engine that cannot start a container."""

    isolates = False

    def require_readable(self, paths: Iterable[Path]) -> None:
        assert all(path.is_file() for path in paths)

    def describe(self) -> dict[str, str]:
        return {"name": "down"}

    def start(self, spec: ContainerSpec) -> Container:
        raise PrerequisiteError(f"the engine cannot start {spec.name}", fix="start it")


def _row(key: str) -> TrainingRow:
    return TrainingRow(key, "m", "v", "data", TrainingState.RUNNING, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def request_on_data(splits_writer: Callable[..., Path], tmp_path: Path) -> RunRequest:
    """Give a request to train on a small data set."""
    return replace(_plan(Prompt.TEXT).request, dataset=open_dataset(splits_writer(tmp_path / "data")))


def _ensure(request: RunRequest, home: Path, store: Store) -> Checkpoint:
    image, stop = _plan(Prompt.TEXT).image, Stop()
    plan = plan_training(request, image, Loaded(), training_cases(request), stop)
    trainer = TrainerHere(plan, home, cast("Engine", Down()), ())
    return ensure_checkpoint(plan, trainer, home=home, store=store, watcher=Log(), stop=stop)


def test_a_training_killed_after_its_record_is_done_with_the_next_command(
    request_on_data: RunRequest, tmp_path: Path
) -> None:
    """The checkpoint is complete, so its row does not stay at "running"; the figures are those of its record."""
    fingerprints = {split: fingerprint_of(request_on_data.dataset, split) for split in ("train", "val")}
    key = replace(_plan(Prompt.TEXT), request=request_on_data, fingerprints=fingerprints).key
    home = tmp_path / "home"
    (home / "checkpoints" / key / "checkpoint").mkdir(parents=True)
    about = {"seconds": 7.5, "finished": "2026-01-02T00:00:00+00:00"}
    written = write_record(home / "checkpoints" / key, key, {}, about)
    with Store(home / "results.db") as store:
        Trainings(store).save(_row(key))
        assert _ensure(request_on_data, home, store).sha256 == written.sha256
        found = Trainings(store).find(key)
    assert found is not None
    assert (found.state, found.sha256, found.seconds, found.finished) == ("done", written.sha256, *about.values())


def test_a_training_that_cannot_start_is_not_running(request_on_data: RunRequest, tmp_path: Path) -> None:
    """Its row says that the engine failed, not the model."""
    with Store(tmp_path / "home" / "results.db") as store:
        with pytest.raises(PrerequisiteError, match="cannot start"):
            _ensure(request_on_data, tmp_path / "home", store)
        (key,) = [folder.name for folder in (tmp_path / "home" / "checkpoints").iterdir()]
        found = Trainings(store).find(key)
    assert found is not None
    assert (found.state, "cannot start" in found.reason) == ("infra_error", True)
