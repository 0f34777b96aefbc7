"""From the rows of the board to the values of its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.scoring.groups import names_of
from harness.scoring.sizes import Bin, SizeCuts, volume_bins
from leaderboard.board.board import DataSet, Row, Score
from leaderboard.board.columns import SIZES
from leaderboard.pages import charts
from leaderboard.pages.page import category_name, codes_of, label
from leaderboard.published.database import Pair, PublishedFinding, TrainingStep


def names_of_rows(rows: Sequence[Row]) -> dict[str, str]:
    """Give every row a name of its own for a legend, by run."""
    names: dict[str, str] = {}
    for row in rows:
        assert row.run is not None  # noqa: S101 - figures show runs
        name = label(row)
        names[row.run.id] = name if name not in names.values() else f"{name} ({len(names) + 1})"
    return names


def by_group(
    data: DataSet, groups: Sequence[tuple[str, str]], pick: Callable[[Row, str], Score], title: str
) -> charts.Drawing | None:
    """Draw the best rows' mean Dice on groups of findings (paper, Figures 2 and 3); None without any score."""
    rows = data.shown[: charts.DISTINCT]
    models = list(names_of_rows(rows).values())
    values = [
        {"group": name, "model": model, "value": score.value, "low": score.low, "high": score.high}
        for key, name in groups
        for row, model in zip(rows, models, strict=True)
        if (score := pick(row, key)).value is not None
    ]
    if not values:
        return None
    names = [name for _, name in groups if any(value["group"] == name for value in values)]
    return charts.draw(charts.intervals(values, names, models, axis="mean Dice"), title)


def best(data: DataSet, most: int) -> charts.Drawing | None:
    """Draw the average Dice of the best rows of the first ranking with its interval; None without any score."""
    rows = [row for row in data.shown if row.standing == data.shown[0].standing][:most]
    names = names_of_rows(rows)
    values = [
        {"group": names[row.run.id], "model": "", "value": score.value, "low": score.low, "high": score.high}
        for row in rows
        if row.run and (score := row.scores["average"]).value is not None
    ]
    make = charts.intervals(values, list(names.values()), [""], axis="average Dice")
    return charts.draw(make, "Average Dice of the best rows; the table below has the data") if values else None


def categories(data: DataSet) -> charts.Drawing | None:
    """Draw Dice by category (paper, Figure 2)."""
    return by_group(data, category_groups(data), Row.category, "Mean Dice by category; the table below has the data")


def sizes(data: DataSet) -> charts.Drawing | None:
    """Draw Dice by size of finding (paper, Figure 3)."""
    title = "Mean Dice by size of finding; the table below has the data"
    return by_group(data, list(SIZES.items()), size_score, title)


def category_groups(data: DataSet) -> list[tuple[str, str]]:
    """Return (code, name) of every category that a table shows."""
    return [(code, category_name(code)) for code in codes_of(data.current)]


def size_score(row: Row, size: str) -> Score:
    """Return the mean Dice on one size of findings."""
    return row.by_size.get(size, Score(n=0 if row.by_size else None))


def size_note(data: DataSet) -> str:
    """Say where the findings of a data set are divided by size, and by what; how, where the cuts may not be shown."""
    cuts = SizeCuts.recorded({"sizes": data.about.sizes})
    if cuts is None:
        return "Small findings fill at most the median share of the scan, medium ones at most the 75th percentile."
    origin = "Chosen by the organiser of this board" if cuts.of == "fixed" else f"Cut at {cuts.origin}"
    return f"{origin}: {cuts.bounds}."


def groups(data: DataSet) -> charts.Drawing | None:
    """Draw Dice by what the texts say and the data set states."""
    title = "Mean Dice by other groups of findings; the table below has the data"
    return by_group(data, group_names(data), group_score, title)


def group_names(data: DataSet) -> list[tuple[str, str]]:
    """Return (group, name) of every group that is known of a row."""
    return list(names_of({group for row in data.current for group in row.by_group}).items())


def group_score(row: Row, group: str) -> Score:
    """Return the mean Dice on one of these groups; one that is not shown of this row has no number."""
    return row.by_group.get(group, Score())


def category_counts(data: DataSet) -> list[tuple[str, int]]:
    """Count the findings of each category (paper, Table 3), as the run with most findings was scored on them."""
    scored = [row for row in data.current if row.by_category]
    if not scored:
        return []
    widest = max(scored, key=lambda row: sum(score.n or 0 for score in row.by_category.values()))
    counts = [(category_name(code), widest.category(code).n or 0) for code in codes_of([widest])]
    return counts if data.about.open else [(name, n) for name, n in counts if n]


def category_bars(data: DataSet) -> charts.Drawing | None:
    """Draw the number of findings of each category."""
    counts = category_counts(data)
    values = [{"group": name, "value": n} for name, n in counts]
    names = [name for name, _ in counts]
    return charts.draw(charts.bars(values, names, axis="findings"), "Findings by category") if counts else None


def size_bins(findings: Sequence[PublishedFinding]) -> list[Bin]:
    """Count the findings by volume (paper, Figure S1)."""
    return volume_bins((finding.volume_ul, finding.category) for finding in findings)


def size_histogram(bins: Sequence[Bin]) -> charts.Drawing | None:
    """Draw the volumes of focal and of non-focal findings (paper, Figure S1)."""
    panels = ["Focal", "Non-focal"]
    values = [
        {"panel": panel, "from": one.low, "to": one.high, "n": n}
        for one in bins
        for panel, n in zip(panels, (one.focal, one.non_focal), strict=True)
    ]
    make = charts.histogram(values, panels, axis="volume in µl (voxels at 1 mm³)")
    return charts.draw(make, "Findings by volume") if bins else None


def cost(data: DataSet, what: str) -> charts.Drawing | None:
    """Draw average Dice against ``"seconds"`` a case or peak ``"memory"``; None where nothing is known."""
    rows = [e for e in data.shown if _cost_of(e, what) and e.scores["average"].value is not None]
    if not rows:
        return None
    points = [(_cost_of(row, what) or 0.0, row.scores["average"].value or 0.0) for row in rows]
    front = charts.front(points)
    best = sorted(range(len(rows)), key=lambda place: (not front[place], -points[place][1]))[: charts.DISTINCT]
    names = names_of_rows([rows[place] for place in sorted(best)])
    values = [
        {"model": names.get(row.run.id) if row.run else None, "cost": x, "value": y, "front": on_front}
        for row, (x, y), on_front in zip(rows, points, front, strict=True)
    ]
    axis = "seconds a case" if what == "seconds" else "peak memory in GB"
    return charts.draw(charts.scatter(values, list(names.values()), axis=axis), f"Average Dice against {axis}")


def _cost_of(row: Row, what: str) -> float | None:
    if row.cost is None:
        return None
    if what == "seconds":
        return row.cost.wall_s
    return row.cost.peak_bytes / 1e9 if row.cost.peak_bytes else None


def differences(data: DataSet, pairs: Sequence[Pair]) -> charts.Drawing | None:
    """Draw how far each row is from the best one of those compared."""
    members = list(dict.fromkeys(run for pair in pairs for run in (pair.first, pair.second)))
    rows = {row.run.id: row for row in data.rows if row.run}
    means = {run: rows[run].scores["average"].value or 0.0 for run in members}
    if len(members) < 2:
        return None
    best = min(members, key=lambda run: (-means[run], run))
    beside = {run for pair in pairs if best in (pair.first, pair.second) for run in (pair.first, pair.second)}
    others = sorted(beside - {best}, key=lambda run: (-means[run], run))
    names = names_of_rows([rows[run] for run in others])
    values = []
    for pair in pairs:
        if best in (pair.first, pair.second):
            sign = -1 if pair.first == best else 1
            ends = [sign * end for end in (pair.low, pair.high) if end is not None]
            low, high = (min(ends, default=None), max(ends, default=None))
            other = pair.second if pair.first == best else pair.first
            values.append(
                {"group": names[other], "model": "", "value": sign * pair.difference, "low": low, "high": high}
            )
    make = charts.intervals(values, list(names.values()), [""], axis=f"Dice minus that of {label(rows[best])}")
    return charts.draw(make, "Differences to the best row; the table below has the data")


def training(steps: Sequence[TrainingStep]) -> charts.Drawing | None:
    """Draw the losses and the Dice on the val split over the steps of a training; None where nothing was trained."""
    names = list(dict.fromkeys(name for step in steps for name in step.losses))
    values = [
        {"panel": f"loss: {name}", "step": step.step, "value": step.losses[name]}
        for name in names
        for step in steps
        if name in step.losses
    ]
    measured = [step for step in steps if step.val_dice is not None]
    values += [{"panel": "Dice on val", "step": step.step, "value": step.val_dice} for step in measured]
    panels = [*(["Dice on val"] if measured else []), *(f"loss: {name}" for name in names)]
    title = "Training: Dice on the val split and losses by step; the table below has the data"
    return charts.draw(charts.curves(values, panels), title) if values else None
