"""The pool of a cluster, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.cluster.config import Cluster, DaskCluster
from harness.cluster.host import HostCheck, asking
from harness.errors import UsageError
from harness.runs.pools import Elsewhere
from harness.runs.spec import ShardSpec


def open_pool(cluster: Cluster, *, gpus: int, log: Callable[[str], None], detach: bool = False) -> Elsewhere:
    """Return the pool of a cluster.

    Parameters
    ----------
    cluster
        The cluster.
    gpus
        GPUs to use at once; 0: none, on as many hosts as there are.
    log
        Shows one line.
    detach
        Whether the command leaves when everything is handed in.

    Raises
    ------
    UsageError
        When it would leave a scheduler that then forgets what has not begun.
    BenchError
        When the cluster does not answer.
    """
    if isinstance(cluster, DaskCluster):
        if detach:
            raise UsageError(
                f"--detach does not go with cluster {cluster.name!r}: a Dask scheduler forgets what was left",
                fix="leave --detach out, and let the command run, as under `nohup` or in `tmux`",
            )
        from harness.cluster.dask import DaskPool

        pool = DaskPool(cluster, gpus=gpus, log=log)
        try:
            pool.require_workers(min(gpus, 1))
        except BaseException:
            pool.close()
            raise
        return pool
    from harness.cluster.slurm import SlurmPool

    return SlurmPool(cluster, gpus=gpus, log=log, detach=detach)


def check_cluster(
    cluster: Cluster, *, gpus: int, shard: Callable[[Elsewhere], ShardSpec] | None, log: Callable[[str], None]
) -> Iterator[HostCheck]:
    """Yield what is to be known of a cluster before it is used, each line as soon as it is known.

    Parameters
    ----------
    cluster
        The cluster.
    gpus
        GPUs that a container gets; 0: whatever a host has.
    shard
        Returns the shard that its hosts try out; None: a container of the base image.
    log
        Shows one line.
    """
    if isinstance(cluster, DaskCluster):
        from harness.cluster import dask

        yield from dask.check(cluster, gpus=gpus, shard=shard, log=log)
        return
    from harness.cluster import probe

    tried = None if shard is None else shard(open_pool(cluster, gpus=gpus, log=log))
    each = gpus if tried is None else tried.gpus
    with asking(cluster, gpus=each, shard=tried) as question:
        yield from probe.check(cluster, question, log)
