"""Titles that want to be taken for another model's: refused where they are declared and where they travel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.registry.constraints import DeclarationError
from harness.registry.declaration import Model, Variant
from harness.registry.look_alikes import look_alike
from harness.rows import RunRow
from harness.runs.verify import changed_weights
from tests.hostile.test_readers import RUN

TITLES = {
    "cyrillic-b": "\u0412iomedParse", "cyrillic-a": "S\u0410M 2", "cyrillic-o-inside": "V\u043exTell",
    "cyrillic-whole-word": "\u0421\u0410\u0422", "greek-whole-word": "\u0392\u039f\u03a7", "greek-o": "V\u03bfxTell",
    "armenian-o": "V\u0585xTell",
    "full-width": "\uff33\uff21\uff2d", "mathematical-bold": "\U0001d412\U0001d400\U0001d40c",
    "double-struck": "\U0001d54a\U0001d538\U0001d544", "cherokee": "\u13a2\u13a0", "long-s": "Seg\u017fVol",
    "invisible-inside": "Vox\u200bTell", "turned": "\u202elleTxoV", "erases-the-line": "SAM\x1b[2K",
}  # fmt: skip


@pytest.mark.parametrize("name", TITLES)
def test_a_title_in_foreign_letters(name: str, record_property: Callable[[str, object], None]) -> None:
    """A declaration with it is refused, with the field's name."""
    record_property("attack", f"title: {name}")
    with pytest.raises(DeclarationError, match="title") as caught:
        Model("a", TITLES[name], "Does a thing.", "1", Path("/"), variants=(Variant("only"),))
    record_property("outcome", ascii(str(caught.value))[:100])


@pytest.mark.parametrize(
    "title",
    [
        "VoxTell",
        "SAM 2 (text)",
        "\u80ba\u7ed3\u8282",
        "Akci\u011fer",
        "5 \u00b5m",
        "SAM\u00b2",
        "\u041b\u0451\u0433\u043a\u0438\u0435",
        "M\u00fcller\u2019s",
        "\u03b1-Net",
    ],
)
def test_honest_titles_are_let_through(title: str) -> None:
    """Other scripts that look like themselves, accents and signs are no attack."""
    assert look_alike(title) == ""


def test_weights_that_changed_are_named(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A file of weights changed in place, its times put back, is read and named; the others are not."""
    import hashlib

    good, bad = b"weights", b"weighed"
    digest, other = hashlib.sha256(good).hexdigest(), "ab" * 32
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / digest).write_bytes(good)
    plan: dict[str, Any] = {"weights": {"mode": "pinned", "files": {"a.pt": digest, "gone.pt": other}}}
    run = replace(RunRow(**RUN), plan=plan)
    assert list(changed_weights(run, tmp_path)) == []
    (tmp_path / "weights" / digest).write_bytes(bad)
    (line,) = changed_weights(run, tmp_path)
    assert "weights a.pt" in line
    record_property("attack", "weights: changed in place")
    record_property("outcome", line[:60])
