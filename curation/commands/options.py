"""Options that several commands share: who does the steps, and where their memory lies."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from harness.cli.tables import counted
from harness.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

#: The steps that a language model can do; not read from the pipeline, which takes long to import.
ASKED: Final = ("rewrite", "extract", "categorize")

_LLM_OPTIONS = (
    click.option(
        "--llm",
        multiple=True,
        default=("none",),
        show_default=True,
        metavar="none|MODEL|STEP=MODEL",
        help="none: rules, offline. May be repeated: STEP=MODEL is for one step, the other for all others.",
    ),
    click.option("--base-url", help="Endpoint of an OpenAI-compatible server; the resource's, for Azure."),
    click.option("--azure-version", help="API version of an Azure OpenAI resource, e.g. 2024-10-21."),
    click.option(
        "--prompts",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder with rewrite.md, extract.md and categorize.md instead of ours.",
    ),
    click.option("--jobs", default=8, show_default=True, type=click.IntRange(1, 256), help="Requests at a time."),
    click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(0.1), help="Seconds a request."),
    click.option("--tries", default=6, show_default=True, type=click.IntRange(1), help="Tries of one request."),
    click.option(
        "--asks", default=3, show_default=True, type=click.IntRange(1), help="Answers before an item is set aside."
    ),
    click.option("--temperature", default="0", show_default=True, metavar="FLOAT|none", help="none: not sent."),
    click.option("--llm-seed", default="0", show_default=True, metavar="INT|none", help="none: not sent."),
    click.option(
        "--max-tokens", default=8192, show_default=True, type=click.IntRange(1), help="Most tokens an answer."
    ),
    click.option(
        "--price",
        multiple=True,
        metavar="IN,OUT|STEP=IN,OUT",
        help="US dollars for a million tokens of prompt and of answer; may be repeated, as --llm.",
    ),
    click.option(
        "--max-cost", type=click.FloatRange(0), help="Most US dollars, earlier runs with this memory included."
    ),
    click.option(
        "--answers",
        type=click.Choice(["json_schema", "json_object", "plain"]),
        default="json_schema",
        show_default=True,
        help="How the form of answers is asked for; the last two are for servers without structured outputs.",
    ),
    click.option("--send-to", metavar="HOST", help="Host that reports may be sent to; not needed for this machine."),
    click.option("--batch", is_flag=True, help="Use the Batch API: cheaper, and slower by hours."),
    click.option(
        "--poll",
        default=30.0,
        show_default=True,
        type=click.FloatRange(0.01),
        help="Seconds between two looks at a batch.",
    ),
)


def llm_options(command: F) -> F:
    """Add the options of the language model; the command gets them as one function `method_of`.

    It takes the memory and the name of a step and returns who does it, and is made late: a wrong combination is refused
    before anything is read, and a missing key only where something must be asked.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        names = [
            "llm", "base_url", "azure_version", "prompts", "jobs", "timeout", "tries", "asks", "temperature",
            "llm_seed", "max_tokens", "price", "max_cost", "answers", "send_to", "batch", "poll",
        ]  # fmt: skip
        chosen = {name: kwargs.pop(name) for name in names}
        return command(*args, method_of=functools.partial(_method, _checked(chosen)), **kwargs)

    for option in reversed(_LLM_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def _checked(chosen: dict[str, Any]) -> dict[str, Any]:
    for name, kind in (("temperature", float), ("llm_seed", int)):
        try:
            chosen[name] = None if chosen[name] == "none" else kind(chosen[name])
        except ValueError:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} {chosen[name]!r} is not a number", fix="give a number, or none") from None
    for name in ("temperature", "timeout", "max_cost", "poll"):  # "nan" is a float, and no limit
        if chosen[name] is not None and not math.isfinite(chosen[name]):
            raise UsageError(f"--{name.replace('_', '-')} {chosen[name]} is not a finite number", fix="give a number")
    chosen["llm"] = _by_step("--llm", chosen["llm"])
    chosen["price"] = {step: _price(text) for step, text in _by_step("--price", chosen["price"]).items()}
    if chosen["max_cost"] is not None:
        for step in ASKED:
            if _of(chosen["llm"], step, "none") != "none" and not any(_of(chosen["price"], step, (0.0, 0.0))):
                raise UsageError(
                    f"--max-cost needs to know what tokens cost ({step})",
                    fix="add --price IN,OUT (US dollars a million)",
                )
    return chosen


def _by_step(option: str, given: Sequence[str]) -> dict[str, str]:
    """Return step -> value of a repeated option; the value of all other steps has the key ``""``."""
    found: dict[str, str] = {}
    for text in given:
        step, equals, value = text.rpartition("=")
        if equals and (step not in ASKED or not value):
            raise UsageError(
                f"{option} {text!r} names no step, or nothing for it", fix=f"give STEP=…; steps: {', '.join(ASKED)}"
            )
        found[step] = value
    return found


def _of(by_step: Mapping[str, Any], step: str, otherwise: Any) -> Any:
    return by_step.get(step, by_step.get("", otherwise))


def _price(text: str) -> tuple[float, float]:
    try:
        prices = tuple(float(part) for part in text.split(","))
    except ValueError:
        prices = ()
    if len(prices) != 2 or not all(0 <= price < math.inf for price in prices):
        raise UsageError(f"--price {text!r} is not a pair of prices", fix="e.g. --price 2.5,10")
    return prices[0], prices[1]


def _method(chosen: dict[str, Any], work: Any, step: str) -> Any:
    """Make what does a step."""
    from curation.offline import Rules

    model = _of(chosen["llm"], step, "none")
    if model == "none":
        return Rules()
    from curation.llm.batch import BatchLanguageModel
    from curation.llm.budget import Budget
    from curation.llm.endpoint import Settings
    from curation.llm.language_model import LanguageModel
    from curation.llm.prompts import load_prompts

    settings = Settings(
        model=model,
        base_url=chosen["base_url"],
        azure_version=chosen["azure_version"],
        timeout=chosen["timeout"],
        tries=chosen["tries"],
        temperature=chosen["temperature"],
        seed=chosen["llm_seed"],
        max_tokens=chosen["max_tokens"],
        answers=chosen["answers"],
    )
    if not settings.is_local and (chosen["send_to"] or "").lower() != settings.host.lower():
        raise UsageError(
            f"the text of the reports would be sent to {settings.host}, outside this machine",
            fix=f"add --send-to {settings.host} if that is allowed for these reports (docs/curation.md, Privacy)",
        )
    budget = Budget(_of(chosen["price"], step, (0.0, 0.0)), chosen["max_cost"], work.spent().cost)
    common: dict[str, Any] = {"settings": settings, "prompts": load_prompts(chosen["prompts"]), "budget": budget}
    if chosen["batch"]:
        return BatchLanguageModel(**common, asks=chosen["asks"], poll=chosen["poll"])
    return LanguageModel(**common, asks=chosen["asks"], jobs=chosen["jobs"])


def say_where(methods: Iterable[Any], reports: int) -> None:
    """Say before the first request how many reports go to which host; nothing where they stay on this machine."""
    method = next((method for method in methods if hasattr(method, "settings")), None)  # all of them ask one host
    settings = getattr(method, "settings", None)
    if settings is None or settings.is_local:
        return
    batch = "; a batch stays there until that host deletes it" if hasattr(method, "poll") else ""
    told = f"the text of {counted(reports, 'report')} goes to {settings.host}, less what is known already{batch}"
    click.echo(told, err=True)


def methods_of(method_of: Callable[[Any, str], Any], work: Any, reports: Sequence[Any]) -> dict[str, Any]:
    """Return step -> who does it, of those that a model can do; say first where the reports go and what it may cost."""
    methods = {step: method_of(work, step) for step in ASKED}
    say_where(methods.values(), len(reports))
    asked = {step: method for step, method in methods.items() if hasattr(method, "budget")}
    if not asked:
        return methods
    texts = [f"{report.findings}\n{report.impressions}" for report in reports]
    estimates = [method.budget.estimate([method.prompts.texts[step]], texts) for step, method in asked.items()]
    requests, cost = (sum(parts) for parts in zip(*estimates, strict=True))
    known = all(any(method.budget.price) for method in asked.values())
    priced = f", about {cost:.2f} US dollars" if known else " (add --price for an estimate of the cost)"
    host = next(iter(asked.values())).settings.host
    click.echo(f"{counted(requests, 'request')} to {host} at most, less what is known{priced}", err=True)
    return methods


class Progress:
    """Shows on standard error how far a step is: a line drawn over at a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._last = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` items of a step are done."""
        now = time.monotonic()
        ended = done >= total
        if not ended and now - self._last < (0.1 if self._terminal else 5.0):
            return
        self._last = now
        line = f"{step}: {done}/{total}"
        click.echo(f"\r{line}" if self._terminal else line, nl=ended or not self._terminal, err=True)
