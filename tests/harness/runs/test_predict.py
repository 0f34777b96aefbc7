"""Cases that nobody has marked are run and their masks judged; nothing is scored, and what needs a truth is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import pytest

from harness.cli.watch import Lines
from harness.dataset import Case, Dataset, Finding, ScannedCase
from harness.engines.base import Engine
from harness.errors import DataError, Interrupted, UsageError
from harness.images.build import Image
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.runs import predict as module
from harness.runs.outcome import MASKS, CaseOutcome, Found, put
from harness.runs.plan import RunRequest
from harness.runs.predict import FindingMask, Prediction, predict, require_cts, require_promptable
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.sandbox.stop import Stop
from harness.status import Status

SHAPE = (6, 5, 4)
AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """One CT of noise with three findings, beside no truth."""
    ct = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(-500, 400, SHAPE).astype(np.int16), AFFINE), ct)
    findings = tuple(Finding(n, str(n), f"nodule {n}", "2d") for n in range(3))
    case = Case("case", "report", findings, ct=ct)
    return Dataset(root=tmp_path / "none", index=tmp_path / "none", name="report", splits={"report": (case,)})


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    variants = (
        Variant("text"),
        Variant("boxes", prompt=Prompt.BOX),
        Variant("trained", fine_tuned=True),
        Variant("words", prompt=Prompt.STRUCTURED_TEXT),
    )
    return Plugin(Model("m", title="M", version="1", summary="s", root=tmp_path, variants=variants), "here")


@pytest.mark.parametrize(("variant", "why"), [("boxes", "prompted with boxes"), ("trained", "train split")])
def test_what_needs_more_than_text_is_refused(plugin: Plugin, variant: str, why: str) -> None:
    """Boxes and trainings need a truth; the variants that do not are named."""
    with pytest.raises(UsageError, match=why) as caught:
        require_promptable(plugin, plugin.variant(variant))
    assert caught.value.fix == "--variant text or words"


def test_a_known_answer_is_refused(plugin: Plugin) -> None:
    """What reads the truth has none to read, in no variant."""
    with pytest.raises(UsageError, match="reads the ground truth") as caught:
        require_promptable(replace(plugin, granted_truth=True), plugin.variant("text"))
    assert "--variant" not in caught.value.fix
    require_promptable(plugin, plugin.variant("words"))


def test_a_ct_is_judged_without_a_truth(dataset: Dataset) -> None:
    """A CT with a fault is refused by its own path, with what to do; a sound one is not."""
    assert all(warning.code != "ct-affine" for warning in require_cts(dataset, "report"))
    [case] = dataset.split("report")
    assert case.ct is not None
    case.ct.write_bytes(case.ct.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"ct\.nii\.gz cannot be used") as caught:
        require_cts(replace(dataset), "report")
    assert caught.value.fix


class Ran:
    """Stands in for the machine: what a shard delivers, and how often one was run."""

    def __init__(self, delivered: Callable[[ShardSpec], CaseOutcome | None], state: str = "done") -> None:
        self.delivered, self.state, self.times = delivered, state, 0

    def __call__(self, spec: ShardSpec, place: object, stop: Stop) -> ShardReport:
        self.times += 1
        if (outcome := self.delivered(spec)) is not None:
            put(spec.folder, Found(spec.plan, {}, outcome))
        return ShardReport(spec.run, spec.number, cast("Any", self.state), reason="asked")


@pytest.fixture
def run(
    dataset: Dataset, plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Ran], Prediction]:
    """Return a function that predicts on a machine that is played."""
    from harness.runs.plan import Plan
    from harness.runs.prepare import Ready

    folder = tmp_path / "run"
    folder.mkdir()
    request = RunRequest(plugin, plugin.variant("text"), dataset, "report", "mlhc2025")

    def planned(*arguments: Any, **_: Any) -> tuple[Plan, Engine]:
        return Plan(request, arguments[1], Image("i"), "sha256:0", "docker", isolates=True), cast("Engine", None)

    monkeypatch.setattr(module, "plan_here", planned)
    monkeypatch.setattr(module, "ready_here", lambda plan, *_: Ready(plan, 0, (), {}))
    monkeypatch.setattr(module, "offer", lambda *_, **__: None)
    monkeypatch.setattr(module, "lease", lambda *_, **__: nullcontext([]))

    def call(ran: Ran) -> Prediction:
        monkeypatch.setattr(module, "run_shard", ran)
        return predict(request, home=tmp_path, folder=folder, watcher=cast("Any", Lines()), stop=Stop())

    return call


def masks(spec: ShardSpec, *delivered: np.ndarray, affine: np.ndarray = AFFINE) -> CaseOutcome:
    """Write masks as a container's are collected, by the numbers of the findings."""
    folder = spec.folder / MASKS / ".incoming"
    folder.mkdir(parents=True)
    for number, mask in enumerate(delivered):
        nib.save(nib.Nifti1Image(mask, affine), folder / f"{number}.nii.gz")
    return CaseOutcome(
        "case", Status.OK, masks={str(n): f"{n}" * 64 for n in range(len(delivered))}, collected=".incoming"
    )


def told(prediction: Prediction) -> Iterator[FindingMask]:
    [case] = prediction.cases
    assert isinstance(case.case, ScannedCase)
    yield from case.masks


def test_masks_are_judged_one_by_one(run: Callable[[Ran], Prediction]) -> None:
    """A mask on the CT's grid is taken, one on another is not, one that is missing is; each says why."""
    good, wrong = np.zeros(SHAPE, np.uint8), np.zeros((6, 5, 3), np.uint8)
    good[1, 2, 3] = 1
    one, two, three = told(run(Ran(lambda spec: masks(spec, good, wrong))))
    assert (one.status, one.reason, one.sha256) == (Status.OK, "", "0" * 64)
    assert one.path is not None
    assert one.path.is_file()
    assert (two.status, two.path, two.sha256) == (Status.INVALID_OUTPUT, None, "")
    assert "shape" in two.reason
    assert (three.status, three.reason) == (Status.MISSING_OUTPUT, "a mask was not delivered")


def test_a_model_that_fails_has_no_masks(run: Callable[[Ran], Prediction]) -> None:
    """How the case ended is what each finding says."""
    failed = CaseOutcome("case", Status.PLUGIN_ERROR, "it broke")
    assert [(one.status, one.reason, one.path) for one in told(run(Ran(lambda _: failed)))] == [
        (Status.PLUGIN_ERROR, "it broke", None)
    ] * 3


def test_what_is_delivered_is_not_run_again(run: Callable[[Ran], Prediction]) -> None:
    """The same call goes on from what is there; what failed, or was stopped, is tried again."""
    mask = np.ones(SHAPE, np.uint8)
    failing = Ran(lambda _: CaseOutcome("case", Status.TIMEOUT, "too long"))
    run(failing)
    with pytest.raises(Interrupted, match="stopped"):
        run(Ran(lambda _: None, state="stopped"))
    working = Ran(lambda spec: masks(spec, mask, mask, mask))
    first, again = run(working), run(working)
    assert working.times == 1
    assert first.cases == again.cases


def test_a_fault_of_the_machine_is_raised(run: Callable[[Ran], Prediction]) -> None:
    """What a shard fails with is the call's error, not the model's."""

    class Failing(Ran):
        def __call__(self, spec: ShardSpec, place: object, stop: Stop) -> ShardReport:
            return ShardReport.of(spec.run, spec.number, "", DataError("the disk is full", fix="free it"))

    with pytest.raises(DataError, match="the disk is full"):
        run(Failing(lambda _: None))
