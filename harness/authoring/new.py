"""``bench plugin new``: a plugin's folder that runs at once, to be changed step by step."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.registry.constraints import NAME
from harness.registry.declaration import Prompt
from harness.registry.discovery import OURS

TEMPLATE = Path(__file__).parent / "template"

#: An image's name as ``FROM`` takes it: no space, no line break, no variable.
IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,499}")


@dataclass(frozen=True)
class NewPlugin:
    """What a new plugin shall be.

    Attributes
    ----------
    name
        Name of the model.
    prompt
        ``"text"`` or ``"box"``.
    trainable
        Whether it has a variant that is fine-tuned.
    torch
        Whether its image holds torch.
    sdk
        Whether it is an adapter of the SDK; else a program that speaks the contract itself.
    image
        The image that it begins from; empty for a base image of the harness.
    """

    name: str
    prompt: str = Prompt.TEXT
    trainable: bool = False
    torch: bool = False
    sdk: bool = True
    image: str = ""

    def __post_init__(self) -> None:
        if not NAME.holds(self.name):
            raise UsageError(f"a model's name has {NAME.says}, not {self.name!r}", fix="for example my-model")
        package = self.package
        if keyword.iskeyword(package) or not package.isidentifier() or package in sys.stdlib_module_names | TAKEN:
            raise UsageError(
                f"{self.name!r} would be the Python package {package!r}, which is another one's name",
                fix=f"for example my-{self.name}",
            )
        if self.trainable and not self.sdk:
            raise UsageError("--trainable needs the SDK", fix="leave --lang none out, or write the training yourself")
        if self.torch and self.image:
            raise UsageError("--torch is a base image of ours, --from-image another one", fix="use one of the two")
        if self.image and not IMAGE_NAME.fullmatch(self.image):
            raise UsageError(f"{self.image!r} is not the name of an image", fix="for example ubuntu:24.04")

    @property
    def package(self) -> str:
        """Name of its Python package."""
        return self.name.replace("-", "_")

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield (path in the folder, template) of each file."""
        inside = self.package
        yield ".github/workflows/check.yml", "check.yml.j2"
        yield ".gitignore", "gitignore.j2"
        yield "README.md", "README.md.j2"
        yield "pyproject.toml", "pyproject.toml.j2"
        yield f"{inside}/__init__.py", "__init__.py.j2"
        yield f"{inside}/plugin.toml", "plugin.toml.j2"
        yield f"{inside}/requirements.in", "requirements.in"
        yield f"{inside}/requirements.lock", "requirements.lock"
        if self.image or not self.sdk:
            yield f"{inside}/Dockerfile", "Dockerfile.j2"
        if self.sdk:
            yield f"{inside}/adapter.py", "adapter.py.j2"
            yield "tests/test_adapter.py", "test_adapter.py.j2"
        else:
            yield f"{inside}/program.py", "program.py.j2"


#: Names that a plugin's package cannot have: ours, and what every plugin holds.
TAKEN = OURS | {"tests", "adapter"}


def write_plugin(new: NewPlugin, folder: Path) -> Path:
    """Write the folder of a new plugin, whole or not at all, and return the path of what is in it.

    Parameters
    ----------
    new
        What it shall be.
    folder
        Where; it must not exist yet, or be empty.

    Raises
    ------
    UsageError
        When the folder holds something.
    """
    import jinja2

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists and is not empty; nothing is overwritten", fix="name another folder: --to DIR"
        )
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML
    )
    words = {
        "name": new.name,
        "package": new.package,
        "title": new.name.replace("-", " ").capitalize(),
        "kind": "".join(part.capitalize() for part in new.name.split("-")),
        "prompt": new.prompt,
        "box": new.prompt == Prompt.BOX,
        "trainable": new.trainable,
        "torch": new.torch,
        "sdk": new.sdk,
        "image": new.image,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, template in new.files():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages.get_template(template).render(words).rstrip("\n") + "\n", encoding="utf-8")
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder
