"""One line a folder, one line a file: what the short forms make."""

from __future__ import annotations

import pytest

from harness import Hub, Source, Upstream, Weights
from harness.registry.constraints import DeclarationError

COMMIT, TREE = "0123456789abcdef" * 2 + "01234567", "f" * 40
CODE = Upstream("https://example.org/code", COMMIT, licence="MIT", prefix="model")


def test_a_folder_is_a_source_named_after_the_model() -> None:
    """Unless it is given another name."""
    assert CODE.folder("src/Some_Part", TREE) == Source(
        "model-some-part", "https://example.org/code", COMMIT, licence="MIT", tree=TREE, path="src/Some_Part"
    )
    assert CODE.folder("src", TREE, name="other").name == "other"
    assert [source.path for source in CODE.folders(a=TREE, b=TREE)] == ["a", "b"]


def test_a_repository_on_github_is_named_by_its_owner_and_name() -> None:
    """Sources are then named after the repository."""
    (source,) = Upstream("Owner/SomeModel", COMMIT, "MIT").folders(network=TREE)
    assert (source.name, source.git) == ("somemodel-network", "https://github.com/Owner/SomeModel")
    assert Upstream("https://example.org/Code.git", COMMIT, "MIT").folder("a", TREE).name == "code-a"


def test_a_wrong_tree_is_refused_where_it_is_written() -> None:
    """The short form is checked like the long one."""
    with pytest.raises(DeclarationError, match="source 'model-src': tree must be 40 hexadecimal digits"):
        CODE.folder("src", "main")


def test_a_file_has_the_licence_and_the_access_of_its_repository() -> None:
    """Files differ in name, digest and size alone; what no digest is given for is not pinned."""
    hub = Hub("owner/name", COMMIT, licence="MIT", gated=True, repo_type="dataset", prefix="clip--")
    assert hub.file("sub/vocab.json", "a" * 64, 5) == Weights(
        "clip--vocab.json", "owner/name", "sub/vocab.json", COMMIT, "a" * 64, 5, "MIT", gated=True, repo_type="dataset"
    )
    assert [(file.name, file.pinned) for file in hub.files("a", "b")] == [("clip--a", False), ("clip--b", False)]
