"""Pins written into a declaration's source: what is found is exact, everything else stays as it was."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

from harness import Hub
from harness.registry.discovery import discover
from harness.registry.patch import Pin, patch, pinned_text, pinned_toml

PIN = Pin("a" * 40, "b" * 64, 1234567)
SOURCE = """\
from harness import Hub, Model, hookimpl

ONE = Hub("owner/one", licence="MIT")  # é
TWO = Hub("owner/two", revision="", prefix="two--")
FOUR = Hub("owner/four", prefix="four--").files("a.json", "b.json")


def weights():
    return (
        ONE.file("config.json"),
        *TWO.files("config.json", "vocab.txt"), TWO.file("big.pt", name="b.pt"),
        Hub("owner/three").file("x.pt"),
    ) + FOUR
"""


def _weights(text: str) -> list[tuple[str, str, str, str]]:
    names: dict[str, object] = {}
    exec(compile(text.replace("Model, hookimpl", "Weights"), "x", "exec"), names)  # noqa: S102 - our own text
    return [(one.name, one.repo, one.revision, one.sha256) for one in names["weights"]()]  # type: ignore[operator]


def test_pins_are_written_where_the_file_is_declared() -> None:
    """Of two files of one name in two repositories only the right one; names given by the author are kept."""
    keys = [("owner/two", "config.json"), ("owner/two", "big.pt"), ("owner/three", "x.pt"), ("owner/four", "b.json")]
    text, found = pinned_text(SOURCE, dict.fromkeys(keys, PIN))
    assert found == set(keys)
    assert _weights(SOURCE)[0] == _weights(text)[0]
    assert _weights(text)[1:] == [
        ("two--config.json", "owner/two", PIN.revision, PIN.sha256),
        ("two--vocab.txt", "owner/two", "", ""),
        ("b.pt", "owner/two", PIN.revision, PIN.sha256),
        ("x.pt", "owner/three", PIN.revision, PIN.sha256),
        ("four--b.json", "owner/four", PIN.revision, PIN.sha256),
        ("four--a.json", "owner/four", "", ""),
    ]
    assert pinned_text(text, dict.fromkeys(keys, PIN)) == (text, set())


def test_what_is_not_written_there_is_not_found() -> None:
    """A repository in a variable, a name that is made: left to the author."""
    text = (
        'HUB = Hub(REPO)\nHUB.file("a")\nOTHER = Hub("o/n")\nOTHER.file(NAME)\nOTHER.files("a", NAME)\nmine.file("a")\n'
    )
    assert pinned_text(text, {("o/n", "a"): PIN, ("", "a"): PIN}) == (text, set())


def test_every_model_of_ours_can_be_pinned(tmp_path: Path) -> None:
    """The patch applies, and then the declaration has the digests; so it is with `git apply`."""
    for plugin in discover().plugins.values():
        path = plugin.model.root / "__init__.py"
        pins = {(one.repo, one.file): PIN for one in plugin.model.weights if not one.pinned}
        before = path.read_text(encoding="utf-8")
        after, found = pinned_text(before, pins)
        assert found == set(pins), plugin.name
        compile(after, path, "exec")
        if not pins:
            continue
        (tmp_path / "x").write_text(before, encoding="utf-8")
        subprocess.run(["git", "apply"], input=patch("x", before, after), cwd=tmp_path, check=True, text=True)
        assert (tmp_path / "x").read_text(encoding="utf-8") == after


def test_a_file_has_the_name_and_the_commit_that_it_is_given() -> None:
    """Several files of a repository may end alike."""
    hub = Hub("owner/name", prefix="p--")
    assert hub.file("v1/last.pth").name == "p--last.pth"
    named = hub.file("v1/last.pth", name="v1.pth", revision="a" * 40)
    assert (named.name, named.file, named.revision) == ("v1.pth", "v1/last.pth", "a" * 40)


TOML = """name = "one"

[[weights]]
repo = "owner/name"
file = "sub/model.pt"  # the network
sha256 = ""

# another
[[weights]]
repo = "owner/name"
file = "config.json"

[[variants]]
name = "zero-shot"
summary = "[[weights]]"
"""


def test_a_declaration_as_data_is_pinned_where_it_states_the_file() -> None:
    """The table of that file alone changes, and reads as pinned afterwards."""
    pin = Pin("1" * 40, "2" * 64, 1_234_567)
    after, found = pinned_toml(TOML, {("owner/name", "sub/model.pt"): pin, ("owner/other", "x"): pin})
    assert found == {("owner/name", "sub/model.pt")}
    first, second = tomllib.loads(after)["weights"]
    assert (first["revision"], first["sha256"], first["size"]) == (pin.revision, pin.sha256, pin.size)
    assert second == {"repo": "owner/name", "file": "config.json"}
    assert "# another\n[[weights]]" in after
    changed = patch("plugin.toml", TOML, after).splitlines()[2:]
    assert [row for row in changed if row.startswith("-")] == ['-sha256 = ""']
    assert len([row for row in changed if row.startswith("+")]) == 3
