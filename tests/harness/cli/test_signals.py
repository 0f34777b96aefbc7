"""A signal that would end Python at once ends a command in order; one that was ignored stays so."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from harness.cli.signals import ending, heeding

pytestmark = pytest.mark.costly

#: A command that tells when it is ready and what it leaves in order.
_WORK = """
import time
import click
import harness.cli as c

@click.command()
def work():
    try:
        print("ready", flush=True)
        time.sleep(30)
    finally:
        print("in order", flush=True)

c.cli.add_command(work)
c.main()
"""


def _signalled(number: signal.Signals) -> tuple[int, str]:
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, "work"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    return process.returncode, out


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGXCPU"])
def test_a_signal_ends_a_command_in_order(name: str) -> None:
    """A dropped connection, a scheduler's warning or a limit of CPU time end it as Ctrl-C does."""
    assert _signalled(signal.Signals[name]) == (130, "in order\n")


def test_an_ignored_hang_up_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nohup` asks for it; Ctrl-C and the request to end are always heeded."""
    ignored = {signal.SIGHUP, signal.SIGINT}
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    found = ending()
    assert signal.SIGHUP not in found
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1} <= set(found)


def test_handlers_are_restored() -> None:
    """After the context every signal has the handler it had before."""
    before = [signal.getsignal(number) for number in ending()]
    with heeding(lambda *_: None):
        assert [signal.getsignal(number) for number in ending()] != before
    assert [signal.getsignal(number) for number in ending()] == before
