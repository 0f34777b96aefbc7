"""Coverage-guided fuzzing of the readers: ``make fuzz`` (FUZZ_TARGETS, FUZZ_SECONDS).

What is found is written beside the corpus, below ``.fuzz/``; a finding becomes a test when it is mended. A process
that ends without a word (killed for its memory, or by a library) is a finding as well: the bytes that it was handed
last are kept in ``.fuzz/TARGET-last``, in memory that outlives it.
"""

from __future__ import annotations

import argparse
import mmap
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

#: Bytes of one input.
LONGEST = 2**16

#: How libFuzzer ends a process, by exit code.
ENDINGS = {70: "an input took more than 10 s", 71: "more than 4 GiB of memory", 77: "an exception"}


def fuzz(name: str, seconds: int, place: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["harness", "curation", "leaderboard"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = place / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    with (place / f"{name}-last").open("w+b") as file:
        file.truncate(8 + LONGEST)
        last = mmap.mmap(file.fileno(), 0)

    def one(content: bytes) -> None:
        last[: 8 + len(content)] = len(content).to_bytes(8, "little") + content
        target(content, folder)

    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", f"-artifact_prefix={place}/{name}-"]
    atheris.Setup(
        [sys.argv[0], *options, "-print_final_stats=1", "-verbosity=0", f"-max_len={LONGEST}", str(corpus)], one
    )
    atheris.Fuzz()


def ending(returncode: int, *, told: bool) -> str | None:
    """Return how a fuzzing process ended, in words; None where it used its time and said so."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}; see the system's log for its memory"
    if returncode:
        return ENDINGS.get(returncode, f"exit code {returncode}")
    return None if told else "it ended without its figures"


def last_of(path: Path) -> bytes:
    """Return the bytes that a process was handed last."""
    content = path.read_bytes()
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def main() -> int:
    """Fuzz each target in processes of its own, and say how many executions and findings there were."""
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--seconds", type=int, default=300, help="of each target")
    parser.add_argument("--here", action="store_true", help="in this process: one target")
    asked = parser.parse_args()
    place = ROOT / ".fuzz"
    if asked.here:
        fuzz(asked.targets[0], asked.seconds, place)
    from tests.fuzz.targets import TARGETS  # after the branch above, which imports it instrumented

    if unknown := sorted(set(asked.targets) - set(TARGETS)):
        parser.error(f"no target is named {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    all_executions = all_findings = 0
    for name in asked.targets:
        executions, findings = _fuzzed(name, asked.seconds, place)
        all_executions += executions
        all_findings += findings
        print(f"{name}: {executions:,} executions, findings: {findings}", flush=True)
    print(f"in all: {all_executions:,} executions, findings: {all_findings}", flush=True)
    return min(all_findings, 1)


def _fuzzed(name: str, seconds: int, place: Path) -> tuple[int, int]:
    """Fuzz one target until its seconds are used up, going on after a finding; return executions and findings."""
    executions = findings = 0
    end = time.monotonic() + seconds
    while (left := round(end - time.monotonic())) > 0 and findings < 10:
        command = [sys.executable, __file__, name, "--here", "--seconds", str(left)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        lines = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        executions += int(lines[-1].split()[-1]) if lines else 0
        how = ending(done.returncode, told=bool(lines))
        if how is None:
            break
        findings += 1
        kept = place / f"{name}-finding-{findings}"
        kept.write_bytes(last_of(place / f"{name}-last"))
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "Instrumenting" not in line]
        print("\n".join([*lines[-60:], f"{name}: {how}: {kept}"]), flush=True)
    return executions, findings


if __name__ == "__main__":
    sys.exit(main())
