"""Our side of the container wall: a container's input, how it is watched, and the copying of its output."""

from __future__ import annotations

#: Version of what crosses the wall, as `docs/contract.md` has it; stored with every run.
CONTRACT_VERSION = 1
