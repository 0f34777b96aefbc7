"""One request to an OpenAI-compatible endpoint, and what its failures mean."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harness.errors import BenchError, PrerequisiteError

if TYPE_CHECKING:
    from openai import OpenAI

_LONGEST_WAIT: Final = 120.0  # seconds; a server that asks for more is waited for in steps
_FIRST_WAIT: Final = 0.5  # seconds, doubled after every failure
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
#: A request that is wrong by its own content: the next item may well be fine.
_OF_THE_ITEM: Final = frozenset({"content_filter", "context_length_exceeded", "string_above_max_length"})


#: What every request of a run has alike: a refusal that names one of them is a refusal of all.
_PARAMETERS: Final = ("response_format", "temperature", "seed", "max_tokens", "max_completion_tokens", "json_schema")


class Stopped(Exception):  # noqa: N818 - nothing went wrong here: another thread failed first
    """The run is being stopped."""


class Refusal(Exception):  # noqa: N818 - the endpoint's decision on one item
    """The endpoint refuses this item, with a reason."""


@dataclass(frozen=True)
class Settings:
    """How a model is reached.

    Attributes
    ----------
    model
        Name of the model, or of the Azure deployment.
    base_url
        None: the environment's ``OPENAI_BASE_URL``, or OpenAI itself.
    azure_version
        API version of an Azure resource; then `base_url` is the resource's endpoint.
    timeout
        Seconds for one request.
    tries
        How often one request is made before the endpoint counts as down.
    temperature, seed
        None: not sent, for models that refuse them.
    max_tokens
        Most tokens of one answer.
    answers
        How the form of an answer is asked for: ``json_schema`` (structured outputs), ``json_object``, or ``plain``:
        by the prompt alone.
    """

    model: str
    base_url: str | None = None
    azure_version: str | None = None
    timeout: float = 120.0
    tries: int = 6
    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int = 8192
    answers: str = "json_schema"

    def parameters(self) -> dict[str, Any]:
        """Return what an answer depends on, beside the messages: part of a result's identity, and of the request."""
        chosen = {"temperature": self.temperature, "seed": self.seed}
        return {name: value for name, value in chosen.items() if value is not None} | {
            "max_completion_tokens": self.max_tokens,
            **({} if self.answers == "json_schema" else {"response_format": {"type": self.answers}}),
        }

    @property
    def host(self) -> str:
        """The host that requests go to."""
        url = self.base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        return urlsplit(url).hostname or url

    @property
    def is_local(self) -> bool:
        """Whether requests stay on this machine."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


@dataclass(frozen=True)
class Completion:
    """What came back."""

    text: str
    cut: bool  #: whether the answer hit the limit of tokens
    prompt_tokens: int
    completion_tokens: int


@dataclass
class Gate:
    """Holds all threads back while the endpoint asks for a pause."""

    stop: threading.Event = field(default_factory=threading.Event)
    _until: float = 0.0

    def close_for(self, seconds: float) -> None:
        """Hold all requests for this many seconds."""
        self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Wait until the gate is open; raises Stopped where the run is being stopped."""
        while True:
            left = self._until - time.monotonic()
            if self.stop.wait(max(0.0, min(left, 1.0))):
                raise Stopped
            if left <= 0:
                return


def connect(settings: Settings) -> OpenAI:
    """Make the client; the key comes from ``OPENAI_API_KEY`` or ``AZURE_OPENAI_API_KEY``, and from nowhere else.

    Raises
    ------
    PrerequisiteError
        The key is not set, or the endpoint of an Azure resource is missing.
    """
    from openai import AzureOpenAI, OpenAI

    name = "AZURE_OPENAI_API_KEY" if settings.azure_version else "OPENAI_API_KEY"
    key = os.environ.get(name)
    if not key:
        raise PrerequisiteError(
            f"the language model needs a key: {name} is not set",
            fix=f"export {name}=… (any text, for a local server without keys), or use --llm none",
        )
    common: dict[str, Any] = {"api_key": key, "timeout": settings.timeout, "max_retries": 0}  # we retry ourselves
    if settings.azure_version:
        if not settings.base_url:
            raise PrerequisiteError("Azure needs the endpoint of the resource", fix="add --base-url https://…")
        return AzureOpenAI(azure_endpoint=settings.base_url, api_version=settings.azure_version, **common)
    return OpenAI(base_url=settings.base_url, **common)


def batch_path(settings: Settings) -> str:
    """Return the path that the lines of a batch name; Azure's has no version, as the API version implies it."""
    return "/chat/completions" if settings.azure_version else "/v1/chat/completions"


def request_body(
    settings: Settings, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of one chat completion with a structured answer."""
    form = {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "schema": dict(schema),
            "strict": schema.get("additionalProperties") is False,
        },
    }
    body = {"model": settings.model, "messages": list(messages), "response_format": form, **settings.parameters()}
    if settings.answers == "plain":
        del body["response_format"]
    return body


def complete(client: OpenAI, settings: Settings, body: dict[str, Any], gate: Gate) -> Completion:
    """Make one request, again and again while it fails for a passing reason.

    A pause that the endpoint asks for in its headers holds for all threads of `gate`; otherwise the pauses double.

    Raises
    ------
    Refusal
        The endpoint refuses this item: its content, its length, or anything that is not the same for all.
    Stopped
        Another thread failed for good.
    PrerequisiteError
        The endpoint is down, the key is wrong, the quota is used up, or the model does not exist.
    """
    import openai

    for attempt in range(settings.tries):
        gate.wait()
        try:
            return read_completion(client.chat.completions.create(**body).to_dict())
        except openai.APIStatusError as error:
            problem, pause = _judge(error, settings), pause_of(error.response.headers, attempt)
            if problem is not None:
                raise problem from error
            last = f"{error.status_code}: {error.message}"
        except openai.APITimeoutError:
            last, pause = f"no answer within {settings.timeout:g} s", pause_of({}, attempt)
        except openai.APIConnectionError as error:
            last, pause = f"no connection ({error.__cause__ or error})", pause_of({}, attempt)
        except (openai.APIResponseValidationError, ValueError, AttributeError) as error:
            last, pause = f"the answer is not a chat completion ({error})", pause_of({}, attempt)
        gate.close_for(pause)
    raise PrerequisiteError(
        f"the endpoint failed {settings.tries} times, last with {last[:300]}",
        fix="check it and run the same command again: what is finished is kept and not asked again",
    )


def read_completion(document: Mapping[str, Any]) -> Completion:
    """Read a chat completion; raises ValueError where it is none, Refusal where the model declines."""
    try:
        choice = document["choices"][0]
        message = choice["message"]
        usage = document.get("usage") or {}
        if message.get("refusal"):
            raise Refusal(f"the model declines: {message['refusal']}")
        if choice.get("finish_reason") == "content_filter":
            raise Refusal("the endpoint's content filter cut the answer")
        return Completion(
            text=message["content"] or "",
            cut=choice.get("finish_reason") == "length",
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
        )
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{error!r} in {str(document)[:200]}") from error


def pause_of(headers: Mapping[str, str], attempt: int) -> float:
    """Return the seconds to wait: what the headers ask for, else a pause that doubles with every attempt."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return min(_LONGEST_WAIT, max(0.0, float(headers[name]) * unit))
        except (KeyError, ValueError):
            continue
    until = _seconds_until(headers.get("retry-after", ""))
    if until > 0:
        return min(_LONGEST_WAIT, until)
    for kind in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{kind}") == "0":
            return min(_LONGEST_WAIT, _duration(headers.get(f"x-ratelimit-reset-{kind}", "1s")))
    return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))


def _seconds_until(date: str) -> float:
    """Read the other form of ``retry-after``, a date of HTTP; 0 where it is none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0


def _duration(text: str) -> float:
    """Read ``1m2.5s`` or ``20ms``; a second where it is neither."""
    import re

    parts = re.findall(r"([\d.]+)(ms|h|m|s)", text[:40])
    return sum(float(n) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for n, unit in parts) if parts else 1.0


def _judge(error: Any, settings: Settings) -> BenchError | Refusal | None:
    """Return the error that a refused request means; None: try again."""
    code, status = str(error.code or ""), error.status_code
    if code in _OF_THE_ITEM:
        return Refusal(f"{code}: {error.message}")
    if code == "insufficient_quota":
        return PrerequisiteError(f"the quota is used up: {error.message}", fix="raise it, then run the same command")
    if status in _PASSING:
        return None
    if status in {401, 403}:
        return PrerequisiteError(f"the endpoint refuses the key ({status})", fix="check the key and --base-url")
    if status == 404:
        return PrerequisiteError(
            f"the endpoint knows no model {settings.model!r} ({error.message})", fix="check --llm and --base-url"
        )
    return _refused(error)


def _refused(error: Any) -> PrerequisiteError | Refusal:
    """Tell a refusal of what all requests have alike from that of one item's content."""
    said = f"{error.param or ''} {error.message}".lower()
    if any(name in said for name in _PARAMETERS):
        return PrerequisiteError(
            f"the endpoint refuses the request ({error.status_code}: {str(error.message)[:300]})",
            fix="check the model's parameters, e.g. --temperature none, or --answers json_object or plain",
        )
    return Refusal(f"the endpoint refuses it ({error.status_code}: {str(error.message)[:300]})")
