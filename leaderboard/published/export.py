"""Fill the database of a site from the results database: everything that may be published, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.registry.discovery import discover
from harness.rows import FindingRow, RunRow
from harness.runs.claims import trained_here
from harness.runs.confirmed import doubted
from harness.runs.likeness import likenesses
from harness.runs.lock import as_seen
from harness.runs.standing import judged
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.store.archive import archived
from harness.store.database import Store
from leaderboard.published.contribution import RunContext, StoredRun, told
from leaderboard.published.database import Published
from leaderboard.published.facts import Facts, facts_of
from leaderboard.published.kept import KeptResults
from leaderboard.published.privacy import (
    ENOUGH,
    PrivacyPolicy,
    not_allowed,
    provenance,
    terms_of_runs,
)
from leaderboard.published.standing import Standing, reasons_apart, standing_of, stands
from leaderboard.published.statements import BoardStatement, read_statements
from leaderboard.published.tables import SCHEMA_VERSION
from leaderboard.published.tested import hold_against, runs_of

Rows = list[dict[str, Any]]

#: The profile whose metrics statements are about.
PAPER = "mlhc2025"

#: Runs of a data set that statements are held against, best first.
COMPARED = 24

#: Runs of a ranking that are compared and ranked, best first.
MOST_COMPARED = 150


def export(
    store: Store,
    policy: PrivacyPolicy,
    own: Sequence[BoardStatement] = (),
    *,
    size_cuts: SizeCuts | None = None,
    runs: Path | None = None,
    kept: KeptResults | None = None,
    at: Path | None = None,
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
    kept
        What earlier builds computed; without it, everything is computed.
    at
        Where the database is made, a file that does not exist yet; by default in memory.
    """
    published, folder, kept = Published(at), runs or store.home / "runs", kept or KeptResults()
    visibility = "public" if policy.public else "private"
    about = {"schema": str(SCHEMA_VERSION), "made by": "groundbench", "visibility": visibility}
    statements = read_statements()
    published.add("statements", _described(statements, own))
    with store.snapshot():
        left_out = archived(store)
        about["archived"] = str(len(left_out))
        published.add("about", [{"name": name, "value": value} for name, value in about.items()])
        rows = [as_seen(run, store) for run in store.runs() if run.id not in left_out]
        stored = {run.id: StoredRun(store, folder, kept, run) for run in rows}
        doubts = {run: one.known.doubts for run, one in stored.items()}
        rows = [doubted(run, doubts[run.id]) if doubts[run.id] else run for run in rows]
        rows = judged(rows, discover(), trained_here(store))
        groups: dict[tuple[str, str], list[RunRow]] = {}
        for run in rows:
            stored[run.id].run = run
            groups.setdefault((run.fingerprint, run.split), []).append(run)
        found = (likenesses(store, group, lambda run: stored[run.id].traits()) for group in groups.values())
        likeness = {run: said for group in found for run, said in group.items()}
        apart = reasons_apart(store, rows, {run: said.contradiction for run, said in likeness.items()})
        for group in groups.values():
            confirmed = frozenset(run.id for run in group if not doubts[run.id])
            warnings = {run.id: likeness[run.id].warnings for run in group if not doubts[run.id]}
            every = [*statements, *own]
            _DataSet(store, published, group, stored, confirmed, apart, warnings, policy, every, kept, size_cuts).fill()
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
    stored: Mapping[str, StoredRun]
    confirmed: frozenset[str]  #: those whose numbers may be shown
    apart: Mapping[str, list[str]]
    warnings: Mapping[str, Sequence[str]]
    policy: PrivacyPolicy
    statements: Sequence[BoardStatement]
    kept: KeptResults
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
        self.cuts = self.fixed or self.stored[whole.id].cuts()
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
        self.around = RunContext(
            public=self.policy.public,
            opened=self.opened,
            hidden=self.policy.public and bool(self.terms.lacks("texts")),
            val_opened=self.policy.opens("val"),
            whole=whole.n_findings,
            cuts=self.cuts,
            fixed=self.fixed is not None,
        )
        self.numbered: set[str] = set()
        shown_runs = [run for run in self.runs if run.id in self.confirmed]
        for run in sorted(shown_runs, key=lambda run: (-run.n_findings, run.created, run.id)):
            self._contribute(self.stored[run.id])
        for profile in PROFILES:
            self._compare(profile)
        self._test()

    def _run(self, run: RunRow, whole: RunRow) -> dict[str, Any]:
        row = {name: getattr(run, name) for name in self.published.columns("runs") if hasattr(run, name)}
        shown = self.opened or run.n_findings == whole.n_findings >= ENOUGH  # else see `RunContext.whole`
        shown = shown and run.id in self.confirmed
        return row | {
            "n_findings": run.n_findings if shown else None,
            "data_set": self.id,
            "title": run.title or run.plugin,
            "known_answer": any(reason.startswith("known answer") for reason in run.unrankable),
            "apart": told(self.apart[run.id], public=self.policy.public),
            "warnings": list(self.warnings.get(run.id, ())),
            **provenance(run, self.policy),
        }

    def _contribute(self, stored: StoredRun) -> None:
        """Take what a run contributes; its sums are copied where it stands, and the first that has a finding names it.

        Its file is read where a page asks for it.
        """
        run = stored.run.id
        about = {
            "schema": str(SCHEMA_VERSION),
            "run": run,
            "data_set": self.id,
            "visibility": "public" if self.policy.public else "private",
            "open": str(int(self.opened)),
        }
        self.published.contributed[run] = stored.contribution(self.around, about)
        if stands(self.apart[run]):
            for table, rows in self.published.sums(run).items():
                self.published.insert(table, ([run, *row] for row in rows))
        if self.opened and stored.known.which not in self.numbered:
            self._number(stored)
        stored.forget()

    def _number(self, stored: StoredRun) -> None:
        """Give a number to the findings that no run before had."""
        numbers = self.published.numbers(self.id)
        fresh = [row for row in stored.described(self.around) if (row[0], row[1]) not in numbers]
        last = self.published.db.execute("select coalesce(max(number), 0) from findings").fetchone()[0]
        self.published.insert("findings", ([n, self.id, *row] for n, row in enumerate(fresh, last + 1)))
        self.numbered.add(stored.known.which)

    def _compare(self, profile: str) -> None:
        """Compare and rank the runs of each ranking; where fewer than two have a rank, compare the complete ones."""
        ranked = [run for run in self.runs if not self.apart[run.id]]
        place = {"data_set": self.id, "profile": profile}
        for names in self._rankings(ranked, profile):
            pairs, ranks = self._compared(names, profile)
            self.published.add("ranks", [{**place, **row} for row in ranks])
            self.published.add("comparisons", [{**place, **row} for row in pairs])
        if len(ranked) < 2:
            complete = _complete([run for run in self.runs if run.id in self.confirmed])
            for names in self._rankings(complete, profile):
                self.published.add("comparisons", [{**place, **row} for row in self._compared(names, profile)[0]])

    def _rankings(self, runs: Sequence[RunRow], profile: str) -> Iterator[list[str]]:
        """Yield the runs of each ranking among some runs, best first; none that may not be shown."""
        means = {run.id: mean for run in runs if (mean := self.stored[run.id].mean(profile)) is not None}
        groups: dict[Standing, list[RunRow]] = {}
        for run in sorted((run for run in runs if run.id in means), key=lambda run: (-means[run.id], run.id)):
            groups.setdefault(standing_of(run.level, run.prompt), []).append(run)
        for members in groups.values():
            if self.opened or members[0].n_cases >= ENOUGH:
                yield [run.id for run in members[:MOST_COMPARED]]

    def _compared(self, names: Sequence[str], profile: str) -> tuple[Rows, Rows]:
        """Compare the runs that were measured on the same findings as the best one, as one family."""
        dice = {name: self.stored[name].dice(profile) for name in names}
        which = dice[names[0]][0]
        values = {name: found for name, (of, found) in dice.items() if of == which}
        clusters = self.stored[names[0]].clusters()
        inputs = clusters, list(values), list(values.values())
        pairs, ranks = self.kept.value("comparisons", inputs, lambda: compare_runs(values, clusters))
        return pairs, ranks

    def _test(self) -> None:
        """Hold every statement against the best ranked runs that were measured on the same findings."""
        ranked = [run for run in self.runs if not self.apart[run.id] and run.level.headline]
        means = {run.id: mean for run in ranked if (mean := self.stored[run.id].mean(PAPER)) is not None}
        scored = [run for run in ranked if run.id in means]
        best = sorted(scored, key=lambda run: (-means[run.id], run.id))[:COMPARED]
        if not best or not (self.opened or best[0].n_cases >= ENOUGH):
            return
        facts = {run.id: facts_of(run) for run in best}
        chosen = [run for run in best if run.id in runs_of(self.statements, facts)]
        if not chosen:
            return
        inputs = (
            [self.stored[run.id].digest for run in chosen],
            [one.model_dump_json() for one in self.statements],
            [repr(facts[run.id]) for run in chosen],
            repr(self.around),
        )
        tests = self.kept.value("statements", inputs, lambda: self._tested(chosen, facts))
        self.published.add("statement_tests", [{"data_set": self.id, **test} for test in tests])

    def _tested(self, chosen: Sequence[RunRow], facts: Mapping[str, Facts]) -> Rows:
        rows = {run.id: _sorted(self.store.findings(run.id)) for run in chosen}
        same = _comparable(rows)
        shown = None if self.opened else {run.id: self._shown(run) for run in chosen}
        return hold_against(
            self.statements,
            {name: rows[name] for name in same},
            {name: facts[name] for name in same},
            cuts=self.cuts,
            shown=shown,
        )

    def _shown(self, run: RunRow) -> frozenset[str]:
        """Return the groups of the Dice of a run that a closed split shows."""
        return frozenset(self.published.metrics(run.id, PAPER).get("dice", ()))


def compare_runs(values: Mapping[str, Sequence[float]], clusters: Sequence[str]) -> tuple[Rows, Rows]:
    """Compare the runs of one ranking on the same findings; returns the rows of ``comparisons`` and ``ranks``.

    Parameters
    ----------
    values
        Run -> its Dice on every finding; best run first.
    clusters
        The case of every finding.
    """
    from harness.scoring.comparison import rank_rows

    names = list(values)
    found = rank_rows(values, clusters)
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
