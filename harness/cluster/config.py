"""``clusters.toml``: the clusters that a run can be sent to, by name.

The file lies in the home, or where ``BENCH_CLUSTERS`` says. Each table is one cluster::

    [lab]
    kind = "dask"
    address = "tls://gpu1:8786"
    shared = "/proj/bench"

A key that does not exist is refused with the nearest known one: a misspelt limit that is ignored may cost a night.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import DataError, PrerequisiteError, UnknownName, UsageError
from harness.foreign import parse_toml

#: Name of the file in the home.
FILE = "clusters.toml"

#: Environment variable with the path of another file.
VARIABLE = "BENCH_CLUSTERS"

#: A cluster's name is part of paths and of job names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_EXAMPLE = '[lab]\nkind = "dask"\naddress = "tls://gpu1:8786"\nshared = "/proj/bench"'


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path: workers have another working directory")
    return path


class _Cluster(BaseModel):
    """What clusters of every kind have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  #: as the file names it
    #: The engine on every worker; never chosen by what happens to be installed there.
    engine: Literal["docker", "podman", "apptainer"] = "docker"
    #: The folder that driver and workers see under one path, with ``runs/`` and ``images/``.
    shared: Annotated[Path, AfterValidator(_absolute)]
    #: Where containers' folders lie; variables are expanded on the worker.
    scratch: Annotated[str, Field(min_length=1)] = "$TMPDIR"
    #: After how long a shard begins no further case: what is left is dealt anew, and loading a model is spread over it.
    shard_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60, strict=True)] = 20.0


class DaskCluster(_Cluster):
    """A running Dask scheduler with one ``bench worker`` for each GPU."""

    kind: Literal["dask"]
    address: str = ""  #: ``tls://host:port``
    #: The file that ``dask scheduler --scheduler-file`` writes, in place of the address.
    scheduler_file: Annotated[Path, AfterValidator(_absolute)] | None = None
    insecure: Annotated[bool, Field(strict=True)] = False  #: whether plain TCP is accepted beyond this machine

    @model_validator(mode="after")
    def _one_way_to_find_it(self) -> DaskCluster:
        if bool(self.address) == (self.scheduler_file is not None):
            raise ValueError("needs one of address and scheduler_file")
        if self.address:
            check_address(self.address, insecure=self.insecure)
        return self


class SlurmCluster(_Cluster):
    """A Slurm cluster that the driver can hand jobs to with ``sbatch``."""

    kind: Literal["slurm"]
    #: Options of ``sbatch``: partition, GPU, memory, time, account.
    sbatch: tuple[str, ...] = ()
    #: Shell commands that a job begins with, such as loading modules; ``bench`` must be on the PATH after them.
    setup: str = ""
    max_jobs: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 16  #: jobs of one run at once


Cluster = DaskCluster | SlurmCluster

_KINDS: Mapping[str, type[DaskCluster | SlurmCluster]] = {"dask": DaskCluster, "slurm": SlurmCluster}


def find_cluster(name: str, home: Path) -> Cluster:
    """Return the cluster of a name.

    Parameters
    ----------
    name
        As given to ``--cluster``.
    home
        The home folder; ``BENCH_CLUSTERS`` names another file than the one in it.

    Raises
    ------
    UnknownName
        When no cluster has the name.
    PrerequisiteError
        When there is no file.
    DataError
        When the file is wrong: the first problem of each cluster.
    """
    path = clusters_file(home)
    clusters = read_clusters(path)
    if name not in clusters:
        raise UnknownName(f"cluster in {path}", name, clusters, fix="" if clusters else f"describe one in {path}")
    return clusters[name]


def clusters_file(home: Path) -> Path:
    """Return the path of ``clusters.toml``."""
    return Path(os.environ.get(VARIABLE) or home / FILE).expanduser()


def read_clusters(path: Path) -> dict[str, Cluster]:
    """Read every cluster of a file; see :func:`find_cluster` for the errors."""
    try:
        tables = parse_toml(path.read_bytes())
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"there is no {path}, which describes the clusters", fix=f"write it; docs/cluster.md shows how:\n{_EXAMPLE}"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}", fix="correct it", path=path) from error
    return {name: _cluster(name, table, path) for name, table in tables.items()}


def _cluster(name: str, table: Any, path: Path) -> Cluster:
    where = f"cluster {name!r} in {path}"
    if not _NAME.fullmatch(name):
        raise DataError(f"{where}: a name has letters, digits, '.', '_' and '-'", fix="rename it", path=path)
    if not isinstance(table, dict):
        raise DataError(
            f"{where} is not a table", fix=f"write [{name}] on a line, and what belongs to it below", path=path
        )
    kind = table.get("kind")
    if kind is None:
        raise DataError(f"{where} has no kind", fix='kind = "dask" or kind = "slurm"', path=path)
    if kind not in _KINDS:
        raise UnknownName(f"kind of {where}", str(kind), _KINDS)
    if table.get("engine") in {"local", "auto"}:
        raise UsageError(
            f"{where}: engine = {table['engine']!r} is not possible; a cluster's workers run models in containers only",
            fix='engine = "docker", "podman" or "apptainer"',
        )
    model = _KINDS[kind]
    fields = model.model_fields.keys() - {"name"}
    for key in table:
        if key not in fields:
            raise UnknownName(f"key of {where} (kind {kind})", key, fields)
    try:
        return model(name=name, **table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{where}: {f'{key}: ' if key else ''}{said}", fix="see docs/cluster.md", path=path) from error


def check_address(address: str, *, insecure: bool) -> None:
    """Raise ValueError unless a scheduler's address is complete and encrypted, or does not leave this machine.

    Parameters
    ----------
    address
        ``tls://host:port`` or ``tcp://host:port``.
    insecure
        Whether plain TCP is accepted beyond this machine.
    """
    parts = urlsplit(address)
    try:
        complete = parts.scheme in {"tls", "tcp"} and bool(parts.hostname) and bool(parts.port)
    except ValueError:  # a port that is not a number
        complete = False
    if not complete:
        raise ValueError(f"{address!r} is not a scheduler's address such as tls://gpu1:8786")
    if parts.scheme == "tcp" and not insecure and not _is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{address} is not encrypted, and whoever reaches the scheduler runs code on the workers: use tls://, or "
            "accept that with insecure = true"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def scratch_folder(scratch: str) -> Path:
    """Return the scratch folder of this host: variables expanded, ``$TMPDIR`` the system's where it is not set.

    Parameters
    ----------
    scratch
        As in ``clusters.toml``, such as ``$TMPDIR`` or ``/scratch/$SLURM_JOB_ID``.

    Raises
    ------
    PrerequisiteError
        When a variable is not set here, the path is not absolute, or the folder cannot be written.
    """
    variables = {"TMPDIR": tempfile.gettempdir(), **os.environ}
    unset = [name for pair in _VARIABLE.findall(scratch) for name in pair if name and not variables.get(name)]
    if unset:
        raise PrerequisiteError(
            f"scratch = {scratch!r}: {unset[0]} is not set on {os.uname().nodename}",
            fix="set it there, or write a path that exists on every worker",
        )
    path = Path(_VARIABLE.sub(lambda found: variables[found[1] or found[2]], scratch)).expanduser()
    if not path.is_absolute() or not os.access(path, os.W_OK | os.X_OK):
        raise PrerequisiteError(
            f"scratch = {scratch!r}: {path} is not a folder that can be written on {os.uname().nodename}",
            fix="make it there, or name another one",
            lacking="disk",
        )
    return path


_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
