"""Statements on models and findings as data: which rows, which findings, which direction.

The paper's own lie beside ``reported.json``; an organiser's file of the same form adds others. A key that does not
exist is refused with the nearest known one: a misspelt condition that is ignored would make a claim of other rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from harness.categories import CATEGORIES
from harness.errors import DataError, UnknownName
from harness.foreign import parse_toml
from leaderboard.published.facts import Facts

#: Groups of findings that a statement may name, beside the codes of categories, as the summary of a run calls them.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": ("all",),
    "focal": ("focal",),
    "non-focal": ("non_focal",),
    "small": ("by_size", "small"),
    "medium": ("by_size", "medium"),
    "large": ("by_size", "large"),
}

#: As `than_group`: every finding that is not of `group`.
OTHERS = "others"

#: Metrics of the paper that are means over findings, and how they are called.
METRICS = {"dice": "Mean Dice", "hit5": "HIT5", "hit10": "HIT10"}

_ALLOWED = f"one of {', '.join(GROUPS)}, or codes of categories such as '2e' or ['2d', '1e']"


def _several(value: Any) -> Any:
    """Return one text, or a list of them, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _group(value: Any) -> Any:
    """Return one group, or codes of categories, as a tuple."""
    names = _several(value)
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be {_ALLOWED}")
    unknown = [name for name in names if name not in CATEGORIES and (len(names) > 1 or name not in GROUPS)]
    if unknown:
        raise ValueError(f"must be {_ALLOWED}, not {unknown[0]}")
    return names


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
Group = Annotated[tuple[str, ...], BeforeValidator(_group)]
_Prompts = Literal["text", "structured-text", "box"]
_Trained = Literal["zero-shot", "fine-tuned", "trained on train", "trained on train and val"]
_Sees = Literal["2-D", "slices with memory", "3-D", "nothing"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Chosen(_Strict):
    """Which rows a statement is about, by what they declare; each condition names the values that are allowed."""

    model: Texts = ()  #: titles of models
    prompt: Annotated[tuple[_Prompts, ...], BeforeValidator(_several)] = ()
    trained: Annotated[tuple[_Trained, ...], BeforeValidator(_several)] = ()
    sees: Annotated[tuple[_Sees, ...], BeforeValidator(_several)] = ()

    def holds(self, facts: Facts) -> bool:
        """Return whether a row meets every condition; what is not known of it meets none."""
        return all(not (allowed := getattr(self, name)) or getattr(facts, name) in allowed for name in _CONDITIONS)

    @property
    def words(self) -> str:
        """Describe the rows, for example ``"rows of SAT (asked by text, fine-tuned)"``."""
        named = f"rows of {_either(self.model)}" if self.model else "rows"
        said = [f"asked by {_either(self.prompt)}"] if self.prompt else []
        said += [_either(self.trained)] if self.trained else []
        said += [f"seeing {_either(self.sees)}"] if self.sees else []
        return f"{named} ({', '.join(said)})" if said else named


_CONDITIONS = tuple(Chosen.model_fields)


class BoardStatement(_Strict):
    """One statement; it compares each row that it chooses with one thing: a group, other rows, or a number.

    Attributes
    ----------
    id, says
        Its short name, and the sentence.
    source, note
        Where it is said; what was decided here to make it testable. Empty where there is nothing to say.
    metric, group, direction
        What is compared, on which findings, and which way.
    rows
        The rows that it is about.
    than_group, than_rows, than
        What each of them is compared with: another group of findings, other rows on the same findings, a number.
    same_model
        Of `than_rows`: only rows of the same model and prompt.
    margin
        Of `than_rows`: the difference is held against this number, not against 0.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    says: Line
    source: Line | Literal[""] = ""
    note: Line | Literal[""] = ""
    metric: Literal["dice", "hit5", "hit10"] = "dice"
    rows: Chosen = Chosen()
    group: Group = ("all",)
    direction: Literal["higher", "lower"]
    than_group: Group | Literal["others"] | None = None
    than_rows: Chosen | None = None
    than: Annotated[float, Field(ge=0, le=1)] | None = None
    same_model: bool = False
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _one_comparison(self) -> BoardStatement:
        if sum(one is not None for one in (self.than_group, self.than_rows, self.than)) != 1:
            raise ValueError("needs exactly one of than_group, than_rows and than")
        if self.than_rows is None and (self.same_model or self.margin):
            raise ValueError("same_model and margin belong to than_rows")
        if self.than_group == OTHERS and self.group == ("all",):
            raise ValueError("no finding is left for than_group = 'others' where group is 'all'")
        if self.than_group == self.group:
            raise ValueError("than_group is the same as group")
        return self

    @property
    def meaning(self) -> str:
        """Say what is tested, in one sentence."""
        what = f"{METRICS[self.metric]} on {group_words(self.group)}"
        each = f"each of the {self.rows.words}"
        if self.than_group is not None:
            return f"{what} is {self.direction} than on {group_words(self.than_group)}, in {each}."
        if self.than_rows is None:
            return f"{what} is {self.direction} than {self.than:g}, in {each}."
        how: str = self.direction
        if self.margin:
            how = f"higher by {'more' if self.direction == 'higher' else 'less'} than {self.margin:g}"
        same = ", where model and prompt are the same" if self.same_model else ""
        return f"{what}: {each} is {how} than each of the {self.than_rows.words}{same}."

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The groups that it names, as the summary of a run calls them."""
        named = [*self.group, *(self.than_group if isinstance(self.than_group, tuple) else ())]
        return [GROUPS.get(name, ("by_category", name)) for name in named]


def group_words(group: tuple[str, ...] | str) -> str:
    """Return a group of findings in words."""
    if group == OTHERS:
        return "all other findings"
    if group == ("all",):
        return "all findings"
    if group[0] in GROUPS:
        return f"{group[0]} findings"
    return f"findings of {_either(group)}"


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def read_statements() -> tuple[BoardStatement, ...]:
    """Read the paper's statements from the package."""
    name = "statements.toml"
    return parse_statements(resources.files("leaderboard").joinpath(name).read_text(encoding="utf-8"), name)


def read_own_statements(path: Path, taken: Iterable[str]) -> tuple[BoardStatement, ...]:
    """Read an organiser's statements.

    Parameters
    ----------
    path
        A file of the form of ``leaderboard/statements.toml``.
    taken
        Ids that are in use.

    Raises
    ------
    UnknownName
        When a key does not exist.
    DataError
        When the file cannot be read, or a statement is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="name a text file", path=path) from error
    return parse_statements(text, str(path), taken)


def parse_statements(text: str, where: str, taken: Iterable[str] = ()) -> tuple[BoardStatement, ...]:
    """Read statements from TOML; `where` names the text in messages. See :func:`read_own_statements`."""
    try:
        content = parse_toml(text)
    except ValueError as error:
        raise DataError(f"{where} is not valid TOML: {error}", fix="correct it") from error
    _known(content, ["statement"], where)
    tables = content.get("statement")
    if not isinstance(tables, list) or not tables:
        raise DataError(f"{where} holds no statement", fix="write [[statement]] on a line, and its keys below")
    ids, found = set(taken), []
    for number, table in enumerate(tables, 1):
        statement = _statement(table, f"statement {number} of {where}")
        if statement.id in ids:
            raise DataError(f"{where}: the id {statement.id!r} is in use", fix="give the statement another id")
        ids.add(statement.id)
        found.append(statement)
    return tuple(found)


def _statement(table: Any, where: str) -> BoardStatement:
    if not isinstance(table, dict):
        raise DataError(f"{where} is not a table", fix="write [[statement]] on a line, and its keys below")
    _known(table, BoardStatement.model_fields, where)
    for name in ("rows", "than_rows"):
        if isinstance(table.get(name), dict):
            _known(table[name], Chosen.model_fields, f"{name} of {where}")
    try:
        return BoardStatement.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(
            str(part) for part in first["loc"] if part in {*BoardStatement.model_fields, *Chosen.model_fields}
        )
        said = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{where}: {f'{key}: ' if key else ''}{said}", fix="see docs/leaderboard.md") from error


def _known(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    known = list(keys)
    for key in table:
        if key not in known:
            raise UnknownName(f"key of {where}", key, known)
