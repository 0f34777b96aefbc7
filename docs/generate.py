"""Write the generated parts of the documentation; the tests check that they are up to date."""  # noqa: INP001

from __future__ import annotations

import json
from pathlib import Path

from harness.contract import schemas

CONTRACT = Path(__file__).resolve().parent / "contract.md"
_BEGIN, _END = "<!-- schemas: generated, do not edit -->\n", "<!-- end of schemas -->\n"


def with_schemas(text: str) -> str:
    """Return the contract's text with the schemas of all records between the two markers."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    blocks = [f"### `{name}`\n\n```json\n{json.dumps(schema, indent=2)}\n```\n" for name, schema in schemas().items()]
    return before + _BEGIN + "\n" + "\n".join(blocks) + "\n" + _END + after


if __name__ == "__main__":
    CONTRACT.write_text(with_schemas(CONTRACT.read_text(encoding="utf-8")), encoding="utf-8")
