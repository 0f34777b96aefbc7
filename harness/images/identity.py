"""Which image of an engine is that of a build context: by its tag, else by the labels and layers that it carries.

A tag is a digest of the context and of the id that the base has in this engine, so that a base which was pulled anew
gives a new image. An image that comes from elsewhere has the tag of the engine that built it. What it carries is the
same wherever it lies: a label with the digest of its context, and its first layers, which are those of its base.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from harness.images.context import BaseContext, BuildContext
from harness.images.own import OwnImages

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


def recognise(
    client: DockerClient, context: BuildContext, base: str, own: OwnImages | None = None
) -> EngineImage | None:
    """Return the engine's image of a context; None where it has none, or only one on another base.

    A tag alone proves nothing: an image is taken only with the labels of the context, on the layers of the base, and,
    where this home knows its tag, with the id that it had.

    Parameters
    ----------
    client
        A connected client of the engine.
    context
        What the image is made from.
    base
        The image that builds begin with. Where this engine does not have it, an image of the context is taken on
        whichever base it was built; of several the one that this home has made, with the fewest layers, the newest.
    own
        The list of this home; None: nothing is known of earlier ids.
    """
    digest = context.digest()
    labels = {CONTEXT_LABEL: digest, PLUGIN_LABEL: context.name}
    imported = imported_tag(context.name, digest)
    known = beneath_of(context, base)
    for tag, beneath in ((imported, ""), (tag_of(client, context, base), known)):
        found = get(client, tag)
        if found is not None and is_genuine(client, found, tag, labels=labels, base=beneath, own=own):
            return found
    if known == context.stands_on and id_of(client, known):
        return None  # the tag tells which image of that name it stands on; the layers of one made anew may be the same
    fit = [
        image
        for image in carrying(client, labels)
        if all(is_genuine(client, image, tag, labels=labels, base=known, own=own) for tag in image.tags or [""])
    ]
    made = {image for _, image in own.made()} if own is not None else set()

    def rank(image: EngineImage) -> tuple[bool, int, str]:
        """Prefer what this home has made: what somebody builds from it inherits its labels, and adds layers."""
        return str(image.id) in made, -len(layers_of(image)), str(image.attrs.get("Created", ""))

    return max(fit, key=rank, default=None)


def beneath_of(context: BuildContext | BaseContext, base: str) -> str:
    """Return the image whose layers that of a context begins with: `base`, or the one that its Dockerfile names."""
    continues = isinstance(context, BuildContext) and context.base is not None
    return base if context.begins_with_base or continues else context.stands_on


def is_genuine(
    client: DockerClient,
    image: EngineImage,
    tag: str,
    *,
    labels: dict[str, str],
    base: str,
    own: OwnImages | None,
) -> bool:
    """Return whether an image under a tag is what the tag says.

    Parameters
    ----------
    client
        A connected client of the engine.
    image, tag
        The image, and the tag that it was found under.
    labels
        What it must carry.
    base
        The image whose layers it must begin with; empty, or one that the engine does not have: any.
    own
        The list of this home, which knows the id that it gave a tag to.
    """
    beneath = get(client, base) if base else None
    layers = [] if beneath is None else layers_of(beneath)
    return (
        labels.items() <= (image.labels or {}).items()
        and layers_of(image)[: len(layers)] == layers
        and not (own is not None and own.is_another(tag, str(image.id)))
    )


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
    content = f"{context.digest()} {beneath} {id_of(client, beneath)}"
    if context.stands_on:
        content += f" {id_of(client, context.stands_on)}"
    digest = hashlib.sha256(content.encode()).hexdigest()
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
