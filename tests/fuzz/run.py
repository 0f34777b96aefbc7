"""Coverage-guided fuzzing of the readers: ``make fuzz`` (FUZZ_TARGETS, FUZZ_SECONDS).

What is found is written beside the corpus, below ``.fuzz/``; a finding becomes a test when it is mended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def fuzz(name: str, seconds: int, place: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["harness", "curation"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = place / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def one(content: bytes) -> None:
        target(content, folder)

    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", f"-artifact_prefix={place}/{name}-"]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", "-verbosity=0", "-max_len=65536", str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz each target in a process of its own, and say how many executions and findings there were."""
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--seconds", type=int, default=300, help="of each target")
    parser.add_argument("--here", action="store_true", help="in this process: one target")
    asked = parser.parse_args()
    place = ROOT / ".fuzz"
    if asked.here:
        fuzz(asked.targets[0], asked.seconds, place)
    found = 0
    for name in asked.targets:
        command = [sys.executable, __file__, name, "--here", "--seconds", str(asked.seconds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        lines = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        executions = lines[-1].split()[-1] if lines else "?"
        print(f"{name}: {executions} executions, {'a finding' if done.returncode else 'no finding'}", flush=True)
        if done.returncode:
            found += 1
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "Instrumenting" not in line]
            print("\n".join(lines[-60:]), flush=True)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
