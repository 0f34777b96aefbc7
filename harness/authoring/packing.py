"""Whether the wheel of a plugin holds what its image is built from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.authoring.new import TAKEN
from harness.authoring.verdict import PluginCheck
from harness.foreign import open_zip
from harness.images.context import plugin_files
from harness.registry.discovery import Plugin
from harness.sandbox.folder import remove_tree


def check_packing(plugin: Plugin, folder: Path) -> PluginCheck:
    """Build the wheel of a plugin that has a ``pyproject.toml``, and look for everything that its image needs in it.

    Raises
    ------
    ModelError
        Its folder holds a link or a special file, or too much.
    """
    root = plugin.model.root
    needed = [name for name, _ in plugin_files(plugin) if not name.startswith("sdk/")]
    places = (root, root.parent, *([root.parent.parent] if root.parent.name == "src" else []))
    project = next((path for path in places if (path / "pyproject.toml").is_file()), None)
    if project is None or plugin.shipped:
        return PluginCheck("packs", "skip", "there is no pyproject.toml beside it")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(project)]
    before = set(_left_by_a_build(places))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path in set(_left_by_a_build(places)) - before:
            remove_tree(path)
    if "No module named pip" in done.stderr:
        return PluginCheck("packs", "skip", "pip is not installed beside groundbench")
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["it made no wheel"])[-1]
        return PluginCheck("packs", "FAIL", f"pip cannot build it: {last}", f"see `pip wheel {project}`")
    with open_zip(wheels[0]) as packed:
        names = set(packed.namelist())
    package = next((name.rpartition("/")[0] for name in sorted(names) if name.endswith(f"{root.name}/__init__.py")), "")
    lacking = [name for name in needed if f"{package}/{name}".lstrip("/") not in names]
    if lacking:
        return PluginCheck(
            "packs",
            "FAIL",
            f"the wheel lacks {', '.join(lacking)}, which the image needs",
            "declare them as the package's data; hatchling takes everything in the folder",
        )
    if taken := sorted({name.split("/")[0] for name in names} & TAKEN):
        return PluginCheck("packs", "FAIL", f"the wheel holds {taken[0]}/, which is another one's name", "rename it")
    return PluginCheck("packs", "pass", f"{wheels[0].name} holds the {len(needed)} files that the image needs")


def _left_by_a_build(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders that setuptools leaves beside what it builds."""
    for place in places:
        yield from (path for path in (place / "build", *place.glob("*.egg-info")) if path.is_dir())
