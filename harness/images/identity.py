"""Which image of an engine is that of a build context: by its tag, else by the labels and layers that it carries.

A tag is a digest of the context and of the id that the base has in this engine, so that a base which was pulled anew
gives a new image. An image that comes from elsewhere has the tag of the engine that built it. What it carries is the
same wherever it lies: a label with the digest of its context, and its first layers, which are those of its base.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from harness.images.context import BaseContext, BuildContext

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image as EngineImage

#: Label of everything that groundbench makes in an engine; `bench clean` and the reaper select by it.
LABEL = "org.groundbench"

#: Labels with the digest of the context that an image was built from, and with the model's name.
CONTEXT_LABEL = f"{LABEL}.context"
PLUGIN_LABEL = f"{LABEL}.plugin"

#: Label that says whether an image may be passed on: ``yes``, ``no`` or ``unknown``.
REDISTRIBUTION_LABEL = f"{LABEL}.redistribution"

#: Label with the build of torch in an image: its device and the digest of its lock.
TORCH_LABEL = f"{LABEL}.torch"


def recognise(client: DockerClient, context: BuildContext, base: str) -> EngineImage | None:
    """Return the engine's image of a context; None where it has none, or only one on another base.

    Parameters
    ----------
    client
        A connected client of the engine.
    context
        What the image is made from.
    base
        The image that builds begin with. Where this engine does not have it, an image of the context is taken on
        whichever base it was built; of several the newest.
    """
    found = get(client, imported_tag(context.name, context.digest())) or get(client, tag_of(client, context, base))
    if found is not None:
        return found
    beneath = get(client, base)
    layers = [] if beneath is None else layers_of(beneath)
    fit = [
        image
        for image in carrying(client, {CONTEXT_LABEL: context.digest(), PLUGIN_LABEL: context.name})
        if layers_of(image)[: len(layers)] == layers
    ]
    return max(fit, key=lambda image: str(image.attrs.get("Created", "")), default=None)


def imported_tag(plugin: str, context: str) -> str:
    """Return the tag of an image that was imported by name: it is that of its context on whichever base it was built.

    Parameters
    ----------
    plugin, context
        The model, and the digest of the context (hex).
    """
    return f"groundbench/{plugin}:imported-{context[:16]}"


def carrying(client: DockerClient, labels: dict[str, str]) -> list[EngineImage]:
    """Return the images that carry all of these labels."""
    # One of them to the engine: Podman 4 finds nothing with two.
    first = next(f"{name}={value}" for name, value in labels.items())
    found = client.images.list(filters={"label": first})
    return [image for image in found if labels.items() <= (image.labels or {}).items()]


def layers_of(image: EngineImage) -> list[str]:
    """Return the digests of an image's unpacked layers, the lowest first: the same in every engine."""
    root: dict[str, Any] = image.attrs.get("RootFS") or {}
    return [str(layer) for layer in root.get("Layers") or ()]


def tag_of(client: DockerClient, context: BuildContext, base: str) -> str:
    """Return the tag that the image of a context has when it is built here, from the image `base` up."""
    return tag_on(client, context, base if context.base is None else tag_on(client, context.base, base))


def tag_on(client: DockerClient, context: BuildContext | BaseContext, beneath: str) -> str:
    """Return the tag of the image that `context` makes on the image `beneath`: a digest of both contents."""
    digest = hashlib.sha256(f"{context.digest()} {beneath} {id_of(client, beneath)}".encode()).hexdigest()
    return f"groundbench/{context.name}:{digest[:16]}"


def id_of(client: DockerClient, image: str) -> str:
    """Return the engine's id of an image; empty where it does not have it."""
    found = get(client, image)
    return "" if found is None else str(found.id)


def get(client: DockerClient, image: str) -> EngineImage | None:
    """Return an image by its tag or id; None where the engine does not have it."""
    import docker.errors

    try:
        return client.images.get(image)
    except docker.errors.ImageNotFound:
        return None
