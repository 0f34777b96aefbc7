"""The command line: one module a command group, loaded only when called."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from pathlib import Path

import click

from harness.cli import signals, streams
from harness.cli.lazy import LazyGroup
from harness.cli.settings import DEFAULT_HOME, Settings
from harness.errors import BenchError, Interrupted, PrerequisiteError

_COMMANDS = {
    "demo": ("leaderboard.commands.demo:demo", "Make a phantom, run a baseline and build the board."),
    "list": ("harness.cli.list:list_plugins", "List the models that can be run."),
    "run": ("harness.cli.run:run", "Run a model over a split, score it, and keep the result."),
    "score": ("harness.cli.score:score", "Score masks made elsewhere: a folder or the challenge's zip."),
    "check-masks": ("harness.cli.check_masks:check_masks", "Judge masks as they would be scored, without any truth."),
    "submit": ("harness.cli.submit:submit", "Write a finished row as a folder of text that can travel."),
    "submission": ("harness.cli.submission:submission", "Verify rows that travel as folders of text."),
    "results": ("harness.cli.results:results", "List, show, compare, verify, import, archive and remove results."),
    "reproduce": ("leaderboard.commands.reproduce:reproduce", "Run the rows of the paper's table, and compare."),
    "leaderboard": ("leaderboard.commands.leaderboard:leaderboard", "Turn the results into a static site."),
    "ground": ("leaderboard.grounded.command:ground", "Show where each sentence of a report is in its CT, by a model."),
    "curate": ("curation.cli:curate", "From radiology reports to an annotated data set."),
    "plugin": ("harness.cli.plugin:plugin", "Begin a plugin of your own, check it, or show a declaration."),
    "get": ("harness.cli.get:get", "Get the upstream code and the weights that models need."),
    "build": ("harness.cli.build:build", "Build the images of models ahead of a run."),
    "images": ("harness.cli.images:images", "Export images to files, and import them elsewhere."),
    "sources": ("harness.cli.sources:sources", "Fetch and verify the upstream code that plugins declare."),
    "weights": ("harness.cli.weights:weights", "Fetch and verify the weights that plugins declare."),
    "doctor": ("harness.cli.doctor:doctor", "Check that this machine has everything that a run needs."),
    "clean": ("harness.cli.clean:clean", "Remove leftovers of runs that died and, on request, images."),
    "worker": ("harness.cli.worker:worker", "Run shards for a Dask scheduler, on this host."),
    "cluster": ("harness.cli.cluster:cluster", "Check the clusters that runs can be sent to."),
    "shard": ("harness.cli.shard:shard", "Run one shard of a run; jobs of a Slurm cluster call it."),
    "data": ("harness.cli.data:data", "Validate, describe, make and fetch data sets."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BENCH", "max_content_width": 100},
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    envvar="BENCH_HOME",
    show_envvar=True,
    help="Folder for everything that bench writes: data sets, runs, results.db.",
)
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="BENCH_DB",
    show_envvar=True,
    help="The results database, if the home is on a network file system: a file on a local disk. "
    "By default results.db in the home.",
)
@click.version_option(package_name="groundbench", prog_name="bench")
@click.pass_context
def cli(ctx: click.Context, home: Path, db: Path | None) -> None:
    """Measure how well models find, in a 3D chest CT, what a radiology report says in free text.

    Every option can also be given as an environment variable: BENCH_HOME, BENCH_RUN_PLUGIN, BENCH_RUN_GPUS, ...
    For research only: this is not a medical device.
    """
    # No shell expands `--home=~/x`, nor a file of variables.
    ctx.obj = Settings(home.expanduser(), db and db.expanduser())
    ctx.call_on_close(ctx.obj.keep_from_git)
    # Whatever a command writes, and whichever part of it writes first: the home was made here, for its owner alone.
    ctx.call_on_close(ctx.obj.make_for_us_alone())  # is called before the other


#: Objects between two searches for garbage. A start makes some 110,000, nearly all of which stay; to look through them
#: again and again is a tenth of its time.
_KEPT = 200_000


def main() -> None:
    """Run the command line; print an expected failure as two lines and exit with its code."""
    gc.set_threshold(_KEPT)
    streams.make_patient()
    atexit.register(signals.ignore)  # registered first, and so called last
    signals.install()
    # No plugin of pydantic is ours, and to look for them is to read the metadata of every package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code = _run()
    signals.exit_at_once(code)
    if (failure := streams.lost_output()) is not None and code == 0:
        code = _draw(_of_machine(failure, "standard output"))
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False, color=None if streams.colours(sys.stdout) else False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _draw(Interrupted("interrupted"))
    except BenchError as error:
        code = _draw(error)
    except OSError as error:
        if (known := expected(error)) is None:
            raise
        code = _draw(known)
    return code if isinstance(code, int) else 0


_NO_LOCKS = (
    "the file system has no locks (flock), as Lustre and NFS may be mounted",
    "choose a --home on a local disk, or have it mounted with locks",
)
_MACHINE = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again; finished work is kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the same command again"),
    errno.EACCES: ("no permission", "give this user access, or choose another path"),
    errno.EPERM: ("no permission", "give this user access, or choose another path"),
    errno.EROFS: ("the file system is read-only", "choose another path, e.g. with --home"),
    errno.ENOLCK: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.EMFILE: ("too many open files", "raise the limit (`ulimit -n`)"),
    errno.ENAMETOOLONG: ("a path is too long", "choose a shorter one"),
    errno.ENOTDIR: ("a part of the path is not a folder", "choose another path"),
}


def expected(error: OSError) -> BenchError | None:
    """Return the error for a refusal of the operating system that a user can mend; None for any other."""
    return _of_machine(error) if error.errno in _MACHINE else None


def _of_machine(error: OSError, where: str = "") -> BenchError:
    """Return the error for what the operating system refused, at `where` unless the error names a file."""
    what, fix = _MACHINE.get(error.errno or 0, (error.strerror or str(error), "see the message"))
    where = str(error.filename or where)
    return PrerequisiteError(f"{what}: {where}" if where else what, fix=fix)


def _one_voice(text: str) -> str:
    """Return a message whose later lines are indented: none that came with a name passes for a message of ours."""
    return "\n".join(text.rstrip("\n").splitlines()).replace("\n", "\n  ")


def _draw(error: BenchError) -> int:
    streams.say("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(_one_voice(error.message), err=True)
    if error.fix:
        streams.say("  fix: ", fg="green", nl=False, err=True)
        click.echo(_one_voice(error.fix), err=True)
    return error.exit_code
