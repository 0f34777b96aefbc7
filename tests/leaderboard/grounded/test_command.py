"""``bench ground``: a report and a CT in, page, document and masks out; what cannot be done is refused with the fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.settings import Settings
from harness.errors import DataError, ModelError, PrerequisiteError, UsageError
from leaderboard.grounded.command import ground
from tests.conftest import write_dataset

pytestmark = pytest.mark.costly

Ground = Callable[..., Result]

#: Made in the manner of the paper's Figure 1.
REPORT = """Findings: The aorta has a diameter of 44 mm and is dilated. There are nodules in both lungs, the largest
measuring 8x6 mm in the right upper lobe. No pleural effusion is seen on the left.

Impressions: Nodules in both lungs.
"""


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CT, of a name that says nothing."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "set", 1)
    return folder / "ct" / "toy_1_a_1.nii.gz"


@pytest.fixture
def call(tmp_path: Path, ct: Path) -> Ground:
    """Call the command on the report and the CT, with an option replaced or added; the model runs in this Python."""
    (tmp_path / "report.txt").write_text(REPORT)

    @click.group()
    @click.pass_context
    def group(ctx: click.Context) -> None:
        ctx.obj = Settings(tmp_path / "home")

    group.add_command(ground)

    def run(*flags: str, **changed: object) -> Result:
        options = {
            "report": tmp_path / "report.txt", "ct": ct, "plugin": "rules", "engine": "local", "out": tmp_path / "out",
        } | changed  # fmt: skip
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        return CliRunner().invoke(group, ["ground", *given, *flags])

    return run


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "work" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_report_becomes_a_page(call: Ground, ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks in the CT's grid, whose digests and volumes the document has; the page names no other place.

    The second call runs nothing and writes the same bytes.
    """
    result = call()
    assert result.exit_code == 0, (result.output, result.exception)
    out = tmp_path / "out"
    told = json.loads((out / "findings.json").read_text())
    sentences = {one["text"]: one for one in told["report"]["sentences"]}
    assert len(sentences) == 4
    assert [one["findings"] for one in sentences.values()] == [[], ["0"], [], ["0"]]
    assert (
        "outside the lung" in sentences["The aorta has a diameter of 44 mm and is dilated."]["not_drawn"][0]["reason"]
    )
    [finding] = told["findings"]
    assert finding["sentences"] == [1, 3]
    image = nib.load(ct)
    mask = nib.load(out / finding["mask"])
    voxels = int(np.count_nonzero(np.asarray(mask.dataobj)))
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine)
    assert finding["voxels"] == voxels
    assert finding["volume_ml"] == pytest.approx(voxels * np.prod(image.header.get_zooms()) / 1000)
    page = (out / "index.html").read_text()
    assert "There is no truth here" in page
    assert "not isolated" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert str(tmp_path) not in page

    monkeypatch.setattr("harness.runs.predict.run_shard", lambda *_: pytest.fail("it was run again"))
    before = _files(out)
    again = call("--json")
    assert again.exit_code == 0, (again.output, again.exception)
    assert json.loads(again.stdout)["page"] == str(out / "index.html")
    assert _files(out) == before


def test_a_report_without_findings_is_no_fault(call: Ground, tmp_path: Path) -> None:
    """No model is run; the page says of each sentence why nothing is drawn."""
    (tmp_path / "report.txt").write_text("The lungs are clear. There is a stone in the left kidney.")
    result = call()
    assert result.exit_code == 0, (result.output, result.exception)
    told = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert (told["findings"], told["model"]) == ([], None)
    assert all(one["not_drawn"] for one in told["report"]["sentences"])
    assert not (tmp_path / "out" / "masks").exists()


def test_a_model_that_fails_is_told_on_the_page(call: Ground, tmp_path: Path) -> None:
    """The page is there, each finding says why it has no mask, and the command fails."""
    plugin = tmp_path / "breaks"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(
        "from pathlib import Path\nfrom harness import Model, Variant, hookimpl\n\n\n@hookimpl\ndef bench_models():\n"
        "    return [Model('breaks', 'Breaks', 'Fails.', '1', Path(__file__).parent, "
        "variants=(Variant('v'),), adapter='adapter:Breaks')]\n"
    )
    (plugin / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    (plugin / "adapter.py").write_text(
        "from groundbench_sdk import Adapter\n\n\nclass Breaks(Adapter):\n    def predict(self, case):\n"
        '        raise ValueError("it breaks")\n'
    )
    result = call(plugin="breaks", plugin_dir=plugin)
    assert isinstance(result.exception, ModelError), (result.output, result.exception)
    assert "1 of 1 findings have no mask" in result.exception.message
    told = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert told["findings"][0]["status"] == "plugin_error"
    assert "it breaks" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"plugin": "medsam2"}, UsageError, "prompted with boxes"),
        ({"plugin": "oracle"}, UsageError, "reads the ground truth"),
        ({"plugin": "sat:fine-tuned"}, UsageError, "train split"),
        ({"plugin": "ruels"}, UsageError, "no plugin is named"),
        ({"variant": "nothing"}, UsageError, "no variant of rules"),
        ({"ct": "none.nii.gz"}, UsageError, "does not exist"),
        ({"ct": "."}, DataError, "not a NIfTI file"),
        ({"report": "none.txt"}, UsageError, "does not exist"),
        ({"gpus": 1}, PrerequisiteError, "1 GPU requested"),
        ({"engine": "apptainer"}, PrerequisiteError, "Apptainer"),
        ({"llm": "some-model"}, UsageError, "outside this machine"),
    ],
)
def test_what_cannot_be_done_is_refused(
    call: Ground, changed: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    """Each with the next step, and before a page is written."""
    result = call(**changed)
    assert isinstance(result.exception, error), (result.output, result.exception)
    assert says in str(result.exception)
    assert result.exception.fix
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_ct_that_does_not_say_where_left_is_is_refused(call: Ground, ct: Path, tmp_path: Path) -> None:
    """A run warns of it; a mask that is shown on a side that nobody knows is worse than none."""
    nib.save(nib.Nifti1Image(np.asarray(nib.load(ct).dataobj), np.eye(4)), tmp_path / "eye.nii.gz")
    result = call(ct=tmp_path / "eye.nii.gz")
    assert isinstance(result.exception, DataError), (result.output, result.exception)
    assert "sides cannot be told" in str(result.exception)


def test_another_report_does_not_take_the_folder(call: Ground, tmp_path: Path) -> None:
    """What was made for one report stays; the fix is another folder."""
    (tmp_path / "report.txt").write_text("The lungs are clear.")
    assert call().exit_code == 0
    before = _files(tmp_path / "out")
    (tmp_path / "report.txt").write_text("The lungs are clear today.")
    result = call()
    assert isinstance(result.exception, UsageError)
    assert "another report" in str(result.exception)
    assert _files(tmp_path / "out") == before
