"""``bench results compare``: runs on the same findings."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--profile", help="Metrics to compare; by default those of the first run's profile.")
@click.option(
    "--by-finding", is_flag=True, help="Treat findings as independent; by default those of one case stay together."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of resampling.")
@json_option
@pass_settings
def compare(
    settings: Settings, /, runs: tuple[str, ...], *, profile: str | None, by_finding: bool, seed: int, as_json: bool
) -> None:
    """Compare runs on the same findings: differences, what can be told apart, and the ranks that this leaves.

    The difference is that of the first run minus the second. All pairs of a metric share one error rate of 5 %, by
    flipping the signs of whole cases: their 95 % intervals hold together, and an interval without 0 is a verdict. Fewer
    than six cases give neither interval nor rank.
    """
    from harness.cli.groups import require_same_data
    from harness.cli.tables import print_table
    from harness.scoring.comparison import compare_runs, rank_words, verdict
    from harness.scoring.profiles import profile_on
    from harness.scoring.simultaneous import too_few

    with settings.open_store(readonly=True) as store:
        rows = {row.id: row for row in map(store.run, runs)}
        first = next(iter(rows.values()))
        require_same_data(list(rows.values()))
        findings = {run_id: store.findings(run_id) for run_id in rows}
    used = profile_on(profile or first.profile, first.split)
    result = compare_runs(findings, used, by_case=not by_finding, seed=seed)
    if as_json:
        print_json({"schema": 2, "profile": used.name, "seed": seed, **result})
        return
    units = "findings" if by_finding else "cases"
    print_table(
        ["metric", "first", "second", "difference", "p", "verdict", "n"],
        [
            [
                pair["metric"],
                pair["first"],
                pair["second"],
                _difference(pair),
                f"{pair['p']:.4f}",
                verdict(pair["difference"], pair["p"], pair["n"]),
                pair["n"],
            ]
            for pair in result["pairs"]
        ],
        title=f"{first.dataset}, split {first.split} ({used.name}, n = {units}; one error rate a metric)",
        right=(3, 4, 6),
    )
    print_table(
        ["metric", "rank", "run", "value", "chance of rank 1"],
        [
            [
                rank["metric"],
                rank_words(rank["rank"], rank["of"]),
                rank["run"],
                f"{rank['value']:.3f}",
                "—" if rank["rank_probability"] is None else f"{rank['rank_probability'][0]:.2f}",
            ]
            for rank in sorted(result["ranks"], key=lambda rank: (rank["metric"], rank["rank"] or [], -rank["value"]))
        ],
        title="ranks: the best and the worst that the comparisons leave open",
        right=(1, 3, 4),
    )
    if reason := too_few(result["pairs"][0]["n"]):
        click.echo(f"no rank: {reason}")


def _difference(pair: dict[str, Any]) -> str:
    """Show a difference with its interval, where there is one."""
    shown = f"{pair['difference']:+.3f}"
    return shown if pair["ci95"] is None else f"{shown} [{pair['ci95'][0]:+.3f}\N{EN DASH}{pair['ci95'][1]:+.3f}]"
