"""What is printed cannot stop the work; what did not reach its file is known; an old locale stays readable."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.streams import PatientStream, colours, is_plain

pytestmark = pytest.mark.costly

#: A command that prints a lot before and after its work, as the command line does.
_WORK = """
import sys
from pathlib import Path
import click
import harness.cli as c

@click.command()
@click.argument("mark")
def work(mark):
    for _ in range(3000):
        click.echo("progress \N{EN DASH} 0.5", err=True)
        print("a row of a table that is rather long")
    Path(mark).touch()

c.cli.add_command(work)
c.main()
"""


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., tuple[int, bool]]:
    """Return a function that runs the command in a shell and returns its exit code and whether it came to its end."""

    def run(shell: str) -> tuple[int, bool]:
        mark = tmp_path / "done"
        command = f"{sys.executable} -c '{_WORK}' work {mark}"
        script = tmp_path / "script"
        script.write_text(shell.replace("WORK", command))
        ended = subprocess.run(["bash", str(script)], capture_output=True, check=False, timeout=60)
        assert b"Traceback" not in ended.stderr, ended.stderr
        return ended.returncode, mark.exists()

    return run


@pytest.mark.parametrize(
    "shell",
    [
        "WORK 2> >(head -1 >/dev/null)",  # the reader of the progress goes away
        "set -o pipefail; WORK 2>&1 | head -1",
        "WORK 2>/dev/full",  # a log whose disk is full
        "WORK >&- 2>&-",  # both closed at the start
        "WORK <&- 2>&-",
    ],
    ids=["dead tee", "head", "full log", "both closed", "no stderr"],
)
def test_nothing_that_is_printed_stops_the_work(work: Callable[..., tuple[int, bool]], shell: str) -> None:
    """The command comes to its end with its own exit code."""
    assert work(shell) == (0, True)


def test_a_result_that_did_not_reach_its_file_is_an_error(work: Callable[..., tuple[int, bool]]) -> None:
    """Standard output on a full disk: the work is done, and the exit code says that what was printed is lost."""
    assert work("WORK >/dev/full") == (3, True)


def test_a_terminal_that_closes_does_not_stop_the_work(tmp_path: Path) -> None:
    """Where the hang-up is ignored (nohup), a terminal that is gone gives EIO, and the command goes on."""
    ours, theirs = pty.openpty()
    mark = tmp_path / "done"
    process = subprocess.Popen(  # as nohup does it, which itself gives up where the terminal goes while it starts
        [sys.executable, "-c", _WORK, "work", str(mark)],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509 - one call, no thread
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (process.wait(timeout=60), mark.exists()) == (0, True)


@pytest.mark.parametrize(("encoding", "shown"), [("latin-1", b"0.5 [0.4-0.6] \xb5m"), ("ascii", b"0.5 [0.4-0.6] um")])
def test_an_old_locale_stays_readable(encoding: str, shown: bytes) -> None:
    """A dash that an encoding lacks becomes a plain one: a question mark between two numbers could be anything."""
    code = "import harness.cli.streams as s; s.make_patient(); print('0.5 [0.4\\u20130.6] \\u00b5m')"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | {"PYTHONIOENCODING": encoding}
    )
    assert ended.stdout.strip() == shown


def test_a_descriptor_that_does_not_wait_loses_nothing() -> None:
    """Another program may have told a terminal not to wait for its reader; then we do wait, as usual."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    found: list[bytes] = []

    def read() -> None:
        with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
            found.append(pipe.read())

    reader = threading.Thread(target=read)
    with PatientStream(io.BufferedWriter(io.FileIO(writing, "w")), encoding="utf-8") as stream:
        threading.Timer(0.2, reader.start).start()
        for _ in range(300):
            stream.write("x" * 999 + "\n")
            stream.flush()
    reader.join(timeout=10)
    assert len(found[0]) == 300_000


@pytest.mark.parametrize(
    ("environment", "plain", "coloured"),
    [
        ({"TERM": "xterm"}, False, True),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
    ],
)
def test_who_gets_colours(
    environment: dict[str, str], plain: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dumb terminal gets neither a bar nor colours; NO_COLOR takes the colours only."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal, open(ours, "rb"):  # noqa: PTH123 - descriptors, not paths
        assert (is_plain(terminal), colours(terminal)) == (plain, coloured)


def test_a_signals_handler_may_print_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """Python runs handlers while the buffer is in use; both texts arrive, whole and in order."""

    class Interrupted(io.FileIO):
        handler: Callable[[], None] | None = None

        def write(self, data: object, /) -> int:
            written = super().write(data)  # type: ignore[arg-type]
            if self.handler is not None:
                handler, self.handler = self.handler, None
                handler()
            return written

    path = tmp_path / "said"
    raw = Interrupted(path, "w")
    stream = PatientStream(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True)

    def handler() -> None:
        stream.write("stopping …\n")
        stream.flush()

    with stream:
        raw.handler = handler
        stream.write("1/6 ok\n")
        stream.write("2/6 ok\n")
    assert path.read_text(encoding="utf-8").splitlines() == ["1/6 ok", "stopping …", "2/6 ok"]
