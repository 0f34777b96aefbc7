"""A request knows its parameters and where each value comes from; the origins are not part of a run's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness import Model, Params, Variant, ours, paper
from harness.dataset import Dataset, RunnableCase
from harness.dataset.cases import in_order
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.registry.origins import Param
from harness.rows import RunRow
from harness.runs.plan import Plan, RunRequest
from harness.runs.provenance import as_carried_out, continued, open_row
from harness.runs.run_weights import RANDOM, Loaded
from harness.scoring import SCORER_VERSION
from harness.store.database import Store

PARAMS = Params(size=paper(512, "section 4"), batch=ours(4), name="x")


def _request(params: Mapping[str, Param], *, weights: str = "pinned", **changes: Param) -> RunRequest:
    variant = Variant("v", dict(params), reduced={"size": 8}, origins=dict(getattr(params, "origins", {})))
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,))
    dataset = Dataset(Path("/"), Path("/dataset.json"), "d", {"test": ()})
    return RunRequest(
        Plugin(model, "here"), variant, dataset, "test", "mlhc2025", weights=weights, changes=dict(changes)
    )


def test_a_value_that_was_changed_or_reduced_has_another_origin() -> None:
    """What the declaration says of a value is not said of one that took its place."""
    assert _request(PARAMS).origins == {"size": "paper, section 4", "batch": "ours"}
    changed = _request(PARAMS, weights=RANDOM, batch=2)
    assert changed.params == {"size": 8, "batch": 2, "name": "x"}
    assert changed.origins == {"size": "reduced for random weights", "batch": "changed for this run"}


def test_origins_do_not_change_the_key() -> None:
    """The same values are the same run, whatever is said of where they come from."""
    plan = Plan(_request(PARAMS), (), Image("i"), "f", "local", isolates=False, weights=Loaded("pinned", ()))
    without = replace(plan, request=_request(dict(PARAMS)))
    assert without.request.origins == {}
    assert without.key == plan.key


def _of(names: list[str], limit: int | None) -> Plan:
    """Return a plan on a data set whose index has these names, in this order."""
    found = tuple(RunnableCase(name, "test", (), Path("/ct"), Path("/seg")) for name in names)
    data = Dataset(Path("/"), Path("/dataset.json"), "d", {"test": found})
    request = replace(_request(PARAMS), dataset=data, limit=limit)
    taken = found if limit is None or limit >= len(found) else tuple(in_order(found)[:limit])
    return Plan(request, taken, Image("i"), "f", "local", isolates=True)


def test_the_chosen_cases_are_part_of_a_partial_plan() -> None:
    """Which cases, not only how many; and the same cases are the same run however many were asked for in vain."""
    assert _of(["b_10", "b_9", "a_1"], 2).identity["cases"] == ["a_1", "b_9"]
    assert _of(["b_10", "b_9", "a_1"], 2).key == _of(["a_1", "b_10", "b_9"], 2).key
    assert _of(["b_10", "b_9", "a_1"], 2).key != _of(["c_1", "b_9", "a_0"], 2).key
    assert _of(["a_1", "a_2"], 2).key == _of(["a_2", "a_1"], None).key == _of(["a_1", "a_2"], 7).key
    assert _of(["a_1", "a_2"], 7).unrankable == []
    assert _of(["a_1", "a_2"], 1).unrankable == ["partial: only the first 1 of the split's cases"]


def test_the_key_of_a_whole_run_stays() -> None:
    """Rows that were measured before the cases stood in partial plans are found again."""
    assert _of(["a_1"], None).identity == {
        "contract": 1, "plugin": "m", "plugin_version": "1", "variant": "v", "params": dict(PARAMS),
        "weights": {"mode": "none", "files": {}}, "image": "i", "fingerprint": "f", "split": "test", "limit": None,
        "seed": 0, "scorer": SCORER_VERSION,
    }  # fmt: skip


def _on(engine: str, *lacks: str) -> Plan:
    return replace(_of(["a"], None), engine=engine, lacks=lacks)


def _row(plan: Plan, tmp_path: Path) -> RunRow:
    with Store(tmp_path / "results.db") as store:
        return open_row(plan, store)


def test_what_an_engine_lacks_keeps_a_row_from_the_ranking(tmp_path: Path) -> None:
    """The row names the engine and what it could not do; it is the same run all the same."""
    plan = _on("apptainer", "does not limit memory")
    row = _row(plan, tmp_path)
    assert row.unrankable == ["less than sealed: the apptainer engine does not limit memory"]
    assert not row.rankable
    assert plan.key == _on("docker").key


def test_a_row_that_goes_on_elsewhere_says_so(tmp_path: Path) -> None:
    """On another engine, or on a host that limits less; begun anew it is what it is there."""
    row = _row(_on("docker"), tmp_path)
    assert row.rankable
    assert continued(row, _on("docker"), begun=True) == row
    moved = continued(row, _on("podman"), begun=True)
    assert (moved.rankable, moved.unrankable) == (False, ["several engines: docker, podman"])
    weaker = continued(row, _on("docker", "does not limit processes"), begun=True)
    assert weaker.unrankable == ["less than sealed: the docker engine does not limit processes"]
    anew = continued(row, _on("podman"), begun=False)
    assert (anew.engine, anew.rankable, anew.unrankable) == ("podman", True, [])


def test_a_row_says_what_its_hosts_could_not_do(tmp_path: Path) -> None:
    """Shards on hosts that limit and on one that does not, or on two engines: told once, whoever planned the run."""
    row = _row(_on("apptainer"), tmp_path)
    good, weak = {"engine": "apptainer", "lacks": []}, {"engine": "apptainer", "lacks": ["does not limit memory"]}
    assert as_carried_out(row, [good, {"engine": "apptainer"}]) == row
    lacking = "less than sealed: the apptainer engine does not limit memory"
    assert as_carried_out(row, [good, weak, weak]).unrankable == [lacking]
    both = as_carried_out(as_carried_out(row, [weak]), [weak, {"engine": "docker"}])
    assert (both.rankable, both.unrankable) == (False, [lacking, "several engines: apptainer, docker"])
    assert as_carried_out(row, []) == row
    unfair = as_carried_out(row, [good], unfair=2)
    assert (unfair.rankable, len(unfair.unrankable)) == (False, 1)
    assert "(infra_error): 2; the same command tries again" in unfair.unrankable[0]
    assert as_carried_out(unfair, [good], unfair=1).unrankable == [unfair.unrankable[0].replace(" 2;", " 1;")]
    assert as_carried_out(unfair, [good]) == row
    assert as_carried_out(as_carried_out(row, [weak], unfair=2), [weak]).unrankable == [lacking]
