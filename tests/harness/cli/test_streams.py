"""What is printed cannot stop the work; what did not reach its file is known; an old locale stays readable."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.streams import PatientStream, colours, is_plain, marked, shown
from harness.rows import CaseRow, FindingRow, RunRow
from harness.store.database import Store

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


#: Sequences that a name may bring, each with what must not reach a terminal.
CANARIES = {
    "colour": "\x1b[35;5;7m",
    "cursor-up-and-erase": "\x1b[7A\x1b[2K",
    "hidden-cursor": "\x1b[?25l",
    "carriage-return": "\rsaid forged",
    "title": "\x1b]0;owned\x07",
    "title-by-8-bits": "\x9d0;owned\x9c",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "link": "\x1b]8;;http://example.org\x1b\\",
    "answer-back": "\x1b[6n",
    "device-control": "\x1bP$q\x1b\\",
    "reset": "\x1bc",
    "scroll-region": "\x1b[1;2r",
    "alternate-screen": "\x1b[?1049h",
    "mouse": "\x1b[?1003h",
    "application-keys": "\x1b=",
    "place-of-the-cursor": "\x1b[1;1H",
    "bell": "\x07",
    "backspace": "\x08\x08\x08",
    "shift-out": "\x0e",
    "form-feed": "\x0c",
    "vertical-tab": "\x0b",
    "null": "\x00",
    "delete": "\x7f",
    "next-line": "\x85",
    "line-separator": "\u2028",
    "right-to-left": "\u202e",
    "isolate": "\u2066",
    "zero-width": "\u200b",
    "byte-order-mark": "\ufeff",
    "tag-character": "\U000e0041",
    "private-use": "\ue000",
    "half-a-sequence": "\x1b[",
}


@pytest.mark.parametrize("name", CANARIES)
def test_no_control_sequence_reaches_a_terminal_or_a_pipe(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """What is printed through the one door has no character of it that is not printable."""
    record_property("attack", f"terminal-{name}")
    canary = CANARIES[name]
    for terminal in (True, False):
        printed = shown(f"error: a{canary}b\n", terminal=terminal)
        assert printed.endswith("b\n")
        assert printed.rstrip("\n").isprintable()
    record_property("outcome", "replaced")


#: Commands that say a name or a path which they are given; NAME stands for one with every canary.
_SAYING = [
    "data info NAME", "data validate NAME", "score NAME --dataset NAME --split test", "run --plugin NAME",
    "check-masks NAME --dataset NAME --split test", "results show NAME", "results verify NAME",
    "results compare NAME b", "results import NAME", "plugin check NAME", "plugin show NAME", "get --plugin NAME",
    "build --plugin NAME", "submission verify NAME", "weights list --plugin NAME", "sources list --plugin NAME",
    "leaderboard check NAME", "curate run --reports NAME", "NAME", "run --NAME", "data NAME",
]  # fmt: skip

_SAY = """
import contextlib, json, sys
import harness.cli as c
for line in json.loads(sys.argv[1]):
    sys.argv = ["bench", *line]
    with contextlib.suppress(SystemExit):
        c.main()
    sys.stdout.write(f"said {line[0][:4]!r}\\n")
"""


def _said_on_a_terminal(lines: list[list[str]], folder: Path) -> str:
    """Run commands in one process on one pseudo-terminal; check what it received, and return it."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "BENCH_HOME": str(folder / "home"), "TERM": "xterm", "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _SAY, json.dumps(lines)], stdout=theirs, stderr=theirs, env=environment, cwd=folder
    )
    os.close(theirs)
    received = b""
    with contextlib.suppress(OSError):  # the terminal has hung up
        while chunk := os.read(ours, 65536):
            received += chunk
    os.close(ours)
    assert process.wait() == 0
    forged = (b"\x1b[35;5;7m", b"\x1b[7A", b"\rsaid forged")  # as none of ours is
    assert not [sequence for sequence in forged if sequence in received]
    text = re.sub(r"\x1b\[(?:[0-9;]*m|[0-9]*[ABGJK]|\?25[hl])", "", received.decode())
    text = text.replace("\r\n", "\n").replace("\r", "")  # our own bars move
    assert text.count("\nsaid ") + text.startswith("said ") == len(lines), text[-2000:]
    assert text.replace("\n", "").replace("\t", "").isprintable(), {c for c in text if not c.isprintable()} - {
        "\n",
        "\t",
    }
    assert "Traceback" not in text
    assert "\nerror: forged" not in text
    return text


#: Commands that say what a file holds: rows of a database, entries of an archive, cases and texts of an index.
_TELLING = [
    "results list", "results show r", "results show r --json", "check-masks masks.zip --dataset data --split test",
    "score masks.zip --dataset data --split test", "data validate data", "data info data",
    "leaderboard build --out site",
    "curate run reports.csv --out curated", "submission verify folder", "sources add archive.tar",
    "results compare r r",
]  # fmt: skip


def test_no_file_lets_its_content_command_the_terminal(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Names and texts out of a database, archives, an index, a table and a folder are shown as text as well."""
    record_property("attack", "terminal-by-the-content-of-files")
    evil = "x" + "".join(text for text in CANARIES.values() if "\x00" not in text) + "\nerror: forged"
    texts = ("title", "plugin", "variant", "plugin_version", "dataset", "fingerprint", "engine", "image_id", "plan_key")
    run: dict[str, Any] = dict.fromkeys(texts, evil)
    run |= {"id": "r", "attempt": 1, "kind": "measured", "prompt": "text", "fine_tuned": False, "profile": "mlhc2025"}
    run |= {"split": "test", "rankable": True, "unrankable": [evil], "state": "done", "created": "2026"}
    with Store(tmp_path / "home" / "results.db") as store:
        store.save_run(RunRow(**run))
        store.save_case("r", CaseRow(evil, 0, "ok", evil), [FindingRow(evil, "0", 0, evil, evil, "ok", evil)])
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr(f"{evil}/0.nii.gz", b"mask")
        archive.writestr(evil, b"text")
    with tarfile.open(tmp_path / "archive.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(evil))
    (tmp_path / "data").mkdir()
    index = {
        "test": [{"name": "a.nii.gz", "findings": {"0": evil, evil: evil}}, {"name": evil}],
        evil: [],
        "licence": evil,
    }
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(index), encoding="utf-8")
    (tmp_path / "reports.csv").write_text(f'id,findings,impressions\n"{evil}",{"9" * 30} mm,\nb,c\n', encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x\x1b]0;title\x07").write_text("", encoding="utf-8")
    text = _said_on_a_terminal([line.split() for line in _TELLING], tmp_path)
    assert "\N{REPLACEMENT CHARACTER}" in text or "\\x1b" in text, "nothing of the files was told at all"
    record_property("outcome", f"{len(_TELLING)} commands, nothing but printable text")


def test_no_command_lets_a_name_command_the_terminal(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every command, one process, one pseudo-terminal: what it received commands nothing but colours and moves."""
    record_property("attack", "terminal-of-every-command")
    name = "x" + "".join(text for text in CANARIES.values() if "\x00" not in text) + "\nerror: forged"
    lines = [[part.replace("NAME", name) for part in line.split()] for line in _SAYING]
    _said_on_a_terminal(lines, tmp_path)
    record_property("outcome", f"{len(lines)} commands, nothing but printable text")


def test_nothing_is_printed_past_the_door() -> None:
    """No module of ours writes to a terminal in another way than by the standard streams."""
    root = Path(__file__).parents[3]
    past = re.compile(r"(?:stdout|stderr)\.buffer|os\.write\([12],|/dev/tty|/dev/std|sys\.__std|FileIO\([12],")
    found = [
        str(path)
        for room in ("harness", "leaderboard", "curation")
        for path in (root / room).rglob("*.py")
        if path.name != "streams.py" and past.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_own_colours_and_bars_reach_a_terminal_alone() -> None:
    """They are plain attributes and moves, under our mark; a pipe gets none, a terminal without colours the moves."""
    own = "\x1b[31merror:\x1b[0m \x1b[2K\x1b[1A\x1b[?25l\r1/2\n"
    assert shown(marked(own), terminal=True) == own
    assert shown(marked(own), terminal=True, coloured=False) == "error: \x1b[2K\x1b[1A\x1b[?25l\r1/2\n"
    assert shown(marked(own), terminal=False) == "error: 1/2\n"
    assert "\x1b" not in shown(own, terminal=True)
    assert shown("a,b\r\nc\xa0d\n", terminal=False) == "a,b\r\nc\xa0d\n"


def test_an_error_of_a_foreign_name_has_one_voice(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with a line break cannot begin a line as a message of ours does."""
    from harness.cli import _draw
    from harness.errors import DataError

    _draw(DataError("the file a\nerror: owned\rfix: run this cannot be read", fix="remove it\nerror: b"))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error:")] == [lines[0]]
    assert lines[0] == "error: the file a"
