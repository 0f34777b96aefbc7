"""What one run contributes to the database of a site: its rows, from its stored findings, as far as they may be shown.

All of it follows from what is stored of that run, and from a few facts of its data set (:class:`RunContext`). So it
is computed once and kept (:mod:`leaderboard.published.kept`), however many runs come after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from harness.redaction import redacted, without_places
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.case_clock import PHASES
from harness.runs.confirmed import NOT_CONFIRMED, unconfirmed
from harness.runs.likeness import MaskTraits, traits_of
from harness.runs.record import RECORD_NAME
from harness.scoring.placement import placement_columns, placement_shares
from harness.scoring.profiles import PROFILES, Profile
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.scoring.summary import finding_values, summarise, summarise_groups
from harness.store.database import Store, cells
from harness.store.trainings import Trainings
from leaderboard.published.database import Contribution
from leaderboard.published.kept import KeptResults, digest_of
from leaderboard.published.privacy import (
    hidden_text,
    publishable,
    publishable_coverage,
    publishable_placements,
    without_few,
    without_texts,
)
from leaderboard.published.run_file import SUMS, Tables, make_run_file, read_sums

#: Tables of the results database with rows of one run, and what a row is known by beside it: an index has that order.
_KEYS: Final = {"cases": '"case"', "findings": '"case", finding', "metrics": "profile, metric, grp"}

#: Points of a training without a val Dice that are kept.
CURVE: Final = 300


@dataclass(frozen=True)
class RunContext:
    """What the contribution of a run depends on, beside the run itself.

    Attributes
    ----------
    public, opened
        Whether everybody will see it; whether single cases may be shown.
    hidden
        Whether the texts of findings may not be shown.
    val_opened
        Whether what a training measured on the val split may be shown.
    whole
        Findings of the whole split.
    cuts, fixed
        Where findings are divided by size; whether a person chose that, so that all rows are divided anew.
    """

    public: bool
    opened: bool
    hidden: bool
    val_opened: bool
    whole: int
    cuts: SizeCuts | None
    fixed: bool


@dataclass(frozen=True)
class Known:
    """What a build needs to know of every stored run, before it looks at any of them more closely.

    Attributes
    ----------
    doubts
        What of the row cannot be shown right, as :func:`harness.runs.confirmed.unconfirmed`.
    keys, mean
        What its masks are known by, as :class:`harness.runs.likeness.MaskTraits`.
    means
        Profile -> the mean Dice of all findings that is stored; None without one.
    which
        A digest of its findings, in the order of the split.
    """

    doubts: list[str]
    keys: list[str]
    mean: float
    means: dict[str, float | None]
    which: str


class StoredRun:
    """One run as it is stored, with what was computed of it before.

    Parameters
    ----------
    store, runs, kept
        The database, the folder of the runs with their records, and earlier results.
    run
        The row.
    """

    def __init__(self, store: Store, runs: Path, kept: KeptResults, run: RunRow) -> None:
        self.store, self.runs, self.kept, self.run = store, runs, kept, run

    @cached_property
    def digest(self) -> bytes:
        """The digest of everything that is stored of the run, its record and its training included."""
        return stored_digest(self.store, self.run, self.runs)

    @cached_property
    def findings(self) -> list[FindingRow]:
        """Its findings, in the order of the split."""
        return self.store.findings(self.run.id)

    def forget(self) -> None:
        """Let go of what was read."""
        self.__dict__.pop("findings", None)

    @cached_property
    def known(self) -> Known:
        """What is known of it at once."""
        inputs = self.digest, self.run.state, str(self.runs)
        return Known(**self.kept.value("known", inputs, self._known))

    def _known(self) -> dict[str, Any]:
        traits = traits_of(self.store, self.run.id)
        stored = {name: self.store.metrics(self.run.id, name) for name in PROFILES}
        known = Known(
            unconfirmed(self.store, self.run, self.runs, self.findings),
            list(traits.keys),
            traits.mean,
            {name: found.get("dice", {}).get("all", {}).get("value") for name, found in stored.items()},
            digest_of([(row.case, row.finding) for row in self.findings]).hex(),
        )
        self.forget()
        return asdict(known)

    def traits(self) -> MaskTraits:
        """Return what the masks of the row are known by."""
        return MaskTraits(tuple(self.known.keys), self.known.mean)

    def mean(self, profile: str) -> float | None:
        """Return the mean Dice of all findings that is stored; None without one."""
        return self.known.means[profile]

    def dice(self, profile: str) -> tuple[str, list[float]]:
        """Return a digest of which findings were scored, and the Dice of each, sorted by case and finding."""

        def compute() -> list[Any]:
            rows = sorted(self.store.findings(self.run.id), key=lambda row: (row.case, row.finding))
            which = digest_of([(row.case, row.finding) for row in rows]).hex()
            return [which, finding_values(rows, PROFILES[profile])["dice"]]

        which, values = self.kept.value("dice", (self.digest, profile), compute)
        return which, values

    def clusters(self) -> list[str]:
        """Return the case of every finding, sorted."""
        found: list[str] = self.kept.value(
            "clusters", [self.digest], lambda: sorted(row.case for row in self.store.findings(self.run.id))
        )
        return found

    def contribution(self, around: RunContext, about: Mapping[str, str]) -> Contribution:
        """Return what the run contributes to a board; `about` describes its file."""
        # The row as it is shown may say more than what is stored: what it declares is judged by today's plugin.
        inputs = self.digest, repr(self.run), repr(around)
        made = _Contribution(self, around)
        sums = self.kept.result("sums", inputs, lambda: json.dumps(made.sums()).encode())

        def file() -> bytes:
            return make_run_file(about, read_sums(sums) | made.singles())

        return Contribution(sums, self.kept.result("file", (*inputs, list(about.items())), file))

    def described(self, around: RunContext) -> list[list[Any]]:
        """Return the findings of an open split, in its order, as the columns of ``findings`` from ``case`` on."""
        found: list[list[Any]] = self.kept.value(
            "findings", (self.digest, around.hidden), lambda: [_described(row, around) for row in self.findings]
        )
        return found

    def cuts(self) -> SizeCuts | None:
        """Return the cuts that its scores were stored with: versions that did not record them used its findings."""
        if recorded := SizeCuts.recorded(self.run.record):
            return recorded
        return cuts_of(
            self.kept.value("size ratios", [self.digest], lambda: [row.details.size_ratio for row in self.findings])
        )


def stored_digest(store: Store, run: RunRow, runs: Path) -> bytes:
    """Return the digest of a run's rows in the database, of those of its training, and of its record."""
    training = run.record.get("training", {}).get("key")
    asked = [("runs", "id", "id", run.id)]
    asked += [(table, "run", key, run.id) for table, key in _KEYS.items()]
    asked += [("training", "key", "step", training)] if isinstance(training, str) else []
    parts: list[object] = []
    with store.explaining():
        for table, column, key, value in asked:
            query = f"select * from {table} where {column} = ? order by {key}"  # noqa: S608 - our own names
            rows = store.db.execute(query, [value])
            parts += [table, [name for name, *_ in rows.description], rows.fetchall()]
    record = runs / run.id / RECORD_NAME
    try:
        parts.append(record.read_bytes() if record.is_file() else record.exists())
    except OSError as error:
        parts.append(str(error))
    return digest_of(parts)


def told(reason: Any, *, public: bool) -> Any:
    """Return a reason as it may be published: without paths, host names, and what an edited row holds."""
    if not public:
        return reason
    if isinstance(reason, list):
        return [told(one, public=public) for one in reason]
    return without_places(reason.partition(" (")[0] if reason.startswith(NOT_CONFIRMED) else reason)


def _losses(losses: Mapping[str, float]) -> str:
    return json.dumps(losses, ensure_ascii=False, sort_keys=True)


def _described(row: FindingRow, around: RunContext) -> list[Any]:
    text = hidden_text(row.text) if around.hidden else row.text
    size = row.details.size_ratio, row.details.volume_ul
    return [row.case, row.finding, row.category, text, row.truth_voxels, *size]


@dataclass
class _Contribution:
    """The rows of one run, as they are computed."""

    stored: StoredRun
    around: RunContext

    @property
    def run(self) -> RunRow:
        return self.stored.run

    @property
    def findings(self) -> list[FindingRow]:
        return self.stored.findings

    def sums(self) -> Tables:
        # The difference between the whole and a part would reveal the few that are left.
        if not self.around.opened and self.run.n_findings != self.around.whole:
            return {key: [] for key in SUMS}
        return {"coverage": self._coverage(), "placements": self._placements(), "metrics": self._metrics()}

    def singles(self) -> Tables:
        tables: Tables = {"training": self._training()}
        if self.around.opened:
            tables |= {"scores": self._scores(), "instances": self._instances(), "cases": self._cases()}
        return tables

    def _coverage(self) -> list[list[Any]]:
        counts = self.stored.store.coverage(self.run.id)
        shown = counts if self.around.opened else publishable_coverage(counts, self.run.n_findings)
        return [[status, n] for status, n in shown.items()]

    def _placements(self) -> list[list[Any]]:
        """Count where the masks lie; of a closed split only where all of them are there."""
        shares = placement_shares(self.findings)
        counts = {name: share["count"] for name, share in shares.items()}
        shown: Mapping[str, int | None] = counts
        if not self.around.opened:
            shown = publishable_placements(counts) if sum(counts.values()) == self.run.n_findings else {}
        nothing = None, None
        ends = {name: shares[name]["ci95"] if n is not None else None for name, n in shown.items()}
        return [
            [name, n, shares[name]["n"], *(ends[name] or nothing), shares[name]["cases"]] for name, n in shown.items()
        ]

    def _metrics(self) -> list[list[Any]]:
        found: list[list[Any]] = []
        shared = self.findings if self.around.opened and self.around.public else []
        for name, profile in PROFILES.items():
            stored = self._stored(profile)
            more = self._groups(profile) if self.around.opened and stored else {}
            for metric, groups in stored.items():
                every = dict(cells({**groups, **more.get(metric, {})}))
                shown = without_few(every, shared) if self.around.opened else publishable(every)
                for group, cell in shown.items():
                    low, high = cell["ci95"] or (None, None)
                    found.append([name, metric, group, cell["value"], low, high, cell["n"], cell["cases"]])
        return found

    def _stored(self, profile: Profile) -> dict[str, dict[str, Any]]:
        """Return the stored metrics, with size groups as the others of this data set have them, or none."""
        stored, cuts = self.stored.store.metrics(self.run.id, profile.name), self.around.cuts
        if cuts is None or not stored or cuts.same_groups(self.stored.cuts()):
            return stored
        if not self.around.fixed:
            return {metric: {**groups, "by_size": {}} for metric, groups in stored.items()}
        divided = summarise(self.findings, self._used(profile), cuts=cuts)
        # An earlier scorer may have stored a metric that this one does not compute.
        again = {metric: divided.get(metric, {}).get("by_size", {}) for metric in stored}
        return {metric: {**groups, "by_size": again[metric]} for metric, groups in stored.items()}

    def _groups(self, profile: Profile) -> dict[str, dict[str, Any]]:
        return summarise_groups(self.findings, self._used(profile))

    def _used(self, profile: Profile) -> Profile:
        quirks = bool(self.run.plan.get("organiser_quirks")) and profile.name == self.run.profile
        return replace(profile, organiser_quirks=quirks)

    def _training(self) -> list[list[Any]]:
        """Return the curve of the training before a run, thinned to what a figure can show."""
        key = self.run.record.get("training", {}).get("key")
        points = Trainings(self.stored.store).points(key) if key else []
        every = -(-len(points) // CURVE)
        measured = self.around.val_opened  # how many findings of it are behind a point was not recorded
        return [
            [p.step, p.steps, _losses(p.losses), p.val_dice if measured else None]
            for number, p in enumerate(points)
            if p.val_dice is not None or number % every == 0 or p is points[-1]
        ]

    def _scores(self) -> list[list[Any]]:
        return [
            [
                row.case,
                row.finding,
                row.status,
                row.dice,
                row.pred_voxels,
                *_counted(row).values(),
                *placement_columns(row).values(),
            ]
            for row in self.findings
        ]

    def _instances(self) -> list[list[Any]]:
        return [
            [row.case, row.finding, *asdict(instance).values()]
            for row in self.findings
            for instance in row.details.rows or ()
        ]

    def _cases(self) -> list[list[Any]]:
        texts: dict[str, list[str]] = {}
        for row in self.findings if self.around.hidden else ():
            texts.setdefault(row.case, []).append(row.text)
        return [
            [
                case.case,
                case.status,
                self._reason(case, texts.get(case.case, ())),
                case.seconds,
                case.host_bytes,
                case.device_bytes,
                case.attempts,
                *map(case.evidence.get("phases", {}).get, PHASES),
            ]
            for case in self.stored.store.cases(self.run.id)
        ]

    def _reason(self, case: CaseRow, texts: Sequence[str]) -> str:
        # Of a row that an earlier version stored, a reason may hold a secret.
        return without_texts(told(redacted(case.reason), public=self.around.public), texts)


def _counted(row: FindingRow) -> dict[str, int | None]:
    """Return what the metrics of both profiles are computed from; None for what was not counted."""
    counts = row.details.instances
    columns: dict[str, int | None] = {"intersection": row.intersection}
    for name in ("kept_voxels", "kept_intersection"):
        columns[name] = None if counts is None else getattr(counts, name)
    columns["truth_entities"] = row.details.truth_entities
    for prefix, kind in (("", "overlap"), ("distance_", "distance")):
        matches = None if counts is None else getattr(counts, kind)
        columns |= {f"{prefix}{name}": matches and getattr(matches, name) for name in ("tp", "fp", "fn")}
    return columns
