"""The image that builds begin with: what every registry calls it, and which operating system it holds.

Both are written into labels when an image is built on it, and travel with the image. The digest is the one by which the
engine knows the image under this name: the registry's where it was pulled; some engines make one for what was built or
loaded. What an engine does not know is empty. All labels are always set, so that no Dockerfile sets them.
"""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING

from harness.foreign import content_of, open_tar
from harness.images.identity import LABEL, get

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image as EngineImage

#: Labels with the base's name, the digest of its manifest (both as OCI names them), and its operating system.
NAME_LABEL = "org.opencontainers.image.base.name"
DIGEST_LABEL = "org.opencontainers.image.base.digest"
SYSTEM_LABEL = f"{LABEL}.system"

#: Where a system states its release; ``/etc/os-release`` is a link to it.
_RELEASE = "/usr/lib/os-release"
_MOST = 64 * 1024


def base_labels(client: DockerClient, base: str) -> dict[str, str]:
    """Return the labels of an image whose build begins with `base`, as far as this engine knows it.

    Parameters
    ----------
    client
        A connected client of the engine.
    base
        The name by which the build begins: a tag, or ``name@sha256:…``. Empty for an image that begins elsewhere.
    """
    labels = dict.fromkeys((NAME_LABEL, DIGEST_LABEL, SYSTEM_LABEL), "")
    found = get(client, base) if base else None
    if found is None:
        return labels | {NAME_LABEL: base}
    known = (str(name).rpartition("@") for name in found.attrs.get("RepoDigests") or ())
    own = _repository(re.sub(r"(@sha256:[0-9a-f]+|:[^/:@]+)$", "", base))
    digest = next((digest for repository, _, digest in known if _repository(repository) == own), "")
    return {NAME_LABEL: base, DIGEST_LABEL: digest, SYSTEM_LABEL: _system(client, str(found.id))}


def _repository(name: str) -> str:
    """Return the one spelling of a repository's name, of those that engines use for the default registry."""
    return re.sub(r"^docker\.io/(library/)?", "", name)


def inherited(client: DockerClient, image: str) -> dict[str, str]:
    """Return the labels of an image that continues one of ours: the same."""
    found = get(client, image)
    labels = {} if found is None else found.labels or {}
    return {name: labels.get(name, "") for name in (NAME_LABEL, DIGEST_LABEL, SYSTEM_LABEL)}


def base_of(image: EngineImage) -> str:
    """Return the base that an image was built on, with its digest where that was known; empty where nothing says so."""
    labels = image.labels or {}
    name, digest = labels.get(NAME_LABEL, ""), labels.get(DIGEST_LABEL, "")
    return name if not digest or "@" in name else f"{name}@{digest}"


def system_of(image: EngineImage) -> str:
    """Return the operating system of the base that an image was built on; empty where nothing says so."""
    return str((image.labels or {}).get(SYSTEM_LABEL, ""))


def _system(client: DockerClient, image: str) -> str:
    """Return the name and release of the system in an image, from a container that is never started."""
    import docker.errors
    import requests

    # An empty archive and a link that leads out of it are lookups that fail.
    unknown = (docker.errors.DockerException, requests.exceptions.RequestException, ValueError, LookupError)
    with contextlib.suppress(*unknown):
        container = client.api.create_container(image, command=["true"])["Id"]
        try:
            stream, _ = client.api.get_archive(container, _RELEASE)
            packed = io.BytesIO()
            for chunk in stream:
                packed.write(chunk)
                if packed.tell() > _MOST:
                    return ""
            packed.seek(0)
            with open_tar(packed) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                text = "" if file is None else content_of(file, most=_MOST).decode("utf-8", "replace")
        finally:
            client.api.remove_container(container, force=True, v=True)
        stated = re.search(r'^PRETTY_NAME=(["\']?)([^"\'\n]{1,200})\1$', text, re.MULTILINE)
        return stated[2] if stated and stated[2].isprintable() else ""
    return ""
