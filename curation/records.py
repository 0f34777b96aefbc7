"""What goes into and comes out of the steps: typed records, and the form in which the paper prints them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from curation.schema import CODES, REGIONS
from curation.text.sentences import split_sentences

#: How an empty section is worded, in the paper's words.
NOT_GIVEN: Final = "Not Given"

SentenceCode = Annotated[str, Field(pattern=r"^[FILHMCNBA](0|[1-9][0-9]{0,3})$")]
Words = Annotated[str, Field(min_length=1, max_length=20_000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CategoryCode = Annotated[str, Field(pattern=rf"^(?:{'|'.join(CODES)})$")]


class Record(BaseModel):
    """Base of all records: frozen, and strict about their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Report(Record):
    """One report as delivered; a section that reads "not given" is empty."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    findings: str
    impressions: str

    @property
    def report_sha256(self) -> str:
        """The digest of both sections as they were read, by which all that is made of the report can be led back."""
        return hashlib.sha256(f"{self.findings}\0{self.impressions}".encode()).hexdigest()


class OfReport(Record):
    """Base of what is made of a report."""

    report_sha256: Digest | None = None  #: of the report; None: made by a version that did not keep it


class SplitReport(OfReport):
    """A report cut into sentences. Sentence n of the findings has the code ``Fn``, of the impressions ``In``."""

    id: str
    findings: tuple[Words, ...]
    impressions: tuple[Words, ...]

    def coded(self) -> dict[str, str]:
        """Return the sentences by code: the input of Figure S3."""
        return {f"F{n}": text for n, text in enumerate(self.findings)} | {
            f"I{n}": text for n, text in enumerate(self.impressions)
        }

    @classmethod
    def from_coded(cls, id_: str, coded: Mapping[str, str]) -> Self:
        """Make the record from sentences by code; raises ValueError where a code is missing or unknown."""
        parts: dict[str, list[str]] = {"F": [], "I": []}
        for code, text in coded.items():
            if not re.fullmatch(r"[FI]\d+", code) or int(code[1:]) != len(parts[code[0]]):
                raise ValueError(f"{code} is out of order")
            parts[code[0]].append(text)
        return cls(id=id_, findings=tuple(parts["F"]), impressions=tuple(parts["I"]))


class Line(Record):
    """One rewritten sentence, and the sentences of the report that it restates."""

    text: Words
    sources: tuple[SentenceCode, ...]


class Dropped(Record):
    """A sentence that does not belong to a radiology report, and why."""

    source: SentenceCode
    reason: Words


class RewrittenReport(OfReport):
    """A report in US radiology English, its findings by region."""

    id: str
    regions: dict[Annotated[str, Field(pattern="^[LHMCNBA]$")], tuple[Line, ...]]  #: letter -> sentences, in order
    impressions: tuple[Line, ...]
    dropped: tuple[Dropped, ...] = ()

    def to_paper_form(self) -> dict[str, Any]:
        """Return the output of Figure S3: sentences by the region's name, and the impressions as one string."""
        return {
            "Findings": {
                name: [line.text for line in self.regions.get(letter, ())] for name, letter in REGIONS.items()
            },
            "Impressions": " ".join(line.text for line in self.impressions) or NOT_GIVEN,
        }

    def coded(self) -> dict[str, dict[str, str]]:
        """Return the sentences by code: the input of Figure S5 (``L0`` is the first one of the lungs)."""
        findings = {
            f"{letter}{n}": line.text
            for letter in REGIONS.values()
            for n, line in enumerate(self.regions.get(letter, ()))
        }
        return {
            "Findings": findings,
            "Impressions": {f"I{n}": line.text for n, line in enumerate(self.impressions)},
        }

    def sentences(self) -> dict[str, str]:
        """Return all sentences by code, the impressions last."""
        coded = self.coded()
        return coded["Findings"] | coded["Impressions"]

    @classmethod
    def from_paper_form(cls, id_: str, answer: Mapping[str, Any]) -> Self:
        """Make the record from the output of Figure S3, which does not say where its sentences come from.

        Raises
        ------
        ValueError
            A region is missing or unknown.
        """
        findings = answer["Findings"]
        if set(findings) != set(REGIONS):
            raise ValueError(f"the regions are {sorted(findings)}, not {sorted(REGIONS)}")
        text = answer["Impressions"]
        impressions = [] if text.strip().rstrip(".").lower() == NOT_GIVEN.lower() else split_sentences(text)
        return cls(
            id=id_,
            regions={
                letter: tuple(Line(text=sentence, sources=()) for sentence in findings[name])
                for name, letter in REGIONS.items()
            },
            impressions=tuple(Line(text=sentence, sources=()) for sentence in impressions),
        )

    @classmethod
    def from_coded(cls, id_: str, coded: Mapping[str, Mapping[str, str]]) -> Self:
        """Make the record from sentences by code, the input of Figure S5."""
        regions: dict[str, list[Line]] = {letter: [] for letter in REGIONS.values()}
        for code, text in coded["Findings"].items():
            regions[code[0]].append(Line(text=text, sources=()))
        return cls(
            id=id_,
            regions={letter: tuple(lines) for letter, lines in regions.items()},
            impressions=tuple(Line(text=text, sources=()) for text in coded["Impressions"].values()),
        )


class Phrase(Record):
    """One distinct finding, or a statement that something is normal."""

    text: Words
    codes: tuple[SentenceCode, ...]  #: sentences of the rewritten report that it comes from
    abnormal: bool
    prior: bool  #: whether it speaks of an earlier examination
    uncertain: bool = False  #: whether it leaves open if the finding is there, or asks for it


class ExtractedReport(OfReport):
    """The distinct phrases of a report."""

    id: str
    phrases: tuple[Phrase, ...]

    def to_paper_form(self) -> dict[str, list[str]]:
        """Return the output of Figure S5: ``{"S1": [phrase, codes, abnormal, prior]}``."""
        letter = {True: "Y", False: "N"}
        return {
            f"S{n}": [phrase.text, ",".join(phrase.codes), letter[phrase.abnormal], letter[phrase.prior]]
            for n, phrase in enumerate(self.phrases, start=1)
        }

    @classmethod
    def from_paper_form(cls, id_: str, answer: Mapping[str, Sequence[str]]) -> Self:
        """Make the record from the output of Figure S5; raises ValueError where a value is none of Y and N."""
        phrases = []
        for key, (text, codes, abnormal, prior) in answer.items():
            if not {abnormal, prior} <= {"Y", "N"}:
                raise ValueError(f"{key}: {abnormal!r} and {prior!r} should be Y or N")
            split = tuple(code.strip() for code in codes.split(",") if code.strip())
            phrases.append(Phrase(text=text, codes=split, abnormal=abnormal == "Y", prior=prior == "Y"))
        return cls(id=id_, phrases=tuple(phrases))

    def positives(self) -> dict[str, str]:
        """Return the abnormal phrases as ``{"P1": text}``: the input of Figures S7 and S8."""
        texts = (phrase.text for phrase in self.phrases if phrase.abnormal)
        return {f"P{n}": text for n, text in enumerate(texts, start=1)}


class CategorizedFinding(Phrase):
    """An abnormal phrase with its category."""

    category: CategoryCode
    #: how sure the offline classifier is, 0 to 1; None: a language model or a person gave the category
    score: Annotated[float, Field(ge=0, le=1)] | None = None


class CategorizedReport(OfReport):
    """The abnormal phrases of a report with their categories."""

    id: str
    findings: tuple[CategorizedFinding, ...]

    def to_paper_form(self) -> dict[str, str]:
        """Return the output of Figures S7 and S8: ``{"P1": code}``."""
        return {f"P{n}": finding.category for n, finding in enumerate(self.findings, start=1)}


class Excluded(Record):
    """A finding that is not annotated, and why."""

    text: Words
    category: CategoryCode
    reason: Words


class SelectedReport(OfReport):
    """The findings of a scan that are annotated: finding n becomes channel n of the mask."""

    id: str
    findings: tuple[CategorizedFinding, ...]
    excluded: tuple[Excluded, ...] = ()
