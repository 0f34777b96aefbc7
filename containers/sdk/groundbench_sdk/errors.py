"""What an adapter or a job did against the contract."""

from __future__ import annotations


class Rejected(ValueError):  # noqa: N818 - reads better where it is raised
    """The job or a mask does not follow the contract; the message states the fault."""
