"""Fill the database of a site from the results database: everything that may be published, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.redaction import redacted, without_places
from harness.registry.discovery import discover
from harness.rows import FindingRow, RunRow
from harness.runs.claims import trained_here
from harness.runs.confirmed import NOT_CONFIRMED, doubted, unconfirmed
from harness.runs.document import groups_of
from harness.runs.likeness import likenesses
from harness.runs.lock import as_seen
from harness.runs.standing import judged
from harness.scoring.placement import count_placements, placement_columns, placement_shares
from harness.scoring.profiles import PROFILES, Profile
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.scoring.summary import summarise
from harness.store.archive import archived
from harness.store.database import Store, cells
from harness.store.trainings import Trainings
from leaderboard.published.database import SCHEMA_VERSION, Published
from leaderboard.published.facts import facts_of
from leaderboard.published.privacy import (
    ENOUGH,
    PrivacyPolicy,
    hidden_text,
    not_allowed,
    provenance,
    publishable,
    publishable_coverage,
    publishable_placements,
    terms_of_runs,
    without_few,
    without_texts,
)
from leaderboard.published.standing import Standing, reasons_apart, standing_of
from leaderboard.published.statements import BoardStatement, read_statements
from leaderboard.published.tested import hold_against, runs_of

Rows = list[dict[str, Any]]

#: The profile whose metrics statements are about.
PAPER = "mlhc2025"

#: Runs of a data set that statements are held against, best first.
COMPARED = 24

#: Points of a training without a val Dice that are kept.
CURVE = 300

#: Runs of a ranking that are compared and ranked, best first.
MOST_COMPARED = 150


def export(
    store: Store,
    policy: PrivacyPolicy,
    own: Sequence[BoardStatement] = (),
    *,
    size_cuts: SizeCuts | None = None,
    runs: Path | None = None,
) -> Published:
    """Copy what `policy` allows, from one state of the database, compare the ranked runs, and test the statements.

    Parameters
    ----------
    store
        The results database.
    policy
        Who will see it.
    own
        An organiser's statements, beside the paper's.
    size_cuts
        Where the findings of every split are divided by size; by default where the runs of the whole split did.
    runs
        The folder of the runs, whose records the database is held against; by default that of the database's home.

    Returns
    -------
    Published
        Filled, in memory.
    """
    published = Published()
    visibility = "public" if policy.public else "private"
    about = {"schema": str(SCHEMA_VERSION), "made by": "groundbench", "visibility": visibility}
    statements = read_statements()
    published.add("statements", _described(statements, own))
    with store.snapshot():
        left_out = archived(store)
        about["archived"] = str(len(left_out))
        published.add("about", [{"name": name, "value": value} for name, value in about.items()])
        rows = [as_seen(run, store) for run in store.runs() if run.id not in left_out]
        doubts = {run.id: unconfirmed(store, run, runs or store.home / "runs") for run in rows}
        rows = [doubted(run, doubts[run.id]) if doubts[run.id] else run for run in rows]
        rows = judged(rows, discover(), trained_here(store))
        groups: dict[tuple[str, str], list[RunRow]] = {}
        for run in rows:
            groups.setdefault((run.fingerprint, run.split), []).append(run)
        likeness = {run: said for group in groups.values() for run, said in likenesses(store, group).items()}
        apart = reasons_apart(store, rows, {run: said.contradiction for run, said in likeness.items()})
        for group in groups.values():
            confirmed = frozenset(run.id for run in group if not doubts[run.id])
            warnings = {run.id: likeness[run.id].warnings for run in group if not doubts[run.id]}
            _DataSet(store, published, group, confirmed, apart, warnings, policy, [*statements, *own], size_cuts).fill()
    return published


def _described(statements: Sequence[BoardStatement], own: Sequence[BoardStatement]) -> Rows:
    return [
        {
            "id": one.id,
            "number": number,
            "own": one in own,
            "says": one.says,
            "meaning": one.meaning,
            "definition": one.model_dump_json(exclude_defaults=True),
        }
        for number, one in enumerate([*statements, *own], 1)
    ]


def data_set_id(fingerprint: str, split: str) -> str:
    """Name a split of a data set by its content, for addresses that stay as long as it does."""
    return hashlib.sha256(f"{fingerprint}\n{split}".encode()).hexdigest()[:8]


@dataclass
class _DataSet:
    """The runs on one split of one data set, on their way from one database to the other."""

    store: Store
    published: Published
    runs: Sequence[RunRow]
    confirmed: frozenset[str]  #: those whose numbers may be shown
    apart: Mapping[str, list[str]]
    warnings: Mapping[str, Sequence[str]]
    policy: PrivacyPolicy
    statements: Sequence[BoardStatement]
    fixed: SizeCuts | None = None

    @property
    def opened(self) -> bool:
        """Whether single cases may be shown."""
        return self.policy.opens(self.runs[0].split)

    def fill(self) -> None:
        whole = max(self.runs, key=lambda run: (run.id in self.confirmed, run.n_findings))
        self.id = data_set_id(whole.fingerprint, whole.split)
        self.terms = terms_of_runs(self.runs, (case.case for case in self.store.cases(whole.id)), self.policy)
        if self.policy.public and self.opened and (lacking := self.terms.lacks("scores")):
            raise not_allowed(f"{whole.dataset}/{whole.split}", lacking)
        self.cuts = self.fixed or self._cuts_of(whole)
        shown = self.cuts if self.opened or self.fixed else None  # a percentile is nearly the size of one finding
        row = {
            "id": self.id,
            "names": sorted({run.dataset for run in self.runs}),
            "fingerprint": whole.fingerprint,
            "split": whole.split,
            "licence": self.terms.licence or "",
            "terms": self.terms.model_dump(mode="json", exclude_none=True),
            "n_cases": whole.n_cases,
            "n_findings": whole.n_findings,
            "sizes": {} if shown is None else shown.to_json(),
            "open": self.opened,
        }
        self.published.add("data_sets", [row])
        self.published.add("runs", [self._run(run, whole) for run in self.runs])
        numbers: dict[tuple[str, str], int] = {}
        shown_runs = [run for run in self.runs if run.id in self.confirmed]
        for run in sorted(shown_runs, key=lambda run: (-run.n_findings, run.created, run.id)):
            self._numbers(run, whole)
            self._training(run)
            if self.opened:
                self._single(run, numbers)
        for profile in PROFILES:
            self._compare(profile)
        self._test()

    def _run(self, run: RunRow, whole: RunRow) -> dict[str, Any]:
        row = {name: getattr(run, name) for name in self.published.columns("runs") if hasattr(run, name)}
        shown = self.opened or run.n_findings == whole.n_findings >= ENOUGH  # else see `_numbers`
        shown = shown and run.id in self.confirmed
        return row | {
            "n_findings": run.n_findings if shown else None,
            "data_set": self.id,
            "title": run.title or run.plugin,
            "known_answer": any(reason.startswith("known answer") for reason in run.unrankable),
            "apart": self._told(self.apart[run.id]),
            "warnings": list(self.warnings.get(run.id, ())),
            **provenance(run, self.policy),
        }

    def _cuts_of(self, run: RunRow) -> SizeCuts | None:
        """Return the cuts that a run's scores were stored with: versions that did not record them used its findings."""
        return SizeCuts.recorded(run.record) or cuts_of(row.details.size_ratio for row in self.store.findings(run.id))

    def _metrics(self, run: RunRow, profile: Profile) -> dict[str, dict[str, Any]]:
        """Return the stored metrics of a run, with size groups as the others of this data set have them, or none."""
        stored = self.store.metrics(run.id, profile.name)
        if self.cuts is None or not stored or self.cuts.same_groups(self._cuts_of(run)):
            return stored
        if self.fixed is None:
            return {metric: {**groups, "by_size": {}} for metric, groups in stored.items()}
        quirks = bool(run.plan.get("organiser_quirks")) and profile.name == run.profile
        used = replace(profile, organiser_quirks=quirks)
        divided = summarise(self.store.findings(run.id), used, cuts=self.fixed)
        # An earlier scorer may have stored a metric that this one does not compute.
        again = {metric: divided.get(metric, {}).get("by_size", {}) for metric in stored}
        return {metric: {**groups, "by_size": again[metric]} for metric, groups in stored.items()}

    def _numbers(self, run: RunRow, whole: RunRow) -> None:
        complete = run.n_findings == whole.n_findings
        if not (self.opened or complete):
            return  # the difference between the whole and a part would reveal the few that are left
        counts = self.store.coverage(run.id)
        coverage = counts if self.opened else publishable_coverage(counts, run.n_findings)
        self.published.add("coverage", [{"run": run.id, "status": s, "n": n} for s, n in coverage.items()])
        self._placements(run)
        findings = self.store.findings(run.id) if self.opened and self.policy.public else []
        for name, profile in PROFILES.items():
            more = groups_of(self.store, run, name) if self.opened else {}
            for metric, groups in self._metrics(run, profile).items():
                found = dict(cells({**groups, **more.get(metric, {})}))
                shown = without_few(found, findings) if self.opened else publishable(found)
                rows = [
                    {
                        "run": run.id,
                        "profile": name,
                        "metric": metric,
                        "grp": group,
                        "value": cell["value"],
                        "n": cell["n"],
                        "cases": cell["cases"],
                        "low": cell["ci95"][0] if cell["ci95"] else None,
                        "high": cell["ci95"][1] if cell["ci95"] else None,
                    }
                    for group, cell in shown.items()
                ]
                self.published.add("metrics", rows)

    def _placements(self, run: RunRow) -> None:
        """Count where the masks of a run lie; of a closed split only where all of them are there."""
        counts = count_placements(self.store.findings(run.id))
        shown: Mapping[str, int | None] = counts
        if not self.opened:
            shown = publishable_placements(counts) if sum(counts.values()) == run.n_findings else {}
        of = {name: share["n"] for name, share in placement_shares(counts).items()}
        self.published.add(
            "placements", [{"run": run.id, "placement": name, "n": n, "of": of[name]} for name, n in shown.items()]
        )

    def _training(self, run: RunRow) -> None:
        """Copy the curve of the training before a run, thinned to what a figure can show."""
        key = run.record.get("training", {}).get("key")
        points = Trainings(self.store).points(key) if key else []
        every = -(-len(points) // CURVE)
        measured = self.policy.opens("val")  # how many findings of it are behind a point was not recorded
        self.published.add(
            "training",
            [
                {
                    "run": run.id,
                    "step": p.step,
                    "steps": p.steps,
                    "losses": p.losses,
                    "val_dice": p.val_dice if measured else None,
                }
                for number, p in enumerate(points)
                if p.val_dice is not None or number % every == 0 or p is points[-1]
            ],
        )

    def _single(self, run: RunRow, numbers: dict[tuple[str, str], int]) -> None:
        """Copy the cases and findings of a run on an open split; the first run that has a finding describes it."""
        findings = self.store.findings(run.id)
        fresh = [row for row in findings if (row.case, row.finding) not in numbers]
        hidden = self.policy.public and self.terms.lacks("texts")
        offset = self.published.db.execute("select coalesce(max(number), 0) from findings").fetchone()[0]
        for number, row in enumerate(fresh, offset + 1):
            numbers[row.case, row.finding] = number
        self.published.add(
            "findings",
            [
                {
                    "number": numbers[row.case, row.finding],
                    "data_set": self.id,
                    "case": row.case,
                    "finding": row.finding,
                    "category": row.category,
                    "text": hidden_text(row.text) if hidden else row.text,
                    "truth_voxels": row.truth_voxels,
                    "size_ratio": row.details.size_ratio,
                    "volume_ul": row.details.volume_ul,
                }
                for row in fresh
            ],
        )
        self.published.add(
            "scores",
            [
                {
                    "run": run.id,
                    "number": numbers[row.case, row.finding],
                    "status": row.status,
                    "dice": row.dice,
                    "pred_voxels": row.pred_voxels,
                    **_counted(row),
                    **placement_columns(row),
                }
                for row in findings
            ],
        )
        self.published.add(
            "instances",
            (
                {"run": run.id, "number": numbers[row.case, row.finding], **asdict(instance)}
                for row in findings
                for instance in row.details.rows or ()
            ),
        )
        texts: dict[str, list[str]] = {}
        for row in findings if hidden else ():
            texts.setdefault(row.case, []).append(row.text)
        names = self.published.columns("cases")[1:]
        cases = ({name: getattr(case, name) for name in names} for case in self.store.cases(run.id))
        # Of a row that an earlier version stored, a reason may hold a secret.
        told = (
            {
                "run": run.id,
                **case,
                "reason": without_texts(self._told(redacted(case["reason"])), texts.get(case["case"], ())),
            }
            for case in cases
        )
        self.published.add("cases", told)

    def _told(self, reason: Any) -> Any:
        """Return a reason as it may be published: without paths, host names, and what an edited row holds."""
        if not self.policy.public:
            return reason
        if isinstance(reason, list):
            return [self._told(one) for one in reason]
        return without_places(reason.partition(" (")[0] if reason.startswith(NOT_CONFIRMED) else reason)

    def _compare(self, profile: str) -> None:
        """Compare and rank the runs of each ranking; where fewer than two have a rank, compare the complete ones."""
        ranked = [run for run in self.runs if not self.apart[run.id]]
        place = {"data_set": self.id, "profile": profile}
        for rows in self._rankings(ranked, profile):
            pairs, ranks = compare_runs(rows, profile)
            self.published.add("ranks", [{**place, **row} for row in ranks])
            self.published.add("comparisons", [{**place, **row} for row in pairs])
        if len(ranked) < 2:
            complete = _complete([run for run in self.runs if run.id in self.confirmed])
            for rows in self._rankings(complete, profile):
                self.published.add("comparisons", [{**place, **row} for row in compare_runs(rows, profile)[0]])

    def _rankings(self, runs: Sequence[RunRow], profile: str) -> Iterator[dict[str, list[FindingRow]]]:
        """Yield run -> its findings for each ranking among some runs, best first; none that may not be shown."""
        means = {run.id: self.store.metrics(run.id, profile).get("dice", {}).get("all", {}) for run in runs}
        scored = [run for run in runs if means[run.id].get("value") is not None]
        groups: dict[Standing, list[RunRow]] = {}
        for run in sorted(scored, key=lambda run: (-means[run.id]["value"], run.id)):
            groups.setdefault(standing_of(run.level, run.prompt), []).append(run)
        for members in groups.values():
            if self.opened or members[0].n_cases >= ENOUGH:
                yield {run.id: _sorted(self.store.findings(run.id)) for run in members[:MOST_COMPARED]}

    def _test(self) -> None:
        """Hold every statement against the best ranked runs that were measured on the same findings."""
        ranked = [run for run in self.runs if not self.apart[run.id] and run.level.headline]
        means = {run.id: self._dice(run).get("all", {}).get("value") for run in ranked}
        scored = [run for run in self.runs if means.get(run.id) is not None]
        best = sorted(scored, key=lambda run: (-means[run.id], run.id))[:COMPARED]
        if not best or not (self.opened or best[0].n_cases >= ENOUGH):
            return
        facts = {run.id: facts_of(run) for run in best}
        chosen = [run for run in best if run.id in runs_of(self.statements, facts)]
        if not chosen:
            return
        rows = {run.id: _sorted(self.store.findings(run.id)) for run in chosen}
        same = _comparable(rows)
        tests = hold_against(
            self.statements,
            {name: rows[name] for name in same},
            {name: facts[name] for name in same},
            cuts=self.cuts,
            shown=None if self.opened else {run.id: frozenset(self._shown(run)) for run in chosen},
        )
        self.published.add("statement_tests", [{"data_set": self.id, **test} for test in tests])

    def _dice(self, run: RunRow) -> Mapping[str, Any]:
        return self._metrics(run, PROFILES[PAPER]).get("dice", {})

    def _shown(self, run: RunRow) -> Mapping[str, Any]:
        """Return the groups of a run that a closed split shows."""
        return publishable(dict(cells(self._dice(run))))


def compare_runs(rows: Mapping[str, Sequence[FindingRow]], profile: str) -> tuple[Rows, Rows]:
    """Compare the runs of one ranking on the same findings; returns the rows of ``comparisons`` and ``ranks``.

    Parameters
    ----------
    rows
        Run -> its findings, sorted; best run first. Runs of other findings than the best one's are left out.
    profile
        Whose Dice is compared.
    """
    from harness.scoring.comparison import rank_rows
    from harness.scoring.summary import finding_values

    names = _comparable(rows)
    clusters = [row.case for row in rows[names[0]]]
    found = rank_rows({name: finding_values(rows[name], PROFILES[profile])["dice"] for name in names}, clusters)
    pairs: Rows = [
        {
            "first": first,
            "second": second,
            "difference": one.value,
            "p": one.p,
            "low": one.ci95[0] if one.ci95 else None,
            "high": one.ci95[1] if one.ci95 else None,
            "n": one.n,
        }
        for first, second, one in found.pairs
    ]
    ranks: Rows = [
        {
            "run": name,
            "best": left[0],
            "worst": left[1],
            "of": len(names),
            "chances": [round(chance, 4) for chance in found.chances[name] or ()],
        }
        for name in names
        if (left := found.ranks[name]) is not None
    ]
    return pairs, ranks


def _counted(row: FindingRow) -> dict[str, int | None]:
    """Return what the metrics of both profiles are computed from; None for what was not counted."""
    counts = row.details.instances
    columns: dict[str, int | None] = {"intersection": row.intersection, "truth_entities": row.details.truth_entities}
    for name in ("kept_voxels", "kept_intersection"):
        columns[name] = None if counts is None else getattr(counts, name)
    for prefix, kind in (("", "overlap"), ("distance_", "distance")):
        matches = None if counts is None else getattr(counts, kind)
        columns |= {f"{prefix}{name}": matches and getattr(matches, name) for name in ("tp", "fp", "fn")}
    return columns


def _complete(runs: Sequence[RunRow]) -> list[RunRow]:
    """Return the newest finished run of every model and variant on the whole split."""
    whole = max((run.n_findings for run in runs), default=0)
    done = [run for run in runs if run.state == "done" and run.n_findings == whole]
    return list({(run.made_by, run.variant): run for run in done}.values())


def _comparable(rows: Mapping[str, Sequence[FindingRow]]) -> list[str]:
    """Return the runs that were measured on the same findings as the best one."""
    first = next(iter(rows))
    expected = [(row.case, row.finding) for row in rows[first]]
    return [name for name, found in rows.items() if [(row.case, row.finding) for row in found] == expected]


def _sorted(rows: Iterable[FindingRow]) -> list[FindingRow]:
    return sorted(rows, key=lambda row: (row.case, row.finding))
