"""A folder of prompts says in which form its answers come."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.llm.prompts import NAMES, load_prompts
from harness.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a text for every prompt, and no manifest."""
    for name in NAMES:
        (tmp_path / f"{name}.md").write_text(f"my own {name}\n")
    return tmp_path


@pytest.mark.parametrize(("manifest", "paper_form"), [("", True), ("paper_form", True), ("traced", False)])
def test_form_of_the_answers(folder: Path, manifest: str, paper_form: bool) -> None:
    """The form is that of the manifest; without one it is the paper's, whose prompts have none."""
    if manifest:
        (folder / "prompts.toml").write_text(f'answers = "{manifest}"\n')
    assert load_prompts(folder).paper_form is paper_form


def test_another_form_is_refused(folder: Path) -> None:
    """A manifest that names another form is refused with the two that there are."""
    (folder / "prompts.toml").write_text('answers = "figures"\n')
    with pytest.raises(DataError) as refused:
        load_prompts(folder)
    assert '"traced" or "paper_form"' in refused.value.fix


def test_the_shipped_prompts_are_traced() -> None:
    """With the prompts of the package every rewritten sentence names its sources."""
    assert not load_prompts().paper_form
