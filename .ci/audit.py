"""Compare every locked package with a snapshot of advisories, and with what is stated about those that apply.

``make audit ADVISORIES=FILE`` takes an export of OSV's records for PyPI (a zip archive, or a folder of its JSON files).
Without one it says that it could not look. What is known not to matter in an image, and why, is stated in
``containers/vex.json`` (OpenVEX); an advisory without a statement is an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from locks import ROOT, Pin, harness_locks, image_locks, normalised, read
from packaging.version import InvalidVersion, Version

VEX = ROOT / "containers" / "vex.json"


def products() -> dict[str, set[Pin]]:
    """Return the packages of the harness and of each image, by product."""
    found = {"pkg:pypi/groundbench": {pin for lock in harness_locks() for pin in read(lock)}}
    for image, locks in image_locks().items():
        found[f"pkg:docker/{image}"] = {pin for lock in locks for pin in read(lock)}
    return found


def advisories(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a snapshot that have not been withdrawn."""
    if path.is_dir():
        texts: Iterator[str | bytes] = (file.read_text("utf-8") for file in sorted(path.glob("**/*.json")))
    else:
        archive = zipfile.ZipFile(path)
        texts = (archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".json"))
    for text in texts:
        record = json.loads(text)
        if not record.get("withdrawn"):
            yield record


def affects(record: dict[str, Any], pin: Pin) -> bool:
    """Tell whether a record names this version of this package, in its list of versions or in its ranges."""
    for affected in record.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI" or normalised(package.get("name", "")) != pin.name:
            continue
        if pin.version in affected.get("versions", []):
            return True
        ranges = [part for part in affected.get("ranges", []) if part.get("type") == "ECOSYSTEM"]
        if any(_inside(part["events"], pin.version) for part in ranges):
            return True
    return False


def _inside(events: list[dict[str, str]], version: str) -> bool:
    """Tell whether a version lies in a range of OSV: from each "introduced" to the next "fixed" or "last_affected"."""
    here, inside = Version(version), False
    for event in sorted(events, key=lambda event: _version(next(iter(event.values())))):
        kind, value = next(iter(event.items()))
        if kind == "introduced" and here >= _version(value):
            inside = True
        elif (kind == "fixed" and here >= _version(value)) or (kind == "last_affected" and here > _version(value)):
            inside = False
    return inside


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")  # what cannot be read begins the range: rather one finding too many


def stated(vex: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    """Return the status of each (advisory or alias, product, package) that the statements name."""
    found = {}
    for statement in vex["statements"]:
        vulnerability = statement["vulnerability"]
        for name in (vulnerability["name"], *vulnerability.get("aliases", [])):
            for product in statement["products"]:
                for part in product["subcomponents"]:
                    found[name, product["@id"], part["@id"]] = statement["status"]
    return found


def findings(records: Iterable[dict[str, Any]], status: dict[tuple[str, str, str], str]) -> Iterator[tuple[str, str]]:
    """Yield, for each locked package that a record names, what is stated about it ("" for nothing) and a line."""
    locked = products()
    names = {pin.name for pins in locked.values() for pin in pins}
    for record in records:
        if not any(normalised(part.get("package", {}).get("name", "")) in names for part in record.get("affected", [])):
            continue
        ids = (record["id"], *record.get("aliases", []))
        for product, pins in locked.items():
            for pin in sorted(pin for pin in pins if affects(record, pin)):
                known = [status[name, product, pin.purl] for name in ids if (name, product, pin.purl) in status]
                yield next(iter(known), ""), f"{' '.join(ids)}: {product}, {pin.purl}: {record.get('summary', '')}"


def main() -> int:
    """Print what applies; return 1 where something applies that nothing is stated about, 2 where nobody could look."""
    parser = argparse.ArgumentParser(description="Compare the locks with a snapshot of advisories.")
    parser.add_argument("advisories", nargs="?", type=Path, help="a zip archive or a folder of OSV records for PyPI")
    path = parser.parse_args().advisories
    vex = json.loads(VEX.read_text("utf-8"))
    if path is None:
        print(
            "not audited: no snapshot of advisories was given, so nobody has looked here whether a locked package "
            f"has a known flaw. The statements about flaws in containers/vex.json are of {vex['timestamp'][:10]}. "
            "`make audit ADVISORIES=FILE` compares the locks with an export of OSV's records for PyPI."
        )
        return 0
    try:
        records = list(advisories(path))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"not audited: {path} cannot be read: {error}", file=sys.stderr)
        return 2
    if not records:
        print(f"not audited: {path} has no record of an advisory", file=sys.stderr)
        return 2
    found = list(findings(records, stated(vex)))
    for status, line in found:
        print(f"{status or 'NOTHING IS STATED'}: {line}")
    newest = max(record.get("modified", "") for record in records)[:10]
    without = sum(not status for status, _ in found)
    print(
        f"compared with {len(records)} advisories, the newest of {newest}: {len(found)} apply to what is locked here; "
        f"nothing is stated about {without}"
    )
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main())
