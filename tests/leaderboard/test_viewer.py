"""The viewer in a real browser: what is false can be reached and seen, in whatever form the masks came."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from harness.dataset import Dataset, open_dataset
from harness.phantom.dataset import make_dataset as make_phantom
from harness.runs.submitted import keep_submission, score_submission
from harness.scoring.profiles import PROFILES
from harness.scoring.submission import open_submission
from harness.store.database import Store
from leaderboard.gallery.pictures import MODEL, REFERENCE
from leaderboard.site.build import Options, build_site
from tests.leaderboard.browsing import MARKS, only

pytestmark = MARKS

#: The viewer's colour of what is false, and that of what is missed.
FALSE, MISSED = (213, 94, 0), (86, 180, 233)

#: Where the false parts of the submission below lie, first and last voxel along L, P and S, the largest first.
WRONG = (
    ((10, 14), (60, 63), (0, 2)), ((80, 83), (10, 13), (62, 64)), ((40, 42), (70, 72), (30, 32)),
    ((5, 6), (5, 7), (66, 67)), ((90, 91), (70, 71), (1, 2)),
)  # fmt: skip


def canvas(page: Any) -> np.ndarray:
    """Return the pixels of the canvas, from a picture of the screen."""
    picture = page.locator("canvas.slices").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return the pixels of a colour."""
    close: np.ndarray = np.abs(pixels - colour).sum(axis=-1) < 40
    return close


def centres(page: Any, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Return the centre of a colour on the canvas as shares of its width and height, from a picture of the screen."""
    pixels = canvas(page)
    y, x = np.nonzero(near(pixels, colour))
    assert len(x) > 10, "the colour is not on the screen"
    middle = (x.min() + x.max() + 1) / 2, (y.min() + y.max() + 1) / 2
    return middle[0] / pixels.shape[1], middle[1] / pixels.shape[0]


def drawn(page: Any, place: int = 0) -> Any:
    """Return a viewer that has drawn."""
    page.wait_for_selector(".viewer[data-drawn]")
    return page.locator(".viewer").nth(place)


def slice_of(viewer: Any) -> int:
    return int(viewer.get_attribute("data-drawn").split()[0])


def said(viewer: Any) -> str:
    """Return what the viewer said last."""
    return str(viewer.locator("p[role=status]").first.inner_text())


def choose(viewer: Any, name: str, *, row: str = "", **option: Any) -> None:
    """Choose an option, or the model whose name begins with `row`."""
    if row:
        texts = viewer.get_by_role("combobox", name=name, exact=True).locator("option").all_inner_texts()
        option = {"label": next(text for text in texts if text.startswith(row))}
    viewer.get_by_role("combobox", name=name, exact=True).select_option(**option)
    viewer.page.wait_for_timeout(100)


def lying(page: Any) -> tuple[int, float, float, float]:
    """Return what the address says: slice of the scan, zoom, and the voxel in the middle."""
    page.wait_for_timeout(400)
    asked = parse_qs(urlsplit(page.evaluate("location.href")).fragment)
    x, y = asked.get("at", ["nan:nan"])[0].split(":")
    return int(asked["z"][0]), float(asked.get("zoom", ["1"])[0]), float(x), float(y)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a data set of one phantom."""
    return open_dataset(make_phantom(tmp_path_factory.mktemp("phantom") / "phantom", cases=1, size="small", seed=0))


@pytest.fixture(scope="module")
def wrong(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return a site with one row, a stack in a zip with a Dice of 0.16 and false parts all over, and that Dice."""
    root = tmp_path_factory.mktemp("wrong")
    [case] = phantom.split("test")
    truth = np.asarray(nib.load(case.truth).dataobj) > 0
    stack = np.zeros(truth.shape, np.uint8)
    for (x0, x1), (y0, y1), (z0, z1) in WRONG:  # the phantom is stored to the left, back and head
        stack[0, x0:x1, y0:y1, z0:z1] = 1
    assert not (stack[0] & truth[0]).any()
    false, size = int(stack[0].sum()), int(truth[0].sum())
    right = np.argwhere(truth[0])[: round(0.16 * (size + false) / (2 - 0.16))]
    stack[0][tuple(right.T)] = 1
    nib.save(nib.Nifti1Image(stack, np.eye(4)), root / f"{case.id}.nii.gz")
    with zipfile.ZipFile(root / "sent.zip", "w") as archive:
        archive.write(root / f"{case.id}.nii.gz", f"{case.id}.nii.gz")
    sent = open_submission(root / "sent.zip", [case])
    with Store(root / "results.db") as store:
        found = score_submission(sent, phantom, (case,), jobs=1)
        keep_submission(store, sent, found, phantom, "test", name="Stack", profile=PROFILES["mlhc2025"], home=root)
        build_site(store, root / "site", Options(datasets=(phantom,)))
    return root / "site", found[case.id][0].dice


def test_every_false_part_can_be_reached_and_seen(wrong: tuple[Path, float], open_page: Any) -> None:
    """Of a row with a Dice of 0.16, a stack in a zip: each part that is false, in the foremost slice as in the last."""
    site, dice = wrong
    assert dice == pytest.approx(0.16, abs=0.005)
    page = open_page(f"{site.as_uri()}/{only(site, 'cases/*phantom*.html')}")
    viewer = drawn(page)
    choose(viewer, "Colours", value="errors")
    for place, ((x0, x1), (y0, y1), (z0, z1)) in enumerate(WRONG):
        viewer.get_by_role("button", name="Next false" if place else "Largest false").click()
        z, zoom, x, y = lying(page)
        assert f"false part {place + 1} of {len(WRONG)}" in said(viewer)
        assert z0 <= z < z1
        pixels = canvas(page)
        width, height = page.evaluate("JSON.parse(document.querySelector('.viewer').dataset.sheet).grid.slice(0, 2)")
        across, down = pixels.shape[1] / width * zoom, pixels.shape[0] / height * zoom
        left, top = ((x0 - x) * across + pixels.shape[1] / 2), ((y0 - y) * down + pixels.shape[0] / 2)
        right, bottom = left + (x1 - x0) * across, top + (y1 - y0) * down
        shown = near(pixels, FALSE)
        assert shown[max(0, int(top) - 3) : int(bottom) + 4, max(0, int(left) - 3) : int(right) + 4].sum() > 30
        assert (
            shown.sum() == shown[max(0, int(top) - 3) : int(bottom) + 4, max(0, int(left) - 3) : int(right) + 4].sum()
        )
    assert page.faults == []


def test_a_stack_is_drawn_like_any_mask(wrong: tuple[Path, float], open_page: Any) -> None:
    """The still and its numbers without scripts, the mask in the viewer, the finding that it leaves empty as well."""
    site, _ = wrong
    address = f"{site.as_uri()}/{only(site, 'cases/*phantom*.html')}"
    still = open_page(address, java_script_enabled=False)
    assert "% of it false" in still.locator(".panel figcaption").nth(1).inner_text()
    assert "marks nothing" in still.locator("#finding-2 .panel figcaption").nth(1).inner_text()
    assert "Nothing is drawn" not in still.locator("main").inner_text()
    page = open_page(address)
    viewer = drawn(page)
    viewer.get_by_label("Reference").uncheck()
    viewer.get_by_role("button", name="Largest false").click()
    page.wait_for_timeout(200)
    assert near(canvas(page), MODEL).sum() > 30
    choose(viewer, "Model", label="none")
    assert near(canvas(page), MODEL).sum() == 0


@pytest.fixture(scope="module")
def two(scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site with the masks of two models, the one shifted, the other split in two, and a row without."""
    from tests.leaderboard.conftest import lesion

    root = tmp_path_factory.mktemp("two")
    cases = scene.dataset.split("test")
    masks = {"Shifted": lesion(0, shift=2), "Split": lesion(0)}
    masks["Split"][33] = False
    with Store(root / "results.db") as store:
        for name, mask in masks.items():
            folder = root / name
            folder.mkdir()
            truth = np.zeros((2, *mask.shape), np.uint8)
            truth[0] = mask
            nib.save(nib.Nifti1Image(truth, np.eye(4)), folder / "case-0.nii.gz")
            sent = open_submission(folder, cases)
            found = score_submission(sent, scene.dataset, cases, jobs=1)
            keep_submission(
                store, sent, found, scene.dataset, "test", name=name, profile=PROFILES["mlhc2025"], home=root
            )
        build_site(store, root / "site", Options(datasets=(scene.dataset,)))
    return root / "site"


def test_two_models_and_where_they_differ(two: Path, open_page: Any) -> None:
    """Both over each other, then what only one of them marks; the parts of one in colours of their own."""
    page = open_page(f"{two.as_uri()}/{only(two, 'cases/*-case-0.html')}")
    viewer = drawn(page)
    choose(viewer, "Model", row="Shifted")
    choose(viewer, "Second model", row="Split")
    viewer.get_by_label("Reference").uncheck()
    purple = (204, 121, 167)
    assert near(canvas(page), MODEL).any()
    assert near(canvas(page), purple).any()
    choose(viewer, "Colours", value="differ")
    words = viewer.locator(".legend").inner_text()
    areas = [int(text) for text in re.findall(r": (\d+) mm² here", words)]
    assert areas == [240, 180, 120]  # both, only the one, only the other: columns of five voxels of 12 mm²
    assert centres(page, MODEL)[0] > centres(page, purple)[0]
    choose(viewer, "Model", row="Split")
    choose(viewer, "Colours", value="parts")
    assert viewer.locator(".legend li").count() == 2
    assert near(canvas(page), (230, 159, 0)).any()
    assert near(canvas(page), (86, 180, 233)).any()
    assert page.faults == []


def test_address_brings_back_what_was_seen(two: Path, open_page: Any) -> None:
    """Slice, models, window, colours, zoom and place stand in the address, by the finding that is looked at."""
    page = open_page(f"{two.as_uri()}/{only(two, 'cases/*-case-0.html')}")
    viewer = drawn(page)
    choose(viewer, "Second model", row="Split")
    choose(viewer, "Colours", value="errors")
    choose(viewer, "Drawn as", value="outline")
    viewer.get_by_label("Level (HU)").fill("100")
    viewer.get_by_label("Width (HU)").fill("700")
    viewer.get_by_label("Opacity").focus()
    page.keyboard.press("ArrowRight")
    viewer.get_by_role("button", name="Largest missed").click()
    page.wait_for_timeout(400)
    seen = canvas(page)
    other = open_page(page.evaluate("location.href"))
    again = drawn(other)
    other.wait_for_timeout(300)
    for name in ("Model", "Second model", "Colours", "Drawn as"):
        boxes = [one.get_by_role("combobox", name=name, exact=True).input_value() for one in (viewer, again)]
        assert boxes[0] == boxes[1], name
    assert again.get_by_label("Width (HU)").input_value() == "700"
    assert again.get_by_label("Opacity").input_value() == "65"
    assert slice_of(again) == slice_of(viewer)
    viewer.get_by_role("button", name="Largest missed").evaluate("button => button.blur()")
    mark = np.abs(canvas(other) - seen).sum(axis=-1) > 60  # but for the cross that points at the part
    assert mark.mean() < 0.01
    hostile = open_page(page.url.split("#")[0] + "#view=1&z=x&a=%E0%A4%A&b=<b>&hu=1:0&zoom=1e9&at=-5:NaN&show=all")
    assert slice_of(drawn(hostile)) == slice_of(drawn(open_page(page.url.split("#")[0])))
    assert page.faults == other.faults == hostile.faults == []


def test_wheel_keys_zoom_and_ruler(site: Path, open_page: Any) -> None:
    """The canvas has the focus: wheel and keys go through slices, zoom, move, set windows; a drag measures."""
    page = open_page(f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}")
    viewer = drawn(page)
    picture = page.locator("canvas.slices").first
    before, words = slice_of(viewer), picture.get_attribute("aria-valuetext")
    assert "Reference 420 mm² here, patient\N{RIGHT SINGLE QUOTATION MARK}s left, front" in words
    assert picture.get_attribute("role") == "slider"
    picture.hover()
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(200)
    assert slice_of(viewer) == before + 1
    assert picture.get_attribute("aria-valuetext") != words
    picture.focus()
    steps = {"PageDown": before + 6, "PageUp": before + 1, "ArrowUp": before, "End": 23, "Home": 0}
    for key, expected in steps.items():
        page.keyboard.press(key)
        page.wait_for_timeout(100)
        assert slice_of(viewer) == expected, key
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, -100)  # at the first slice the page scrolls on
    page.wait_for_function("before => scrollY < before", arg=scrolled, polling=100)
    page.keyboard.press("4")
    page.wait_for_selector(".viewer[data-drawn$=Bone]")
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    _, zoom, x, _ = lying(page)
    assert zoom == 1.25
    assert x > 24
    page.keyboard.press("0")
    choose(viewer, "Drag", value="measure")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert "Distance: 72" in said(viewer)  # half of 48 voxels of 3 mm
    choose(viewer, "Drag", value="window")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert viewer.get_by_role("combobox", name="Window").input_value() == "Own"
    assert page.faults == []


def test_a_row_leads_to_its_mask(two: Path, open_page: Any) -> None:
    """In the table of a finding every row whose mask is drawn has a link, also for a viewer that was not open."""
    page = open_page(f"{two.as_uri()}/{only(two, 'cases/*-case-0.html')}")
    drawn(page)
    row = page.locator("#finding-2 tbody tr", has_text="Split")
    row.get_by_role("link", name="show").click()
    viewer = page.locator("#finding-2 .viewer[data-drawn]")
    viewer.wait_for()
    page.wait_for_timeout(200)
    chosen = viewer.get_by_role("combobox", name="Model", exact=True).locator("option:checked")
    assert chosen.inner_text().startswith("Split")
    row.get_by_role("link").first.click()  # the page of the run, whose findings lead here as well
    page.locator("table.judged a").first.click()
    page.wait_for_selector(".viewer[data-drawn]")
    page.wait_for_timeout(300)
    chosen = page.get_by_role("combobox", name="Model", exact=True).locator("option:checked")
    assert chosen.first.inner_text().startswith("Split")
    assert page.faults == []


@pytest.mark.parametrize("width", [390, 1280])
def test_targets_are_large_enough_for_a_finger(site: Path, open_page: Any, width: int) -> None:
    """Every control that is in sight is 44 px high and wide at least."""
    page = open_page(f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}", viewport={"width": width, "height": 900})
    drawn(page)
    small = page.evaluate("""() => [...document.querySelectorAll('.viewer :is(button, select, input, summary)')]
      .filter(one => one.offsetParent && (one.offsetHeight < 44 || one.offsetWidth < 44)).map(one => one.outerHTML)""")
    assert small == []


def test_two_fingers_zoom(site: Path, open_page: Any) -> None:
    """On a phone two fingers apart make it larger."""
    page = open_page(
        f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}",
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
    )  # fmt: skip
    drawn(page)
    picture = page.locator("canvas.slices").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), *(("touchMove", 40 + 8 * n) for n in range(1, 11)), ("touchEnd", 0)):
        points = [{"x": x - apart / 2, "y": y, "id": 0}, {"x": x + apart / 2, "y": y, "id": 1}] if apart else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    _, zoom, *_ = lying(page)
    assert 2 < zoom < 4
    assert page.evaluate("visualViewport.scale") == 1


@pytest.mark.parametrize("case", ["case-0", "case-1"])
def test_viewer_shows_the_lesion_where_it_is(site: Path, open_page: Any, case: str) -> None:
    """The pixels of reference and model on the screen lie where the lesion is in the patient."""
    page = open_page(f"{site.as_uri()}/{only(site, f'cases/*-{case}.html')}")
    page.wait_for_selector(".viewer[data-drawn]")
    viewer = page.locator(".viewer").first
    choose(viewer, "Model", label="none")
    assert centres(page, REFERENCE) == pytest.approx((33.5 / 48, 14.5 / 40), abs=0.02)
    choose(viewer, "Model", index=1)
    viewer.get_by_label("Reference").uncheck()
    assert centres(page, MODEL) == pytest.approx((35.5 / 48, 14.5 / 40), abs=0.02)
    assert page.locator(".mark.left").first.inner_text() == "R"
    assert page.locator(".mark.right").first.inner_text() == "L"
    assert page.faults == []


def test_viewer_keys_windows_and_drag(site: Path, open_page: Any) -> None:
    """Arrow keys and a drag go through the slices; the window changes what is grey; the second viewer waits."""
    page = open_page(f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}")
    page.wait_for_selector(".viewer[data-drawn]")
    viewer = page.locator(".viewer").first
    before = int(viewer.get_attribute("data-drawn").split()[0])
    viewer.get_by_role("slider", name="Slice", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert int(viewer.get_attribute("data-drawn").split()[0]) == before + 1
    canvas = viewer.locator("canvas.slices")
    canvas.hover(position={"x": 200, "y": 150})
    page.mouse.down()
    canvas.hover(position={"x": 160, "y": 150})
    page.mouse.up()
    assert int(viewer.get_attribute("data-drawn").split()[0]) == before - 1
    choose(viewer, "Window", label="Soft tissue")
    page.wait_for_selector(".viewer[data-drawn$='Soft tissue']")
    assert page.locator("canvas.slices").count() == 1
    page.get_by_role("button", name="Browse").click()
    page.locator("canvas.slices").nth(1).wait_for()


def test_viewer_follows_a_finger(site: Path, open_page: Any) -> None:
    """On a phone a finger sideways goes through the slices; up and down it still scrolls the page."""
    page = open_page(
        f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}",
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
    )  # fmt: skip
    page.wait_for_selector(".viewer[data-drawn]")
    viewer = page.locator(".viewer").first
    page.locator("canvas.slices").first.scroll_into_view_if_needed()
    place = page.locator("canvas.slices").first.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    touch = page.context.new_cdp_session(page)

    def stroke(dx: float, dy: float) -> None:
        for kind, share in (("touchStart", 0.0), *(("touchMove", n / 10) for n in range(1, 11)), ("touchEnd", 1.0)):
            points = [] if kind == "touchEnd" else [{"x": x + dx * share, "y": y + dy * share}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = int(viewer.get_attribute("data-drawn").split()[0])
    stroke(-60, 0)
    assert int(viewer.get_attribute("data-drawn").split()[0]) < before
    scrolled = page.evaluate("scrollY")
    stroke(0, -200)
    page.wait_for_function("before => scrollY > before + 50", arg=scrolled, polling=200)
    assert page.faults == []


def hues(picture: bytes) -> np.ndarray:
    """Return how far from grey every pixel is."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    spread: np.ndarray = pixels.max(axis=-1) - pixels.min(axis=-1)
    return spread


@pytest.mark.timeout(180)
def test_volume_viewer_opens_from_a_file(site: Path, open_page: Any) -> None:
    """On demand, and only then, the volume viewer is loaded; it draws the scan and those masks that are chosen."""
    page = open_page(f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}")
    page.wait_for_selector(".viewer[data-drawn]")
    assert not [url for url in page.requested if "niivue" in url or "-volume.js" in unquote(url)]
    page.get_by_role("button", name="Open the volume viewer").first.click()
    page.wait_for_selector(".viewer[data-volume-shown]", timeout=120_000, state="attached")
    page.wait_for_timeout(1000)
    picture = page.locator(".volume canvas").screenshot(timeout=120_000)
    grey = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    assert grey.std() > 10
    viewer = page.locator(".viewer").first
    assert viewer.get_attribute("data-volume-at").split()[2] == "90.0"  # the slice that was seen
    assert page.locator(".volume").bounding_box()["width"] > 1000
    coloured = (hues(picture) > 60).sum()
    choose(page.locator(".viewer").first, "Model", label="none")
    page.locator(".viewer").first.get_by_label("Reference").uncheck()
    page.wait_for_timeout(1000)
    without = (hues(page.locator(".volume canvas").screenshot(timeout=120_000)) > 60).sum()
    assert coloured - without > 50
    lung = np.asarray(Image.open(io.BytesIO(picture)).convert("L")).mean()
    choose(viewer, "Window", label="Soft tissue")
    viewer.get_by_role("slider", name="Slice", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1000)
    soft = np.asarray(Image.open(io.BytesIO(page.locator(".volume canvas").screenshot(timeout=120_000))).convert("L"))
    assert abs(soft.mean() - lung) > 5
    assert viewer.get_attribute("data-volume-at").split()[2] == "85.0"
    assert page.faults == []
    assert all(url.startswith((site.as_uri(), "data:", "blob:")) for url in page.requested)


def test_without_webgl_the_slices_stay(site: Path, open_page: Any) -> None:
    """Without WebGL 2 the page says so and the slices stay."""
    page = open_page("about:blank")
    page.add_init_script("HTMLCanvasElement.prototype.getContext = (get => function (kind, ...rest) {"
                         "return kind === 'webgl2' ? null : get.call(this, kind, ...rest); })"
                         "(HTMLCanvasElement.prototype.getContext);")  # fmt: skip
    page.goto(f"{site.as_uri()}/{only(site, 'cases/*-case-0.html')}")
    page.wait_for_selector(".viewer[data-drawn]")
    page.get_by_role("button", name="Open the volume viewer").first.click()
    assert "no WebGL 2" in page.locator(".viewer .whole [role=status]").inner_text()
    assert centres(page, REFERENCE)
    assert not [url for url in page.requested if "niivue" in url]
