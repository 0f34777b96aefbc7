"""Registry credentials of a build: those that can be read, since a missing helper program must not end a build.

``~/.docker/config.json`` may name helpers that keep the credentials (``credsStore``, ``credHelpers``). They often
outlive their programs: Docker Desktop was removed, a home folder is shared with a server. Only a private base image
needs them.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from docker.auth import AuthConfig
from docker.credentials.errors import StoreError
from docker.errors import DockerException

if TYPE_CHECKING:
    from docker import DockerClient

#: Seconds for all helpers together; one that waits for a key ring to be opened never answers.
HELPERS_S = 10.0


class _Read(AuthConfig):  # type: ignore[misc] # the library has no types
    """Credentials that were read; no helper is asked again."""

    @property
    def is_empty(self) -> bool:
        """False: the client would read its settings again, helpers included."""
        return False


def keep_readable_credentials(client: DockerClient, log: Callable[[str], None]) -> None:
    """Let `client` use the registry credentials that can be read now; say in the log why others cannot.

    Parameters
    ----------
    client
        A connected client; its builds send these credentials to the daemon.
    log
        Receives a warning where a helper does not work.
    """
    configured: AuthConfig = client.api._auth_configs  # noqa: SLF001 - the library offers no other way
    found: dict[str, Any] = {}
    problem = [f"no answer within {HELPERS_S:.0f} s"]

    def ask() -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a missing program; the error follows
                found.update(configured.get_all_credentials())
            problem.clear()
        except (StoreError, DockerException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            problem[:] = [" ".join(str(error).split()) or type(error).__name__]

    asking = threading.Thread(target=ask, name="credential-helpers", daemon=True)
    asking.start()
    asking.join(HELPERS_S)
    if problem:
        log(
            f"warning: the credential helper of the Docker client's config.json does not work ({problem[0]}); "
            "the build goes on without registry credentials, which only a private base image needs"
        )
        found = dict(configured.auths)
    client.api._auth_configs = _Read({"auths": found})  # noqa: SLF001
