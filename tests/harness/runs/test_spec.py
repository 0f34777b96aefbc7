"""A shard travels as plain JSON and comes back the same, with the shared folder wherever it is mounted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.base import Mount
from harness.errors import DataError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.spec import ShardSpec, bare, next_number, versions
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job
from harness.sandbox.job import JobCase


def a_spec(shared: Path, *names: str) -> ShardSpec:
    """Return a shard whose files lie in the shared folder, but for its weights."""
    (shared / "plugin").mkdir(parents=True, exist_ok=True)
    resources = Resources(memory_gb=2, cpus=1.5, gpus=2)
    model = Model("m", "M", "S.", "1.2", shared / "plugin", variants=(Variant("v"),), resources=resources)
    finding = FindingPrompt(id="0", text="A nodüle.", boxes=[[0, 1, 2, 3, 4, 5]])
    prompts = [
        CasePrompt(id=name, ct=f"ct/{name}.nii", shape=(1, 2, 3), spacing=(0.7, 0.7, 1.1), findings=[finding])
        for name in names
    ]
    return ShardSpec(
        run="m-v-0",
        number=4,
        plan="key",
        folder=shared / "runs" / "m-v-0",
        plugin=bare(Plugin(model, "here")),
        image=Image("sha256:1", "tag", 5, "cuda"),
        job=Job(model="m", variant="v", seed=3, devices=["cuda:0", "cuda:1"], threads=1, params={"a": 1.5, "b": None}),
        engine="docker",
        gpus=2,
        cases=tuple(
            JobCase(prompt, (Mount(shared / "datasets" / f"{prompt.id}.nii", prompt.ct),)) for prompt in prompts
        ),
        mounts=(Mount(Path("/weights/w.pt"), "weights/w.pt"),),
        deadline_s=90.0,
    )


def test_it_comes_back_the_same(tmp_path: Path) -> None:
    """Field by field, the limits of its plugin included."""
    spec = a_spec(tmp_path, "a", "b")
    assert ShardSpec.from_json(spec.to_json(tmp_path), tmp_path) == spec
    plain = replace(spec, deadline_s=None, cases=(), mounts=())
    assert ShardSpec.from_json(plain.to_json(tmp_path), tmp_path) == plain


def test_the_shared_folder_may_be_mounted_elsewhere(tmp_path: Path) -> None:
    """What lies in it moves with it; what does not lie in it stays where it is."""
    here, there = tmp_path / "here", tmp_path / "there"
    spec = a_spec(here, "a")
    text = spec.to_json(here)
    assert str(here) not in text
    (there / "plugin").mkdir(parents=True)
    assert ShardSpec.from_json(text, there) == a_spec(there, "a")


@pytest.mark.parametrize(("minutes", "seconds"), [(60.0, 3600.0), (0.1, 1800.0)])
def test_how_long_it_should_take(tmp_path: Path, minutes: float, seconds: float) -> None:
    """Never less than its first case may take; a training ends by itself."""
    spec = replace(a_spec(tmp_path, "a"), deadline_s=None)
    limits = Resources(start_minutes=10, case_minutes=10)
    spec = replace(spec, plugin=bare(spec.plugin, limits))
    assert spec.within(minutes).deadline_s == seconds
    training = replace(spec, job=spec.job.model_copy(update={"verb": "finetune"}))
    assert (spec.trains, training.trains) == (False, True)
    assert training.within(minutes) == training


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    """Also one whose file is gone, but whose figures tell that it was begun, under whatever name."""
    assert next_number(tmp_path) == 0
    for name in ("specs/2.json", "figures/11-abcd.json", "figures/.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert next_number(tmp_path) == 12


def test_nothing_of_a_host_is_in_it(tmp_path: Path) -> None:
    """Neither GPUs by name, nor threads, nor scratch: the host that runs it finds its own."""
    document = json.loads(a_spec(tmp_path, "a").to_json(tmp_path))
    assert "threads" not in document["job"]
    assert document["gpus"] == 2
    assert document["versions"] == versions()


def test_its_file_is_found_by_its_number(tmp_path: Path) -> None:
    """Whole, below the run's folder."""
    spec = a_spec(tmp_path, "a")
    spec.folder.mkdir(parents=True)
    spec.write(tmp_path)
    assert spec.file == tmp_path / "runs" / "m-v-0" / "specs" / "4.json"
    assert [path.name for path in spec.file.parent.iterdir()] == ["4.json"]
    assert ShardSpec.from_json(spec.file.read_text(encoding="utf-8"), tmp_path) == spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version"),
        ({"cases": [{"prompt": {"id": "../x"}, "mounts": []}]}, r"cases\.0\.prompt"),
        ({"job": {}}, "model"),
        ({"number": "many"}, "number"),
    ],
)
def test_what_is_no_shard_is_refused(change: dict[str, object], words: str, tmp_path: Path) -> None:
    """With the field that is wrong."""
    document = json.loads(a_spec(tmp_path, "a").to_json(tmp_path))
    with pytest.raises(DataError, match=words):
        ShardSpec.from_json(json.dumps(document | change), tmp_path)
    with pytest.raises(DataError, match="not a shard"):
        ShardSpec.from_json("x", tmp_path)
