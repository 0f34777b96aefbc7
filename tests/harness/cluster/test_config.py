"""``clusters.toml``: what is meant is read, and what is not meant is refused with the nearest thing that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.config import (
    DaskCluster,
    SlurmCluster,
    clusters_file,
    find_cluster,
    read_clusters,
    scratch_folder,
)
from harness.errors import BenchError, DataError, PrerequisiteError, UnknownName, UsageError

DASK = 'kind = "dask"\naddress = "tls://gpu1:8786"\nshared = "/proj/bench"\n'
SLURM = 'kind = "slurm"\nshared = "/proj/bench"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "clusters.toml"
    path.write_text(text)
    return path


def test_both_kinds_are_read(tmp_path: Path) -> None:
    """Every key arrives, and those that are left out have their defaults."""
    text = (
        f"[lab]\n{DASK}[hpc]\n{SLURM}"
        'sbatch = ["--gres=gpu:1"]\nsetup = "module load apptainer"\nmax_jobs = 3\nengine = "apptainer"\n'
        'scratch = "/scratch/$USER"\nshard_minutes = 5\n'
    )
    clusters = read_clusters(written(tmp_path, text))
    assert clusters["lab"] == DaskCluster(
        name="lab", kind="dask", address="tls://gpu1:8786", shared=Path("/proj/bench")
    )
    hpc = clusters["hpc"]
    assert isinstance(hpc, SlurmCluster)
    assert (hpc.sbatch, hpc.setup, hpc.max_jobs) == (("--gres=gpu:1",), "module load apptainer", 3)
    assert (hpc.engine, hpc.scratch, hpc.shard_minutes) == ("apptainer", "/scratch/$USER", 5.0)


def test_the_file_lies_in_the_home_or_where_a_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``BENCH_CLUSTERS`` comes before the home."""
    monkeypatch.delenv("BENCH_CLUSTERS", raising=False)
    assert clusters_file(tmp_path) == tmp_path / "clusters.toml"
    other = written(tmp_path, f"[lab]\n{DASK}")
    monkeypatch.setenv("BENCH_CLUSTERS", str(other))
    assert find_cluster("lab", tmp_path / "elsewhere").name == "lab"


def test_a_file_that_does_not_exist_is_a_prerequisite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message shows what such a file looks like."""
    monkeypatch.delenv("BENCH_CLUSTERS", raising=False)
    with pytest.raises(PrerequisiteError, match=r"clusters\.toml") as raised:
        find_cluster("lab", tmp_path)
    assert 'kind = "dask"' in raised.value.fix


def test_an_unknown_cluster_is_answered_with_the_nearest(tmp_path: Path) -> None:
    """A slip in the name."""
    with pytest.raises(UnknownName) as raised:
        find_cluster("lap", written(tmp_path, f"[lab]\n{DASK}").parent)
    assert raised.value.near == ("lab",)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (f"[lab]\n{DASK}adress = 1\n", UnknownName, "'adress'"),
        (f"[lab]\n{DASK}sbatch = []\n", UnknownName, "sbatch"),
        (f"[lab]\n{DASK}name = 'x'\n", UnknownName, "'name'"),
        (f"[hpc]\n{SLURM}max_job = 3\n", UnknownName, "'max_job'"),
        ('[lab]\nkind = "dusk"\n', UnknownName, "'dusk'"),
        ('[lab]\nshared = "/proj"\n', DataError, "has no kind"),
        ('lab = "dask"\n', DataError, "not a table"),
        ('["a b"]\nkind = "dask"\n', DataError, "a name has"),
        ("[lab\n", DataError, "not valid TOML"),
        (f'[lab]\n{DASK}engine = "local"\n', UsageError, "containers only"),
        (f'[lab]\n{DASK}engine = "auto"\n', UsageError, "containers only"),
        (f'[lab]\n{DASK}engine = "dockr"\n', DataError, "engine"),
        (f"[hpc]\n{SLURM}max_jobs = 0\n", DataError, "max_jobs"),
        (f"[hpc]\n{SLURM}max_jobs = true\n", DataError, "max_jobs"),
        (f"[hpc]\n{SLURM}shard_minutes = 0\n", DataError, "shard_minutes"),
        (f"[hpc]\n{SLURM}shard_minutes = nan\n", DataError, "shard_minutes"),
        (f'[hpc]\n{SLURM}scratch = ""\n', DataError, "scratch"),
        ('[hpc]\nkind = "slurm"\n', DataError, "shared"),
        ('[hpc]\nkind = "slurm"\nshared = "bench"\n', DataError, "absolute"),
        ('[lab]\nkind = "dask"\nshared = "/proj"\n', DataError, "one of address and scheduler_file"),
        (f'[lab]\n{DASK}scheduler_file = "/proj/s.json"\n', DataError, "one of address and scheduler_file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, kind: type[BenchError], said: str) -> None:
    """Each wrong file is refused with the cluster, the key and the file."""
    path = written(tmp_path, text)
    with pytest.raises(kind, match=said) as raised:
        read_clusters(path)
    assert str(path) in raised.value.message
    assert raised.value.fix


@pytest.mark.parametrize(
    ("address", "insecure", "good"),
    [
        ("tls://gpu1:8786", False, True),
        ("tls://[fe80::1]:8786", False, True),
        ("tcp://127.0.0.1:8786", False, True),
        ("tcp://127.8.8.8:8786", False, True),
        ("tcp://[::1]:8786", False, True),
        ("tcp://localhost:8786", False, True),
        ("tcp://gpu1:8786", False, False),
        ("tcp://0.0.0.0:8786", False, False),
        ("tcp://127.0.0.1.example.org:8786", False, False),
        ("tcp://gpu1:8786", True, True),
        ("ws://gpu1:8786", True, False),
        ("gpu1:8786", False, False),
        ("tls://gpu1", False, False),
        ("tls://gpu1:port", False, False),
        ("tls://gpu1:99999", False, False),
        ("tls://:8786", False, False),
    ],
)
def test_plain_tcp_stays_on_this_machine(tmp_path: Path, address: str, insecure: bool, good: bool) -> None:
    """Beyond loopback an address is encrypted, unless the file accepts that it is not."""
    text = f'[lab]\nkind = "dask"\nshared = "/p"\naddress = "{address}"\ninsecure = {str(insecure).lower()}\n'
    path = written(tmp_path, text)
    if good:
        assert "lab" in read_clusters(path)
    else:
        with pytest.raises(DataError, match="lab"):
            read_clusters(path)


def test_scratch_is_expanded_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are those of the worker; one that is not set there is told, not left in the path."""
    monkeypatch.setenv("FAST", str(tmp_path))
    assert scratch_folder("$FAST") == tmp_path
    assert scratch_folder("${FAST}/") == tmp_path
    monkeypatch.delenv("TMPDIR", raising=False)
    assert scratch_folder("$TMPDIR").is_dir()
    for lacking in ("$FASTER", "${FAST}$FASTER", "$FAST/none", "relative"):
        with pytest.raises(PrerequisiteError, match="scratch"):
            scratch_folder(lacking)
    monkeypatch.setenv("FAST", "")
    with pytest.raises(PrerequisiteError, match="FAST is not set"):
        scratch_folder("$FAST")
