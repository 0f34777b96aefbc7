"""``plugin.toml``: a declaration as data. It says everything that ``Model(...)`` says, and nothing of it is run.

The keys of the file are the fields of :class:`~harness.registry.declaration.Model`, its tables the records in them::

    name = "my-model"
    title = "My model"
    summary = "One line on what it is."
    version = "0.1.0"
    adapter = "adapter:Mine"

    [[variants]]
    name = "zero-shot"
    exposure = { value = "none", origin = "ours: it has no weights" }
    params = { low = -100, high = { value = 200, origin = "paper, section 3" } }

A key that does not exist is refused with the nearest known one. Errors are those of a declaration in Python.
"""

from __future__ import annotations

import dataclasses
import difflib
import stat
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.foreign import parse_toml
from harness.host.sizes import size
from harness.registry.constraints import DeclarationError, require, shown
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.origins import Params, Stated
from harness.registry.pinned import Source, Weights
from harness.registry.protocol import BoxRule
from harness.registry.resources import Resources

#: Name of the file in a plugin's folder.
FILE = "plugin.toml"

#: Bytes of the largest file that is read; the longest declaration of ours has 10 kB.
_LONGEST = 256 * 1024

#: Fields that a file cannot set: the folder is the one that holds it, and the ground truth is granted to nobody.
_NOT_HERE = {Model: {"root", "reads_truth"}, Weights: {"root"}}


def read_plugin_toml(folder: Path) -> Model:
    """Return the model that a folder's ``plugin.toml`` declares.

    Parameters
    ----------
    folder
        The plugin's folder; it becomes the model's root.

    Raises
    ------
    DeclarationError
        When the file cannot be read, is not TOML, has an unknown key, or breaks a rule of declarations.
    """
    model: Model = _record(Model, _tables(folder / FILE), "", _MODEL, root=folder)
    return model


def _tables(path: Path) -> dict[str, Any]:
    try:
        status = path.lstat()
        require(stat.S_ISREG(status.st_mode), f"{FILE} is a link or a special file; it must be a file")
        require(status.st_size <= _LONGEST, f"{FILE} has more than {size(_LONGEST)}")
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except OSError as error:
        raise DeclarationError(f"{FILE} cannot be read: {error.strerror}") from error
    try:
        return parse_toml(content)
    except ValueError as error:
        raise DeclarationError(f"{FILE} is not valid TOML: {error}") from error


_Reader = Callable[[Any, str], Any]


def _record(kind: type, table: Any, where: str, readers: Mapping[str, _Reader], **given: Any) -> Any:
    """Return a record of `kind` made of a table; `where` begins the name of a field in messages."""
    if not isinstance(table, dict):
        raise DeclarationError(f"{where.rstrip(': .')} must be a table, not {shown(table)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = fields.keys() - _NOT_HERE.get(kind, set())
    _refuse_unknown(table, known, where)
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    for name in required:
        if name not in table and name not in given:
            raise DeclarationError(f"{where}{name} is missing", field=f"{where}{name}")
    values = {name: readers[name](value, where + name) if name in readers else value for name, value in table.items()}
    return kind(**values, **given)


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key.casefold(), sorted(known), n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"
            raise DeclarationError(f"{where}{shown(key)[1:-1]} is not a key of a declaration; {hint}", field=key)


def _each(read: Callable[[Any, str], Any]) -> _Reader:
    """Return the reader of an array of tables, each named by its place, counted from 1."""

    def reader(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise DeclarationError(f"{where} must be an array of tables, [[{where}]], not {shown(value)}")
        return tuple(read(one, f"{where} {place}: ") for place, one in enumerate(value, 1))

    return reader


def _items(value: Any, _: str) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _choice(kind: type[Prompt | BoxRule]) -> _Reader:
    """Return the reader of a value of an enumeration; any other is left to the rule of the field."""
    return lambda value, _: kind(value) if value in list(kind) else value


def _stated(value: Any, where: str) -> Stated:
    """Return a value with its origin, of a table with both; the rule of the field checks them."""
    if not isinstance(value, dict):
        raise DeclarationError(f'{where} must be {{ value = …, origin = "…" }}, not {shown(value)}', field=where)
    _refuse_unknown(value, {"value", "origin"}, f"{where}.")
    return Stated(value.get("value"), value.get("origin", ""))


def _params(value: Any, where: str) -> Any:
    """Return parameters, each a plain value or a table with its origin. TOML has no None: a table without a value."""
    if not isinstance(value, dict):
        return value
    return Params(
        {name: _stated(one, f"{where}.{name}") if isinstance(one, dict) else one for name, one in value.items()}
    )


_VARIANT: Mapping[str, _Reader] = {
    "params": _params,
    "prompt": _choice(Prompt),
    "boxes": _choice(BoxRule),
    "exposure": _stated,
    "weights": _items,
}


def _variants(value: Any, where: str) -> tuple[Variant, ...]:
    """Return variants; one with the key `trained` is an earlier one, fine-tuned by the SDK's loop."""
    made: list[Variant] = []

    def read(table: Any, at: str) -> Variant:
        if not isinstance(table, dict) or "trained" not in table:
            variant: Variant = _record(Variant, table, at, _VARIANT)
        else:
            variant = _trained(dict(table), at, {one.name: one for one in made})
        made.append(variant)
        return variant

    return tuple(_each(read)(value, where))


def _trained(table: dict[str, Any], where: str, earlier: Mapping[str, Variant]) -> Variant:
    of = table.pop("trained")
    if not isinstance(of, str) or of not in earlier:
        known = ", ".join(earlier) or "there is none"
        raise DeclarationError(f"{where}trained must be the name of a variant above it ({known}), not {shown(of)}")
    _refuse_unknown(table, {"name", "params", "reduced", "summary"}, where)
    for name in ("params", "reduced"):
        one = table.get(name, {})
        require(isinstance(one, dict), f"{where}{name} must be a table, not {shown(one)}", field=f"{where}{name}")
    fields = {name: table[name] for name in ("name", "reduced", "summary") if name in table}
    return earlier[of].trained(_params(table.get("params", {}), f"{where}params"), **fields)


def _source(table: Any, where: str) -> Source:
    made: Source = _record(Source, table, where, {"mirrors": _items})
    return made


def _weights(table: Any, where: str) -> Weights:
    """Return one file of weights; its name is the last part of its path or address unless it has one."""
    if isinstance(table, dict) and "name" not in table:
        place = table.get("file") or urlsplit(str(table.get("url", ""))).path
        if isinstance(place, str) and place:
            table = {"name": PurePosixPath(unquote(place)).name, **table}
    made: Weights = _record(Weights, table, where, {})
    return made


def _resources(table: Any, where: str) -> Resources:
    made: Resources = _record(Resources, table, f"{where}.", {})
    return made


_MODEL: Mapping[str, _Reader] = {
    "resources": _resources,
    "training": _resources,
    "variants": _variants,
    "sees": _stated,
    "sources": _each(_source),
    "weights": _each(_weights),
}
