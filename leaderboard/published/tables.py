"""The tables of a board's database: how they are made, and what a row of each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from leaderboard.published.run_file import RUN_TABLES, SUMS

#: Version of the tables below; raised when a reader of an older one would be misled.
SCHEMA_VERSION: Final = 8

#: The statements that make them; those of :data:`~leaderboard.published.run_file.SUMS` come to them.
CREATED: Final = """
create table about (name text primary key, value text not null);
create table data_sets (
  id text primary key, names text not null, fingerprint text not null, split text not null, licence text not null,
  terms text not null, n_cases integer not null, n_findings integer not null, sizes text not null,
  open integer not null);
create table runs (
  id text primary key, data_set text not null, kind text not null, level text not null, who text not null,
  plugin text not null, title text not null,
  plugin_version text not null, variant text not null, prompt text not null, fine_tuned integer not null,
  known_answer integer not null, engine text not null, image_id text not null, state text not null,
  created text not null, finished text, attempt integer not null, n_cases integer not null,
  n_findings integer, apart text not null, warnings text not null, plan text not null, record text not null,
  timing text not null);
create table comparisons (
  data_set text, profile text, first text, second text, difference real, low real, high real, p real,
  n integer not null, primary key (data_set, profile, first, second)) without rowid;
create table ranks (
  data_set text, profile text, run text, best integer not null, worst integer not null,
  "of" integer not null, chances text not null,
  primary key (data_set, profile, run)) without rowid;
create table statements (
  id text primary key, number integer not null, own integer not null, says text not null, meaning text not null,
  definition text not null);
create table statement_tests (
  data_set text, statement text, first text, second text, value real, other real, difference real, low real, high real,
  p real, n integer, n_other integer,
  primary key (data_set, statement, first, second)) without rowid;
create table findings (
  number integer primary key, data_set text not null, "case" text not null, finding text not null, category text,
  text text not null, truth_voxels integer, size_ratio real, volume_ul real);
"""

#: Each table and what a row of it is; the downloads page shows them. What is of one run alone is in its own file
#: (:mod:`leaderboard.published.run_file`), its sums in both where no newer run took its place.
TABLES: Final[Mapping[str, str]] = {
    "about": "what this file is",
    "data_sets": "one split of one data set, known by its content",
    "runs": "one run: one variant of one model on one split",
    **{name: f"{RUN_TABLES[name].what}; of the rows that stand" for name in SUMS},
    "comparisons": "two runs of one ranking on the same findings: mean difference of Dice, interval and p, which share "
    "one error rate with all others of the ranking",
    "ranks": "best and worst rank that the comparisons leave to a run, and how often it takes each when the cases "
    "are drawn again",
    "statements": "one sentence on models and findings that is tested; `own` for those of the organiser",
    "statement_tests": "one comparison that a statement rests on: a run and the second that it is compared with, which "
    "is empty for another group of findings or a number",
    "findings": "one finding of an open split: its text, category and size; its number is that of this file alone",
}
