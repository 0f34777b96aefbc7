"""``bench plugin check`` of models in their containers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.torture import forms, write_torture
from tests.conftest import Bench

PLUGINS = Path(__file__).parent / "plugins"
PASSED = ["declares", "builds", "answers", "reads", "orients", "repeats", "heeds", "behaves", "row"]


@pytest.mark.docker
@pytest.mark.parametrize("name", ["rules", "ellipsoid"])
def test_models_of_ours_pass(name: str, base_image: str, bench: Bench) -> None:
    """One prompted with text, one with boxes; nothing is left in the home but the image's log."""
    document = bench.json("plugin", "check", name, "--engine", "docker")
    assert [check["name"].split()[0] for check in document["checks"] if check["outcome"] == "pass"] == PASSED
    assert [check["name"] for check in document["checks"] if check["outcome"] == "skip"] == ["packs", "trains"]
    assert not list(bench.home.glob(".check*"))


@pytest.mark.docker
def test_a_program_without_the_sdk_passes(
    base_image: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``plugin new --lang none`` writes follows the contract by itself; as a table for a pull request."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    folder = write_plugin(NewPlugin("my-program", sdk=False), tmp_path / "my-program")
    bench.environment["PIP_NO_BUILD_ISOLATION"] = "0"
    table = bench("plugin", "check", folder, "--engine", "docker", "--markdown").stdout.splitlines()
    assert table[0] == "my-program 0.1.0, zero-shot: 10 pass, 0 FAIL, 1 skip"
    assert sorted(row.split(" | ")[1] for row in table[4:]) == ["pass"] * 10 + ["skip"]


def _compiled(folder: Path) -> Path:
    """Compile the program in C, whose plugin then holds nothing but it."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed")
    flags = ["-O2", "-Wall", "-Wextra", "-Wno-sign-compare", "-Werror", "-D_GNU_SOURCE", "-static"]
    made = subprocess.run(
        [gcc, *flags, "-o", folder / "model", folder / "model.c", "-lz"], capture_output=True, text=True, check=False
    )
    if "cannot find -lz" in made.stderr or "zlib.h" in made.stderr:
        pytest.skip("zlib is not installed for programs that are linked statically")
    assert made.returncode == 0, made.stderr
    return folder / "model"


def test_a_program_in_c_reads_every_form(tmp_path: Path) -> None:
    """The contract's page is enough for it: the same masks in every form, on the CT's own grid."""
    program = _compiled(Path(shutil.copytree(PLUGINS / "c_below", tmp_path / "c_below")))
    root, chosen = tmp_path / "bench", list(forms(boxed=False))
    names = write_torture(root, chosen)
    (root / "out").mkdir()
    (root / "job.json").write_text('{"params": {"a": "}"}, "verb": "predict", "contract": 1}', encoding="utf-8")
    with (root / "cases.jsonl").open("w", encoding="utf-8") as cases:
        for name, form in zip(names, chosen, strict=True):
            findings = [{"text": text, "id": f"f{number}"} for number, text in enumerate(form.texts)]
            case = {"findings": findings, "shape": form.ct.shape, "id": name, "ct": f"ct/{name}{form.suffix}"}
            cases.write(json.dumps(case, ensure_ascii=False) + "\n")
    subprocess.run([program], env={"BENCH_ROOT": str(root)}, check=True, timeout=60)
    first: list[Any] = []
    for name, form in zip(names, chosen, strict=True):
        masks: list[Any] = [nib.load(root / "out" / name / f"f{number}.nii.gz") for number in range(len(form.texts))]
        np.testing.assert_allclose(masks[0].affine, form.affine, atol=1e-3)
        assert {mask.shape for mask in masks} == {form.ct.shape}
        mask = form.back(np.asarray(masks[0].dataobj)) > 0
        assert mask.any()
        first = first or [mask]
        if form.held != "alone":
            np.testing.assert_array_equal(mask, first[0], err_msg=form.words)


@pytest.mark.docker
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["c_below", "chan_vese", "forest"])
def test_models_of_strangers_pass(name: str, bench: Bench, tmp_path: Path) -> None:
    """A program in C, scikit-image in a box, and a forest that is trained, each in its container, on the real base."""
    folder = Path(shutil.copytree(PLUGINS / name, tmp_path / name))
    if name == "c_below":
        _compiled(folder)
    else:
        lock = "uv pip compile -q --generate-hashes --python-version 3.11 -o requirements.lock requirements.in"
        subprocess.run([sys.executable, "-m", *lock.split()], cwd=folder, check=True)
    bench.environment.pop("BENCH_BASE_IMAGE", None)  # that of tests holds packages that no lock can replace
    document = bench.json("plugin", "check", folder, "--engine", "docker")
    assert {check["name"]: check["outcome"] for check in document["checks"] if check["outcome"] != "pass"} == {
        "packs": "skip", **({"row": "skip"} if name == "forest" else {"trains": "skip"}),
    }  # fmt: skip


def test_what_fails_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    """A declaration that cannot be read, and a model that does not pass."""
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "my-text")
    inside = folder / "my_text"
    (inside / "adapter.py").write_text("class MyText:\n    def load(self, job): raise OSError('no model')\n")
    ended = bench("plugin", "check", inside, "--engine", "local", "--json", code=1)
    outcomes = {check["name"]: check["outcome"] for check in json.loads(ended.stdout)["checks"]}
    assert (outcomes["answers"], outcomes["heeds its prompt"]) == ("FAIL", "skip")
    with (inside / "plugin.toml").open("a", encoding="utf-8") as file:
        file.write("oops = 1\n")
    ended = bench("plugin", "check", folder, code=3)
    assert "oops is not a key of a declaration" in ended.stderr
