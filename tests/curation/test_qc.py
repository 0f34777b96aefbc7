"""Quality control: every planted fault is found, and a sound mask gives no alarm."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from curation.qc.anatomy import Anatomy, look
from curation.qc.checks import Drawn, check_finding, longest_diameter
from curation.qc.picture import data_uri, png, views
from curation.qc.run import page
from curation.volumes import write_volume
from harness.dataset import Case, Finding

SHAPE = (80, 70, 60)
SPACING = (3.0, 3.0, 4.0)
AFFINE = np.array([[-3.0, 0, 0, 120], [0, -3.0, 0, 105], [0, 0, 4.0, -120], [0, 0, 0, 1]])


def chest() -> npt.NDArray[np.int16]:
    """Return a body with two lungs in air; index 0 along x is the patient's right."""
    values = np.full(SHAPE, -1000, np.int16)
    values[8:72, 8:62, :] = 40
    values[14:36, 16:54, 6:54] = -850
    values[44:66, 16:54, 6:54] = -850
    return values


def lobes() -> npt.NDArray[np.uint8]:
    """Return lobes: lower, (middle,) upper from the bottom."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[14:36, 16:54, 6:24], labels[14:36, 16:54, 24:34], labels[14:36, 16:54, 34:54] = 3, 2, 1
    labels[44:66, 16:54, 6:30], labels[44:66, 16:54, 30:54] = 5, 4
    return labels


def box(x: int, y: int, z: int, size: int = 4, entity: int = 1) -> Drawn:
    """Return a cube of voxels."""
    voxels = np.argwhere(np.ones((size,) * 3)) + np.array((x, y, z))
    return Drawn(voxels, np.full(len(voxels), entity))


def both(*drawn: Drawn) -> Drawn:
    """Return several entities as one finding."""
    entities = [np.full(len(part.voxels), n) for n, part in enumerate(drawn, start=1)]
    return Drawn(np.concatenate([part.voxels for part in drawn]), np.concatenate(entities))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The chest on disk."""
    folder = tmp_path_factory.mktemp("qc")
    path = folder / "x_1_a_1.nii.gz"
    write_volume(path, np.int16, SHAPE, AFFINE, np.moveaxis(chest(), 2, 0))
    write_volume(folder / "anatomy.nii.gz", np.uint8, SHAPE, AFFINE, np.moveaxis(lobes(), 2, 0))
    return Case("x_1_a_1", "test", (), ct=path)


@pytest.fixture(scope="module")
def anatomy(case: Case) -> Anatomy:
    """Lungs from HU alone."""
    return look(case, chest())


@pytest.fixture(scope="module")
def lobed(case: Case) -> Anatomy:
    """Lungs from an anatomy mask."""
    assert case.ct is not None
    return look(case, chest(), case.ct.parent / "anatomy.nii.gz")


RIGHT, LEFT = (20, 30, 40), (50, 30, 40)


@pytest.mark.parametrize(
    ("text", "category", "drawn", "codes"),
    [
        ("12 mm nodule in the right lung", "2d", box(*RIGHT), []),
        ("12 mm nodule in the left lung", "2d", box(*LEFT), []),
        ("Nodules in both lungs", "2d", both(box(*RIGHT), box(*LEFT)), []),
        ("Nodule in the right lung", "2d", Drawn(np.zeros((0, 3), np.int64), np.zeros(0, np.int64)), ["empty"]),
        ("Nodule in the left lung", "2d", box(*RIGHT), ["laterality"]),
        ("Nodules in both lungs", "2d", both(box(*RIGHT), box(20, 40, 20)), ["one-sided"]),
        ("Nodule in the right lung", "2d", box(1, 1, 20), ["outside-body"]),
        ("Nodule", "2d", box(38, 9, 30), ["outside-lung"]),
        ("Pleural effusion", "2e", box(37, 30, 30), []),
        ("40 mm nodule in the right lung", "2d", box(*RIGHT, size=2), ["size"]),
        ("4 mm nodule in the right lung", "2d", box(*RIGHT, size=10), ["size"]),
        ("Effusion measuring 40 mm in the right lung", "2e", box(*RIGHT, size=2), []),
        ("Two nodules in the right lung", "2d", box(*RIGHT), ["entity-count"]),
        ("Two nodules in the right lung", "2d", both(box(*RIGHT), box(20, 40, 20)), []),
        ("A nodule in the right lung", "2d", both(box(*RIGHT), box(20, 40, 20)), ["entity-count"]),
        ("Multiple nodules in the right lung", "2d", box(*RIGHT), ["entity-count"]),
        ("Nodule in the upper lobe of the right lung", "2d", box(20, 30, 8), ["lobe"]),
        ("Nodule in the lower lobe of the right lung", "2d", box(20, 30, 8), []),
    ],
)
def test_planted_faults(anatomy: Anatomy, text: str, category: str, drawn: Drawn, codes: list[str]) -> None:
    """Each fault is found under its own name, and a sound mask gives none."""
    finding = Finding(0, "0", text, category)
    assert [problem.code for problem in check_finding(finding, drawn, anatomy, SPACING, "x")] == codes


@pytest.mark.parametrize(
    ("text", "drawn", "codes"),
    [
        ("Nodule in the right middle lobe", box(20, 30, 26), []),
        ("Nodule in the right middle lobe", box(20, 30, 40), ["lobe"]),
        ("Nodule in the lingula", box(50, 30, 40), []),
        ("Nodule in the lingula", box(50, 30, 10), ["lobe"]),
        ("Nodule in the left lower lobe", box(20, 30, 10), ["laterality", "lobe"]),
        ("Nodules in the upper lobes of both lungs", both(box(20, 30, 40), box(50, 30, 40)), []),
    ],
)
def test_lobes_by_an_anatomy_mask(lobed: Anatomy, text: str, drawn: Drawn, codes: list[str]) -> None:
    """With lobes at hand the lobe of the text is checked exactly."""
    finding = Finding(0, "0", text, "2d")
    assert [problem.code for problem in check_finding(finding, drawn, lobed, SPACING, "x")] == codes


def test_a_crop_tells_nothing(case: Case) -> None:
    """Inside a lung there is no outside: nothing is said of body, lung and side."""
    inside = look(case, np.full(SHAPE, -860, np.int16))
    finding = Finding(0, "0", "Nodule in the left lung", "2d")
    assert check_finding(finding, box(*RIGHT), inside, SPACING, "x") == []


def test_longest_diameter_against_all_pairs() -> None:
    """The diameter through the hull equals the largest of all pairwise distances, plus the width of a voxel."""
    rng = np.random.default_rng(0)
    voxels = np.unique(rng.integers(0, 12, (150, 3)), axis=0)
    slowest = 0.0
    for z in np.unique(voxels[:, 2]):
        points = voxels[voxels[:, 2] == z][:, :2] * np.array([0.7, 0.9])
        for a in points:
            for b in points:
                slowest = max(slowest, float(np.hypot(*(a - b))))
    assert longest_diameter(voxels, (0.7, 0.9, 3.0)) == pytest.approx(slowest + 0.8)
    assert longest_diameter(np.array([[1, 1, 1]]), (2.0, 2.0, 1.0)) == 2.0
    line = np.array([[n, 0, 0] for n in range(6)])
    assert longest_diameter(line, (1.0, 1.0, 1.0)) == 6.0


def test_pictures_are_png_and_show_right_on_the_left() -> None:
    """The file opens, and the patient's right lung is on the left of the picture, feet below."""
    axial, coronal = views(chest(), box(*RIGHT).voxels, SPACING, AFFINE)
    opened = np.asarray(Image.open(io.BytesIO(png(axial))))
    assert np.array_equal(opened, axial)
    red = (axial[..., 0] == 255) & (axial[..., 2] == 40)
    assert np.argwhere(red)[:, 1].mean() < axial.shape[1] / 2
    assert (np.argwhere((coronal[..., 0] == 255) & (coronal[..., 2] == 40))[:, 0].mean()) < coronal.shape[0] / 2
    assert base64.b64decode(data_uri(axial).partition(",")[2]) == png(axial)
    mirrored = box(*RIGHT).voxels.copy()
    mirrored[:, [0, 2]] = np.array(SHAPE)[[0, 2]] - 1 - mirrored[:, [0, 2]]
    flipped = views(np.flip(chest(), (0, 2)), mirrored, SPACING, AFFINE @ np.diag([-1, 1, -1, 1]))
    assert np.array_equal(flipped[0], axial)


def test_the_command(tmp_path: Path, bench: Any) -> None:
    """A data set with one sound and one mirrored mask: exit code 4, both files, pictures for the bad one."""
    root = tmp_path / "set"
    write_volume(root / "ct/x_1_a_1.nii.gz", np.int16, SHAPE, AFFINE, np.moveaxis(chest(), 2, 0))
    masks = np.zeros((2, *SHAPE), np.uint8)
    masks[(0, *box(*RIGHT).voxels.T)] = 1
    masks[(1, *box(*RIGHT).voxels.T)] = 1
    write_volume(root / "seg/x_1_a_1.nii.gz", np.uint8, masks.shape, np.eye(4), np.moveaxis(masks, 3, 0))
    texts = {"0": "Nodule in the right lung", "1": "<b>Nodule</b> in the left lung"}
    entry = {"name": "x_1_a_1.nii.gz", "findings": texts, "categories": {"0": "2d", "1": "2d"}}
    missing = {"name": "y_2_a_1.nii.gz", "findings": {"0": "Nodule"}, "categories": {"0": "2d"}}
    (root / "dataset.json").write_text(json.dumps({"test": [entry, missing]}))
    result = bench("qc", root, "--out", tmp_path / "qc", "--json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert document["by_code"] == {"laterality": 1, "unreadable": 1}
    assert document["clean"] == 1
    text = (tmp_path / "qc/qc.html").read_text()
    assert text.count("data:image/png") == 2
    assert "<b>Nodule</b> in the left" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_page_without_findings() -> None:
    """Nothing to show is shown as such."""
    counts = {"error": 0, "warning": 0, "info": 0}
    text = page({"dataset": "x", "cases": 0, "findings": 0, "clean": 0, "counts": counts}, [])
    assert "0 cases" in text
