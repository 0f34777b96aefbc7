"""``bench run``: a model over a split, scored and kept."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.several import NotEnded, gather, known_error, several_document, worst_of
from harness.cli.streams import say
from harness.engines import ENGINES
from harness.errors import Interrupted, ModelError, PrerequisiteError, UsageError
from harness.status import Status

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.registry.declaration import Variant
    from harness.registry.origins import Param
    from harness.rows import RunRow
    from harness.runs.plan import RunRequest
    from harness.runs.run import Result
    from harness.sandbox.stop import Stop
    from harness.store.database import Store

#: The data set that is made where the paper's is not there.
PHANTOM = "phantom"
PHANTOM_CASES = 20
PHANTOM_SEED = 0


@click.command()
@click.option(
    "--plugin",
    "plugins",
    required=True,
    metavar="NAME[,NAME]|@FILE",
    help="Models to run, see `bench list`; NAME:VARIANT chooses a variant, @FILE is a file with one a line.",
)
@click.option("--variant", metavar="V", help="Variant to run where none is named; by default the model's first.")
@click.option(
    "--dataset",
    metavar="PATH|NAME",
    help="A data set's folder or index, or a name below the home's datasets/. By default the "
    "paper's set where it is there (rexgroundingct:mlhc2025), else a small phantom, which is made.",
)
@click.option("--split", default="test", show_default=True, help="Which split.")
@click.option(
    "--profile",
    type=click.Choice(["mlhc2025", "miccai2026"]),
    default="mlhc2025",
    show_default=True,
    help="Metrics to show; those of every profile are stored.",
)
@click.option("--gpus", type=click.IntRange(0, 1024), default=0, show_default=True, help="Number of GPUs to use.")
@click.option(
    "--gpu-ids",
    default="",
    metavar="ID[,ID]",
    help="GPUs to use, by number, UUID or its beginning, as `nvidia-smi -L` lists them.",
)
@click.option(
    "--per-gpu",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Containers that share each GPU, where its memory holds the declared gpu_gb of all; recorded with the times.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", *ENGINES]),
    default="auto",
    show_default=True,
    help="local does not isolate the model, the others do; auto is Docker, or Podman where that answers in its place, "
    "and local only where neither is installed and the model comes with groundbench.",
)
@click.option(
    "--runtime",
    default="",
    metavar="NAME",
    help="Runtime of the daemon for the containers, such as runsc (gVisor) or kata; recorded. Not with --cluster.",
)
@click.option(
    "--cluster",
    metavar="NAME",
    help="Run on the hosts of this cluster, as clusters.toml in the home describes it; --gpus then counts theirs.",
)
@click.option(
    "--detach",
    is_flag=True,
    help="Hand the jobs in to a Slurm cluster and leave; the same command later, without it, collects and scores.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first N cases by name; a part is never ranked.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the run.")
@click.option(
    "--weights",
    default="pinned",
    show_default=True,
    metavar="pinned|random|PATH",
    help="random: the real architecture, untrained, reduced as the variant declares. PATH: a folder with files "
    "of the declared names. Runs with either are never ranked.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value of one of the variant's parameters; such a run is never ranked. May be repeated.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Begin this run anew, whether an earlier attempt is finished or not; a checkpoint is kept.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any finding is not ok.")
@plugin_dir_option
@json_option
@pass_settings
def run(settings: Settings, /, plugins: str, *, as_json: bool, strict: bool, **options: Any) -> None:
    """Run models over a split in sealed containers, score their masks, and keep the result.

    A fine-tuned variant is trained first, on the data set's train split, unless its checkpoint exists.

    Of several models, what is lacking is told first; then the cases of all are one queue for the GPUs. One that fails
    does not stop the others, and the worst exit code counts.

    The same command again resumes an interrupted run and shows a finished one. Ctrl-C ends after the current case;
    a second Ctrl-C ends at once, and so does SIGTERM, a terminal that closes, or a scheduler's SIGUSR1.
    """
    from harness.cli.report import print_documents
    from harness.runs.document import run_document

    names = _names(plugins)
    with settings.open_store() as store:
        rows, failures = run_each(settings, store, names, **options)
        documents = [run_document(store, row, options["profile"]) for row in rows if row.state == "done"]
    handed_in = [_handed_in(row) for row in rows if row.state != "done"]
    if as_json:
        told = [*documents, *handed_in]
        print_json(told[0] if len(names) == 1 else several_document(told, failures, "plugin"))
    else:
        print_documents(documents)
        for one in handed_in:
            click.echo(f"{one['run']} was handed in; the same command without --detach collects and scores it")
    failures += _judge(documents, strict=strict)
    if failures:
        raise worst_of(failures, len(names))


def _names(plugins: str) -> list[str]:
    """Return the models that an option or the file that it names lists; ``#`` begins a comment in the file.

    Raises
    ------
    UsageError
        When the file cannot be read.
    """
    text = plugins
    if plugins.startswith("@"):
        try:
            lines = Path(plugins[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"the file of models {plugins[1:]} cannot be read: {error}", fix="name a text file"
            ) from error
        text = ",".join(line.partition("#")[0] for line in lines)
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _handed_in(row: RunRow) -> dict[str, Any]:
    """Return the document of a run that was handed in and left."""
    return {"schema": 1, "run": row.id, "plugin": row.plugin, "variant": row.variant, "state": "handed in"}


def run_plugins(settings: Settings, store: Store, names: list[str], **options: Any) -> list[RunRow]:
    """Run one model after another as :func:`run_each` does; what failed is raised when all have ended."""
    rows, failures = run_each(settings, store, names, **options)
    if failures:
        raise worst_of(failures, len(names))
    return rows


def run_each(
    settings: Settings,
    store: Store,
    names: list[str],
    *,
    plugin_dirs: tuple[Path, ...] = (),
    variant: str | None = None,
    dataset: str | None = None,
    split: str = "test",
    profile: str = "mlhc2025",
    gpus: int = 0,
    gpu_ids: str = "",
    per_gpu: int = 1,
    engine: str = "auto",
    runtime: str = "",
    cluster: str | None = None,
    detach: bool = False,
    limit: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    weights: str = "pinned",
    params: tuple[str, ...] = (),
) -> tuple[list[RunRow], list[NotEnded]]:
    """Run models over one split, the shards of all in one queue; the options are those of ``bench run``.

    What the models lack is told before the first begins, and one that fails does not stop the others. A name may be
    ``NAME:VARIANT``.

    Returns
    -------
    rows, failures
        The finished runs, and the models that did not come to their end.

    Raises
    ------
    BenchError
        When a name or an option is wrong, the data are, or none of the models can be run; also what the only model
        fails with.
    """
    from harness.cli import expected
    from harness.cli.watch import make_watcher
    from harness.registry.discovery import Plugin
    from harness.rows import RunRow
    from harness.runs.params import parse_changes
    from harness.runs.plan import RunRequest
    from harness.runs.preflight import require_files
    from harness.runs.run_weights import load_weights

    engine = f"{engine}:{runtime}" if runtime else engine
    if not names:
        raise UsageError("--plugin is empty", fix="see `bench list`")
    registry = find_plugins(plugin_dirs)

    known: dict[str, tuple[Plugin, Variant, dict[str, Param]]] = {}

    def choose(name: str) -> str:
        plugin_name, _, own = name.partition(":")
        plugin = registry.get(plugin_name)
        chosen = plugin.variant(own or variant)
        known[name] = plugin, chosen, parse_changes(plugin, chosen, params)
        return name

    def require(name: str) -> str:
        plugin, chosen, _ = known[name]
        if cluster is not None:  # its hosts have their engines, and images are found when a run is planned
            load_weights(plugin, chosen, weights, settings.home)
            return name
        require_files(plugin, chosen, weights=weights, engine=engine, home=settings.home, gpus=bool(gpus or ids))
        return name

    ids = tuple(part.strip() for part in gpu_ids.split(",") if part.strip())
    if ids and gpus not in (0, len(ids)):
        raise UsageError(f"--gpus {gpus} and --gpu-ids with {len(ids)} ids do not agree", fix="give one of them")
    if per_gpu > 1 and (cluster is not None or not (gpus or ids)):
        raise UsageError("--per-gpu is for GPUs of this machine", fix="give --gpus N, and not --cluster")
    found, broken = gather(names, choose)
    # Before a data set is made for a run that is not possible.
    place = _place(settings, cluster, engine=engine, gpus=gpus, gpu_ids=ids, detach=detach)
    ready, lacking = gather(found, require)
    lacking = broken + lacking
    with make_watcher() as watcher:
        for failed in lacking:
            watcher.log(f"error: {failed.line}; the others are run")
        data = open_data(settings, dataset, watcher.log)
        requests = [
            RunRequest(
                plugin=plugin,
                variant=plugin_variant,
                dataset=data,
                split=split,
                profile=profile,
                engine=engine,
                gpus=gpus,
                gpu_ids=ids,
                per_gpu=per_gpu,
                limit=limit,
                seed=seed,
                fresh=fresh,
                weights=weights,
                changes=changes,
            )
            for plugin, plugin_variant, changes in map(known.__getitem__, ready)
        ]
        with interruptible(watcher.log) as stop:
            failures = list(lacking)

            def note(request: RunRequest, error: Exception) -> None:
                name = ready[next(number for number, one in enumerate(requests) if one is request)]
                failures.append(NotEnded(name, known_error(error, expected)))
                watcher.log(f"error: {failures[-1].line}")

            carry_out = place(watcher.log)
            results = carry_out(requests, home=settings.home, store=store, watcher=watcher, stop=stop, failed=note)
    failures += [NotEnded(name, one) for name, one in zip(ready, results, strict=True) if isinstance(one, Interrupted)]
    return [one for one in results if isinstance(one, RunRow)], failures


def _place(
    settings: Settings, name: str | None, *, engine: str, gpus: int, gpu_ids: tuple[str, ...], detach: bool
) -> Callable[[Callable[[str], None]], Callable[..., list[Result]]]:
    """Return what gives the function that runs requests on this host or on a cluster; refuse what is not possible."""
    if name is None:
        if detach:
            raise UsageError("--detach without --cluster: nobody would run what is left", fix="name a cluster")
        from harness.engines.gpus import require_gpus
        from harness.runs.run import execute_all

        require_gpus(gpus, gpu_ids)
        return lambda _: execute_all
    from harness.cluster.config import find_cluster
    from harness.cluster.pool import open_pool
    from harness.runs.remote import execute_all_on

    cluster = find_cluster(name, settings.home)
    if engine not in {"auto", cluster.engine}:
        raise UsageError(
            f"--engine {engine} does not go with --cluster {name}: its hosts run containers with {cluster.engine}",
            fix="leave --engine out, or change `engine` of the cluster",
        )
    if gpu_ids:
        raise UsageError("--gpu-ids names GPUs of this machine", fix="with --cluster give --gpus N")
    open_pool(cluster, gpus=gpus, log=lambda _: None, detach=detach).close()
    return lambda log: partial(execute_all_on, open_pool(cluster, gpus=gpus, log=log, detach=detach))


def open_data(settings: Settings, name: str | None, log: Any) -> Dataset:
    """Open the requested data set, by default the paper's where it is there, else the phantom; which one is logged.

    The phantom is made when it does not exist.
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.rexgroundingct import paper_set

    shelf = settings.home / "datasets"
    if name is None:
        paper = paper_set(settings.home)
        log(f"no --dataset given: {f'{paper}, the set of the paper' if paper else f'{PHANTOM}, small made-up CTs'}")
        name = paper or str(shelf / PHANTOM)
    if name == str(shelf / PHANTOM) and not Path(name).exists():
        from harness.phantom.dataset import make_dataset

        log(f"making the {PHANTOM}: {PHANTOM_CASES} small cases, seed {PHANTOM_SEED}")
        shelf.mkdir(parents=True, exist_ok=True)
        make_dataset(shelf / PHANTOM, cases=PHANTOM_CASES, size="small", seed=PHANTOM_SEED)
    return open_dataset(find_dataset(name, settings.home), cache=settings.home / "datasets" / ".digests")


@contextmanager
def interruptible(log: Any) -> Iterator[Stop]:
    """Turn the first Ctrl-C into "after this case", and the second, or another signal that ends, into "now"."""
    from harness.cli.signals import heeding
    from harness.sandbox.stop import Stop

    stop = Stop()

    def ask(number: int, _: object) -> None:
        if stop.preparing:
            raise KeyboardInterrupt
        if stop.soon.is_set() or number != signal.SIGINT:
            stop.now.set()
        else:
            log("stopping after the current case or training step; Ctrl-C again stops at once")
        stop.soon.set()

    with heeding(ask):
        yield stop


def _judge(documents: list[dict[str, Any]], *, strict: bool) -> list[NotEnded]:
    """Return the runs that delivered no valid mask, or, under --strict, not all of them; warn of the others' gaps."""
    failures = []
    for document in documents:
        coverage = document["coverage"]
        missed = {status: n for status, n in coverage.items() if status != "ok" and n}
        if not missed:
            continue
        text = ", ".join(f"{n} {status}" for status, n in missed.items())
        line = f"{document['run']}: {coverage['ok']} of {document['n_findings']} findings ok; scored 0: {text}"
        fix = f"`bench results show {document['run']}` gives the reason for each case"
        if strict or not coverage["ok"]:
            # What the machine or somebody else did is not the model's fault.
            kind = PrerequisiteError if set(missed) == {Status.INFRA_ERROR} else ModelError
            failures.append(NotEnded(document["plugin"], kind(line, fix=fix)))
        else:
            say(f"warning: {line}; {fix}", fg="yellow", err=True)
    return failures
