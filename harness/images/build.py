"""From a build context to an image: named by its content, labelled, with a stored log, and without leftovers.

The digest of the context names the image, so an unchanged plugin is never built twice and a changed one never served
from before the change.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.errors import ModelError, PrerequisiteError
from harness.images.base import base_labels, base_of, inherited, system_of
from harness.images.context import BaseContext, BuildContext
from harness.images.identity import (
    CONTEXT_LABEL,
    LABEL,
    PLUGIN_LABEL,
    REDISTRIBUTION_LABEL,
    TORCH_LABEL,
    beneath_of,
    get,
    id_of,
    is_genuine,
    recognise,
    tag_on,
)
from harness.images.own import OwnImages
from harness.images.rights import licence_expression, redistribution
from harness.images.torch import chosen
from harness.redaction import redacted
from harness.upstream.sources import SourceStore

if TYPE_CHECKING:
    from docker import DockerClient

    from harness.registry.discovery import Plugin

DEFAULT_BASE = "python:3.11-slim-bookworm"

#: Tag of the finished layers of a failed build: the next build resumes from them.
UNFINISHED = "unfinished"

#: Free disk required to begin a build, bytes.
_ROOM = 10**9

#: Seconds after which a running step is logged again.
_LOG_EVERY_S = 15.0

#: Characters of a builder's output that are kept; the rest is dropped, except the last lines.
MAX_BUILD_LOG = 8 * 1024 * 1024
_LAST_LINES = 8
_LINE = 300


@dataclass(frozen=True)
class Image:
    """A built image, or the plugin's own code for an engine without images.

    Attributes
    ----------
    id
        Content identity: ``sha256:…`` of the engine, or ``local:…`` of the code.
    tag
        Name in the engine; empty without one.
    size
        Bytes, where known.
    device
        The build of torch in it, ``"cuda"`` or ``"cpu"``; empty where it has none, or this is unknown.
    base
        The image that its build began with, and the engine's digest of it where it has one; empty where unknown.
    system
        Operating system of that image, with its release; empty where unknown.
    """

    id: str
    tag: str = ""
    size: int | None = None
    device: str = ""
    base: str = ""
    system: str = ""


def ensure_image(
    client: DockerClient,
    plugin: Plugin,
    *,
    home: Path,
    gpus: bool = False,
    base: str = DEFAULT_BASE,
    log: Callable[[str], None] = lambda _: None,
    before_build: Callable[[], None] = lambda: None,
) -> Image:
    """Return the image of `plugin`, building it when its content has changed.

    Parameters
    ----------
    client
        A connected Docker client.
    plugin
        The plugin.
    home
        Its ``sources/`` and ``wheels/`` go into the image; the builder's output is kept in ``images/<plugin>.log``, up
        to a bound, and always its last lines. A base image has its own, ``images/base.<kind>.log``.
    gpus
        Whether it will run on GPUs: the CUDA build of torch, whatever `bench build` chose for the CPU.
    base
        Value of the build argument ``BASE_IMAGE``.
    log
        Called with one line for every step of the build, and at intervals during a long one.
    before_build
        Called before anything is built; raises where a build would be in vain.

    Raises
    ------
    ModelError
        When the build fails, with the last lines, their meaning where it is known, and the log's path.
    PrerequisiteError
        When a source is missing, the disk is too full, the base image cannot be built, or the engine itself refuses.
    DataError
        When a source was changed.
    """
    import docker.errors

    context, own = context_of(plugin, home, gpus=gpus), OwnImages(home / "images")
    found = recognise(client, context, base, own)
    if found is None:
        argument, beneath = "BASE_IMAGE", base
        if context.base is not None:
            argument, beneath = (
                context.base.argument,
                _ensure(client, context.base, argument, base, home=home, log=log, before_build=before_build),
            )
        tag = _ensure(client, context, argument, beneath, home=home, log=log, before_build=before_build)
        try:
            found = client.images.get(tag)
        except docker.errors.ImageNotFound as error:
            raise PrerequisiteError(
                f"somebody removed {tag} just after it was built", fix="run the same command again"
            ) from error
    device = context.torch.device if context.uses_torch else ""
    tag = next((name for name in found.tags if f"groundbench/{context.name}:" in name), "")
    own.note(tag, str(found.id), made=False)
    size = int(found.attrs["Size"])
    return Image(str(found.id), tag=tag, size=size, device=device, base=base_of(found), system=system_of(found))


def context_of(plugin: Plugin, home: Path, *, gpus: bool) -> BuildContext:
    """Return what the image of `plugin` is built from, for running with or without GPUs, with the stores of `home`."""
    return BuildContext(plugin, SourceStore(home / "sources"), chosen(plugin, home, gpus=gpus))


def is_built(client: DockerClient, plugin: Plugin, *, home: Path, gpus: bool = False, base: str = DEFAULT_BASE) -> bool:
    """Return whether the image of `plugin` exists, so that its sources need not be here."""
    return recognise(client, context_of(plugin, home, gpus=gpus), base, OwnImages(home / "images")) is not None


def _ensure(
    client: DockerClient,
    context: BuildContext | BaseContext,
    argument: str,
    beneath: str,
    *,
    home: Path,
    log: Callable[[str], None],
    before_build: Callable[[], None],
) -> str:
    """Return the tag of the image that `context` makes on the image `beneath`, building it where it does not exist."""
    tag, own, labels = tag_on(client, context, beneath), OwnImages(home / "images"), _labels(context)
    identity = {name: labels[name] for name in (CONTEXT_LABEL, PLUGIN_LABEL) if name in labels}
    found = get(client, tag)
    known = beneath_of(context, beneath)
    if found is not None and not is_genuine(client, found, tag, labels=identity, base=known, own=own):
        log(f"{tag} is another image than the one that was built here ({found.id}): it is built again")
        found = None
    if found is None:
        before_build()
        _check_room(client, context)
        log(f"building {tag}")
        log_file = home / "images" / f"{context.name.replace('/', '.')}.log"
        if argument == "BASE_IMAGE":
            begins = base_labels(client, beneath if context.begins_with_base else "")
        else:
            begins = inherited(client, beneath)
        _Build(client, context, log_file=log_file, log=log, own=own).run(tag, {argument: beneath}, labels | begins)
        own.note(tag, id_of(client, tag), made=True)
    return tag


def _labels(context: BuildContext | BaseContext) -> dict[str, str]:
    labels = {LABEL: "1", CONTEXT_LABEL: context.digest()}
    if context.uses_torch:
        labels[TORCH_LABEL] = f"{context.torch.device}-{context.torch.key[:16]}"
    if isinstance(context, BaseContext):
        return {**labels, f"{LABEL}.base": context.kind}
    model = context.plugin.model
    labels |= {
        PLUGIN_LABEL: model.name,
        "org.opencontainers.image.title": model.title,
        "org.opencontainers.image.version": model.version,
        "org.opencontainers.image.licenses": licence_expression(model),
        REDISTRIBUTION_LABEL: str(redistribution(model, cuda=context.cuda)[0]),
    }
    for source in model.sources:
        labels[f"{LABEL}.source.{source.name}"] = f"{source.git}@{source.commit}"
    if len(model.sources) == 1:
        labels["org.opencontainers.image.source"] = model.sources[0].git
        labels["org.opencontainers.image.revision"] = model.sources[0].commit
    return labels


def _check_room(client: DockerClient, context: BuildContext | BaseContext) -> None:
    """Refuse a build for which the engine's disk is too small, where that disk is visible from here."""
    root = str(client.info().get("DockerRootDir", ""))
    if not Path(root).is_dir():
        return
    needed = _ROOM
    if context.uses_torch:
        label = f"{TORCH_LABEL}={_labels(context)[TORCH_LABEL]}"
        if not client.images.list(filters={"label": label}):  # else the layer exists already
            needed = context.torch.bytes_needed
    free = shutil.disk_usage(root).free
    if free < needed:
        raise PrerequisiteError(
            f"the engine's disk is too full to build {context.name!r}: about {needed / 1e9:.0f} GB are needed "
            f"in {root}, {free / 1e9:.1f} GB are free",
            fix="`bench clean --images` removes images that were built here; `docker system df` shows the others",
        )


class _Build:
    """One build; it leaves an image with its tag, and nothing without a name."""

    def __init__(
        self,
        client: DockerClient,
        context: BuildContext | BaseContext,
        *,
        log_file: Path,
        log: Callable[[str], None],
        own: OwnImages,
    ) -> None:
        self._own = own
        self._client, self._context, self._log_file, self._log = client, context, log_file, log
        self._name = context.name
        self._output = BuildLog()
        self._layer = ""
        self._logged = time.monotonic()

    def run(self, tag: str, arguments: dict[str, str], labels: dict[str, str]) -> None:
        """Build to the end, with these build arguments and labels."""
        import docker.errors
        import requests

        from harness.images.credentials import keep_readable_credentials

        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        keep_readable_credentials(self._client, self._log)
        failure = ""
        done = False
        try:
            with self._context.packed(self._log_file.parent) as packed, self._output.kept_in(self._log_file):
                for event in self._client.api.build(
                    fileobj=packed,
                    custom_context=True,
                    dockerfile=self._context.dockerfile,
                    tag=tag,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    buildargs=arguments,
                    labels=labels,
                ):
                    self._hear(_event_text(event))
                    failure = str(event.get("error", failure))
            done = not failure
        except docker.errors.APIError as error:
            raise PrerequisiteError(
                f"the engine refused to build {self._name!r}: {error.explanation or error}", fix=f"see {self._log_file}"
            ) from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise PrerequisiteError(
                f"the connection to the engine failed during the build of {self._name!r}: {error}",
                fix="check that the engine runs and the disk has space",
            ) from error
        finally:
            self._name_layers(done=done)
        if failure:
            ours = isinstance(self._context, BaseContext)
            what = f"the base image {self._name!r}" if ours else f"the image of plugin {self._name!r}"
            said = [f"{what} could not be built:", *(f"  {line}" for line in self._output.tail)]
            kind = PrerequisiteError if ours else ModelError  # the steps before a plugin's own are not its fault
            raise kind("\n".join(said), fix=f"{_meaning(self._output.tail)}the log is {self._log_file}")

    def _hear(self, text: str) -> None:
        self._output.add(text)
        layer = re.match(r" ---> ([0-9a-f]{12,64})\n?$", text)
        if layer:
            self._layer = layer[1]
        now = time.monotonic()
        if text.startswith("Step "):
            self._log(text.splitlines()[0])
        elif self._output.tail and now - self._logged >= _LOG_EVERY_S:
            self._log(f"  … {self._output.tail[-1][:120]}")
        else:
            return
        self._logged = now

    def _name_layers(self, *, done: bool) -> None:
        """Name the finished steps of an unfinished build, so that they are used again or can be removed."""
        import docker.errors

        with contextlib.suppress(docker.errors.DockerException, OSError):
            if done:
                self._client.api.remove_image(f"groundbench/{self._name}:{UNFINISHED}")
            elif self._layer:
                self._client.api.tag(self._layer, f"groundbench/{self._name}", UNFINISHED, force=True)
                tag = f"groundbench/{self._name}:{UNFINISHED}"
                self._own.note(tag, id_of(self._client, tag), made=True)


#: Known messages in the last lines of a failed build, each with its fix.
_MEANINGS = {
    r"no space left on device": "the engine's disk is full: `bench clean --images`; ",
    r"DO NOT MATCH THE HASHES": "a download does not match the lock: try again, then renew the lock; ",
    r"--require-hashes mode": "the lock is incomplete: renew it with its digests; ",
    r"name resolution|Network is unreachable|No route to host|Connection refused|NewConnectionError": (
        "the build cannot reach the package index: check the engine's network; "
    ),
    r"No matching distribution": "the index cannot be reached, or does not offer that version for this Python; ",
    r"COPY failed|not found in build context": "the Dockerfile copies a file that the context does not contain; ",
}


def _meaning(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return next((what for pattern, what in _MEANINGS.items() if re.search(pattern, text)), "")


class BuildLog:
    """The output of a builder: the beginning in a file, the last lines in memory and, for a long log, in the file too.

    A build runs a stranger's commands, which may print without end.
    """

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=_LAST_LINES)  #: the last lines, safe to show
        self._room = MAX_BUILD_LOG
        self._file: IO[str] | None = None

    @contextmanager
    def kept_in(self, path: Path) -> Iterator[None]:
        """Write to `path`, which is replaced, for as long as the context lasts."""
        with path.open("w", encoding="utf-8") as self._file:
            try:
                yield
            finally:
                if self._room <= 0:
                    rest = "".join(f"{line}\n" for line in self.tail)
                    self._file.write(f"\n[... more output was dropped; the last lines follow ...]\n{rest}")

    def add(self, text: str) -> None:
        """Add one piece of output, without its colours."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        if self._file is not None and self._room > 0:
            self._file.write(text[: self._room])
            self._room -= len(text)
        lines = [line for line in text[-_LAST_LINES * _LINE :].splitlines() if line.strip()]
        self.tail.extend(redacted("".join(c for c in line if c.isprintable()))[:_LINE] for line in lines)


def _event_text(event: dict[str, Any]) -> str:
    if "stream" in event:
        return str(event["stream"])
    if "error" in event:
        return f"{event['error']}\n"
    if "status" in event:
        return f"{event['status']} {event.get('id', '')} {event.get('progress', '')}\n"
    return ""
