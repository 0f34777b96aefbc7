"""Prompts as versioned text files: ours, or a user's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from harness.errors import DataError, UsageError
from harness.foreign import parse_toml

MANIFEST: Final = "prompts.toml"
NAMES: Final = ("rewrite", "extract", "categorize")


@dataclass(frozen=True)
class PromptSet:
    """The prompts of all steps.

    Attributes
    ----------
    texts
        Name -> the system message, verbatim from the file.
    paper_form
        Whether the answers have the form printed in the paper's figures, which does not say where a rewritten sentence
        comes from; False: our form, which does.
    """

    texts: dict[str, str]
    paper_form: bool

    def version(self, name: str) -> str:
        """Return the version of one prompt: a digest of its text and of the form of its answers."""
        return hashlib.sha256(f"{self.paper_form}\0{self.texts[name]}".encode()).hexdigest()[:16]


def load_prompts(folder: Path | None = None) -> PromptSet:
    """Read ``rewrite.md``, ``extract.md``, ``categorize.md`` and, where it is there, ``prompts.toml``.

    Parameters
    ----------
    folder
        None: the prompts that are shipped. A folder without ``prompts.toml`` is taken to answer in the paper's form.

    Raises
    ------
    UsageError
        The folder does not exist.
    DataError
        A prompt is missing or empty, or the manifest says neither ``answers = "traced"`` nor ``"paper_form"``.
    """
    root: Traversable = folder or resources.files("curation").joinpath("prompts")
    if not root.is_dir():
        raise UsageError(f"the prompt folder {root} does not exist", fix="give a folder with rewrite.md and the others")
    texts = {}
    for name in NAMES:
        try:
            texts[name] = root.joinpath(f"{name}.md").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{root} has no readable {name}.md", fix=f"a folder needs {', '.join(NAMES)} (.md)"
            ) from error
        if not texts[name]:
            raise DataError(f"{root}/{name}.md is empty", fix="write the prompt into it")
    return PromptSet(texts, paper_form=_answers(root) == "paper_form")


def _answers(root: Traversable) -> str:
    manifest = root.joinpath(MANIFEST)
    if not manifest.is_file():
        return "paper_form"
    try:
        answers = parse_toml(manifest.read_text(encoding="utf-8"))["answers"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{root}/{MANIFEST} cannot be read", fix='write: answers = "traced" or "paper_form"') from error
    if answers not in {"traced", "paper_form"}:
        raise DataError(f"{root}/{MANIFEST}: answers = {answers!r}", fix='use "traced" or "paper_form"')
    return str(answers)
