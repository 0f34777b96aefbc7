"""How results are shown on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from harness.cli.streams import say
from harness.cli.tables import cell, counted, one_line, print_table, printable, seconds, size

_COLUMNS = {
    "mlhc2025": [
        ("Non-focal", "dice", "non_focal"),
        ("Focal", "dice", "focal"),
        ("Average", "dice", "all"),
        ("HIT 5 %", "hit5", "all"),
        ("HIT 10 %", "hit10", "all"),
    ],
    "miccai2026": [
        ("Dice, per case", "dice", "per_case"),
        ("Dice, per finding", "dice", "all"),
        ("Hit rate", "hit", "all"),
        ("Instance F1", "instance_f1", "all"),
        ("Distance F1", "distance_f1", "all"),
    ],
}


def print_documents(documents: Sequence[dict[str, Any]]) -> None:
    """Print the scores of runs as one table, their costs as another, and the reasons why some are not ranked."""
    if not documents:
        return
    documents = one_line(documents)
    first = documents[0]
    data, profile = first["dataset"], first["profile"]
    columns = _COLUMNS[profile]
    print_table(
        ["model", *(name for name, _, _ in columns), "ok"],
        [
            [
                _model(document),
                *(cell(document["metrics"].get(metric, {}).get(group)) for _, metric, group in columns),
                f"{document['coverage']['ok']}/{document['n_findings']}",
            ]
            for document in documents
        ],
        title=f"{data['name']}, split {data['split']}: {counted(first['n_cases'], 'case')}, "
        f"{counted(first['n_findings'], 'finding')} "
        f"({profile}; 95 % intervals from five cases on)",
        right=range(1, len(columns) + 2),
    )
    _print_placements(documents)
    timed = [document for document in documents if document["timing"]]
    if timed:
        print_table(
            [
                *("model", "engine", "image", "a case", "cases/h", "memory"),
                *("start", "load", "median", "p95", "says"),
            ],
            [row for document in timed for row in _costs(document, _cost)],
            title="cost, without scoring: measured from outside; from start on by the model's events and word",
            right=range(2, 11),
        )
        print_table(
            ["model", "computes", "p95", "waits", "reads", "writes", "GPU busy", "GPU loading", "GPU a case"],
            [row for document in timed for row in _costs(document, _phases)],
            title="seconds of a case by the model's own word, medians; GPU busy as the driver counts it",
            right=range(1, 9),
        )
    for line in _data_warnings(documents):
        say(line, fg="yellow")
    for document in documents:
        if "box_seeds" in document:
            click.echo(f"boxes: {_model(document)}: {document['box_seeds']['words']}")
    for document in documents:
        groups = document["metrics"].get("dice", {}).get("by_shared_patient", {})
        if "yes" in groups and "no" in groups:
            click.echo(
                f"{_model(document)}: Dice {cell(groups['no'])} without the cases whose patient is in train or val, "
                f"{cell(groups['yes'])} on them"
            )
    for document in documents:
        if document["unrankable"]:
            click.echo(f"not ranked: {_model(document)} ({'; '.join(document['unrankable'])})")


def _print_placements(documents: Sequence[dict[str, Any]]) -> None:
    """Print how many masks lie on their finding, on another, or elsewhere; "not known" only where it occurs."""
    from harness.scoring.placement import APART, PLACEMENTS

    found = [document["placements"] for document in documents]
    names = [name for name in PLACEMENTS if name not in APART or any(one[name]["count"] for one in found)]
    print_table(
        ["model", *(PLACEMENTS[name] for name in names)],
        [
            [_model(document), *(_counted_share(one[name]) for name in names)]
            for document, one in zip(documents, found, strict=True)
        ],
        title="where the masks lie: findings, and their share where it is known; never ranked",
        right=range(1, len(names) + 1),
    )


def _counted_share(share: dict[str, Any]) -> str:
    if share["n"] == 0:
        return "—"
    return str(share["count"]) if share["n"] is None else f"{share['count']} ({share['value']:.0%})"


def _model(document: dict[str, Any]) -> str:
    return f"{document['plugin']} {document['variant']}"


def _costs(
    document: dict[str, Any], row: Callable[[dict[str, Any], str, dict[str, Any]], list[str]]
) -> list[list[str]]:
    """Return one row, or one for each kind of hardware where a run was carried out on unlike ones."""
    timing = document["timing"]
    apart = timing.get("by_hardware", {})
    if not apart:
        return [row(document, _model(document), timing)]
    return [row(document, f"{_model(document)} on {kind}", timing | costs) for kind, costs in apart.items()]


def _cost(document: dict[str, Any], name: str, timing: dict[str, Any]) -> list[str]:
    rate = timing.get("cases_per_hour")
    return [
        name,
        document["engine"],
        size(timing.get("image_bytes")),
        seconds(timing.get("case_wall_s") or (3600 / rate if rate else None)),
        "—" if rate is None else f"{rate:.0f}",
        size(timing.get("peak_gpu_bytes") or timing.get("peak_container_bytes")),
        seconds(timing.get("container_start_s")),
        seconds(timing.get("model_load_s")),
        seconds(timing.get("case_median_s")),
        seconds(timing.get("case_p95_s")),
        size(timing.get("peak_device_bytes") or timing.get("peak_host_bytes")),
    ]


def _phases(_: dict[str, Any], name: str, timing: dict[str, Any]) -> list[str]:
    """Return what a model reports of the seconds of a case and of its GPU."""
    told = [timing.get(f"told_{phase}") for phase in ("compute_s", "compute_p95_s", "wait_s", "read_s", "write_s")]
    busy = timing.get("gpu_busy_share")
    return [
        name,
        *(["not reported", *[seconds(None)] * 4] if told[0] is None else map(seconds, told)),
        "—" if busy is None else f"{busy:.0%}",
        size(timing.get("load_device_bytes")),
        size(timing.get("peak_device_bytes")),
    ]


def _data_warnings(documents: Sequence[dict[str, Any]]) -> list[str]:
    """Print the warnings about the data behind the rows: each kind once, with its count."""
    found: dict[str, list[dict[str, str]]] = {}
    for warning in documents[0]["data_warnings"]:
        found.setdefault(warning["code"], []).append(warning)
    return [
        f"data: {code}, {counted(len(warnings), 'time')}; {printable(warnings[0]['where'])}: "
        f"{printable(warnings[0]['what'])}"
        for code, warnings in found.items()
    ]


def print_recall_by_size(document: dict[str, Any]) -> None:
    """Print how many entities of each size were found, under a profile that counts instances."""
    sizes = document["recall_by_size"]
    if document["profile"] != "miccai2026" or not any(size["n"] for size in sizes):
        return
    print_table(
        ["diameter", "entities", "found", "recall"],
        [[_range(size), size["n"], size["found"], cell(size)] for size in sizes],
        title="detection by size of the entity (the sphere of its volume)",
        right=(1, 2, 3),
    )


def _range(size: dict[str, Any]) -> str:
    if size["to_mm"] is None:
        return f"{size['from_mm']:g} mm and more"
    return f"{size['from_mm']:g} to {size['to_mm']:g} mm"
