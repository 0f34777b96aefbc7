"""Read what came from elsewhere: JSON, TOML, archives and databases, each within bounds, each fault a ValueError.

This is the only room that calls the parsers themselves: the linter bans them elsewhere (``banned-api`` in
``pyproject.toml``). Everything else asks here, so that no file of a stranger can cost more than its reader allows:
bytes as they are *unpacked*, entries, levels, digits, and work.
"""

from harness.foreign.archives import content_of, is_zip, member_of, open_tar, open_zip, unzipped
from harness.foreign.databases import open_database
from harness.foreign.documents import parse_json, parse_toml, read_json_file

__all__ = [
    "content_of",
    "is_zip",
    "member_of",
    "open_database",
    "open_tar",
    "open_zip",
    "parse_json",
    "parse_toml",
    "read_json_file",
    "unzipped",
]
