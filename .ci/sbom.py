"""Write what the harness, the scripts in its pages and each image are made of, as CycloneDX documents.

``make sbom`` writes them into ``sbom/``. Everything is read from locks and declarations, and licences from the packages
that are installed for development. The same commit gives the same bytes: the time in a document is the beginning of
1970. Packages of an image's operating system come with its base image, and are not in its document, which says so; a
scanner reads them from the image.
"""

from __future__ import annotations

import re
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from locks import ROOT, Pin, image_locks, read
from packageurl import PackageURL

from harness.images.build import DEFAULT_BASE
from harness.registry.discovery import discover
from leaderboard.pages.vendor import NIIVUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.registry.pinned import Source

#: Namespace of the documents' serial numbers, which are made from their content.
_NAMESPACE = uuid.UUID("6f1f8b0e-6f0c-5d0e-9d1b-0a6d4a1c7b11")
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def _component(name: str, version: str, purl: str, licence: str = "", **more: object) -> Component:
    licences = [LicenseFactory().make_from_string(licence)] if licence else []
    address = PackageURL.from_string(purl)
    return Component(name=name, version=version, purl=address, bom_ref=purl, licenses=licences, **more)  # type: ignore[arg-type]


def _licence(pin: Pin) -> str:
    """Return the licence that an installed package of this very version states; "" where none is installed here."""
    try:
        stated = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        return ""
    if stated["Version"] != pin.version:
        return ""
    written = stated.get("License-Expression") or stated.get("License") or ""
    classes = [line.rpartition(" :: ")[2] for line in stated.get_all("Classifier", []) if line.startswith("License ::")]
    return written if written and "\n" not in written and len(written) < 60 else " and ".join(classes)


def _packages(pins: Iterable[Pin]) -> list[Component]:
    found: dict[str, Component] = {}
    for pin in sorted(pins):
        marker = [Property(name="groundbench:marker", value=pin.marker)] if pin.marker else []
        found[pin.purl] = _component(pin.name, pin.version, pin.purl, _licence(pin), properties=marker)
    return list(found.values())


def _source(source: Source) -> Component:
    """Return the code of a model's authors: a commit, checked by its tree."""
    return _component(
        source.name,
        source.commit,
        f"pkg:generic/{source.name}@{source.commit}",
        "" if source.licence == "none" else source.licence,
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(source.git))],
        properties=[Property(name="groundbench:git-tree", value=source.tree)],
    )


def _scripts() -> list[Component]:
    """Return the vendored script with the libraries inside it, as the headings of its notice name them."""
    notice = (ROOT / "leaderboard" / NIIVUE.notice).read_text("utf-8")
    inside = re.findall(r"^=+\n([A-Z][\w ]+: )?(.+?)(?: (\d[\w.]*))? \(([^()]+)\)\n=+$", notice, re.MULTILINE)
    parts = []
    for within, name, version, licence in inside[1:]:  # the first is NiiVue itself
        kind = "generic" if within or not version else "npm"
        address = PackageURL(kind, *name.replace(" ", "-").rpartition("/")[::2], version=version or None)
        parts.append(_component(name, version, address.to_string(), licence))
    origin = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(NIIVUE.origin))
    return [
        _component(
            NIIVUE.name,
            NIIVUE.version,
            f"pkg:npm/%40niivue/niivue@{NIIVUE.version}",
            NIIVUE.licence,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=NIIVUE.sha256)],
            external_references=[origin],
            components=parts,
        )
    ]


def document(product: Component, parts: list[Component]) -> str:
    """Return the document of a product as JSON; its serial number is made from what is in it."""
    bom = Bom(components=parts)
    bom.metadata.component = product
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)
    bom.register_dependency(product, parts)
    bom.serial_number = uuid.UUID(int=0)
    bom.serial_number = uuid.uuid5(_NAMESPACE, JsonV1Dot6(bom).output_as_string())
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def documents() -> dict[str, str]:
    """Return all documents by the names of their files."""
    version = _PROJECT["version"]
    harness = _component(
        "groundbench", version, f"pkg:pypi/groundbench@{version}", _PROJECT["license"], type=ComponentType.APPLICATION
    )
    found = {"groundbench": document(harness, [*_packages(read(ROOT / "requirements.lock")), *_scripts()])}
    plugins = {plugin.model.root.name.replace("_", "-"): plugin.model for plugin in discover().plugins.values()}
    for image, locks in image_locks().items():
        model = plugins.get(image.rpartition("/")[2])
        parts = _packages({pin for lock in locks for pin in read(lock)})
        parts += [_source(source) for source in model.sources] if model else []
        name, _, tag = DEFAULT_BASE.partition(":")
        system = [Property(name="groundbench:packages", value="of its operating system; not listed here")]
        base = _component(name, tag, f"pkg:docker/{name}@{tag}", type=ComponentType.CONTAINER, properties=system)
        parts.append(base)
        number = model.version if model else version
        product = _component(
            image,
            number,
            f"pkg:docker/{image}@{number}",
            model.licence if model else "Apache-2.0",
            type=ComponentType.CONTAINER,
        )
        found["image-" + image.removeprefix("groundbench/").replace("/", "-")] = document(product, parts)
    return {f"{name}.cdx.json": text for name, text in found.items()}


def main(folder: Path) -> None:
    """Write all documents into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, "utf-8")
        print(folder / name)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}\n  fix: make sbom SBOM=FOLDER", file=sys.stderr)
        sys.exit(2)
