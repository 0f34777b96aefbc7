"""The attacks on another engine's wall: what Apptainer is asked for holds, carried out by a stand-in.

The stand-in hands the documented arguments to bubblewrap; it shows what the harness asks for and how it judges what
comes back, not Apptainer's own code. What that engine does not offer is left out by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import processes
from tests.hostile.conftest import PLUGIN
from tests.hostile.test_probes import PROBES

if TYPE_CHECKING:
    from tests.conftest import Bench

pytestmark = pytest.mark.docker

#: Probes of what this engine does not offer, as its documentation and its records say: no filter of system calls,
#: temporary files that may be executed and are not limited, and a folder /var/tmp of the container's own.
NOT_OFFERED = {
    "network-hypervisor-socket",
    "capabilities",
    "user-namespace",
    "kernel-keyring",
    "run-from-temporary-folders",
    "fill-temporary-folders",
    "write-outside-out",
}

#: Probes that look where the stand-in has nothing: no /sys, no message queues, a variable that bubblewrap sets.
NOT_STOOD_IN_FOR = {"network-interfaces", "meet-the-host-in-shared-memory", "read-the-environment"}

#: Attack -> status of the case that attacks, and words of the reason.
ATTACKS = {
    "fork-bomb": ("plugin_error", "exit code 1"),
    "memory-bomb": ("oom", "memory_gb = 0.25"),
    "fill-out": ("plugin_error", "more than out_gb = 0.0625"),
    "hang-in-case": ("timeout", "within 5 s"),
    "stop-itself": ("timeout", "within 5 s"),
}


#: Those that take longest, and show what others show, too.
SLOW = {"fill-out", "stop-itself"}


@pytest.fixture(scope="module")
def sealed(
    apptainer: Path,
    attack: Callable[..., Any],
    new_bench: Callable[[Path], Bench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    """Return a function that runs one attack on this engine, in a home into which the image was imported."""
    folder = tmp_path_factory.mktemp("sealed")
    home = folder / "home"
    bench = new_bench(home)
    bench.environment["PATH"] = f"{apptainer}:{bench.environment['PATH']}"
    model = ("--plugin", "hostile", "--plugin-dir", PLUGIN)
    bench("images", "export", *model, "--engine", "docker", folder / "images")
    bench("images", "import", *model, "--engine", "apptainer", folder / "images")
    return lambda variant, **options: attack(variant, home=home, engine="apptainer", path=apptainer, **options)


@pytest.fixture(scope="module")
def probed(sealed: Callable[..., Any]) -> dict[str, str]:
    """Run all probes in one container, and return what each one said."""
    outcome = sealed("probe-everything", cases=12)
    assert [case["status"] for case in outcome.cases.values()] == ["ok"] * 12
    assert outcome.shown["engine"] == "apptainer"
    return dict(line.split(" ", 1) for line in outcome.said("PROBE"))


@pytest.mark.parametrize("name", [name for name in PROBES if name not in NOT_OFFERED | NOT_STOOD_IN_FOR])
def test_attempt_fails(name: str, probed: dict[str, str]) -> None:
    """The container itself reports that its attempt was refused, and how."""
    assert probed[name].split(" ")[0] == "HELD", probed[name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ATTACKS]
)
def test_attack_ends_in_its_status(name: str, sealed: Callable[..., Any]) -> None:
    """The case that attacks fails with its reason; the first and the third keep their scores; nothing is left."""
    status, words = ATTACKS[name]
    outcome = sealed(name)
    row = outcome.cases["toy_2_a_1"]
    assert row["status"] == status, row["reason"]
    assert words in row["reason"]
    assert outcome.cases["toy_1_a_1"]["status"] == outcome.cases["toy_3_a_1"]["status"] == "ok"
    assert not any("BREACH" in line for line in outcome.lines)


def test_daemon(sealed: Callable[..., Any]) -> None:
    """A process that has left its parents and ignores SIGTERM is gone with the container."""
    outcome = sealed("daemonise")
    assert {row["status"] for row in outcome.cases.values()} == {"ok"}
    assert not [each for each in processes() if "adapter:Hostile" in each.command]
