"""Questions that the SQLite download answers, as SQL that can be run as it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A question and its answer in SQL."""

    question: str
    sql: str


#: What a reader asks most; each runs on any ``whole.sqlite``, which ``join.py`` makes.
QUERIES = (
    Query(
        "Which rows are best on one category (2d: nodules and masses)?",
        """select data_sets.split, runs.title, runs.variant, value, low, high, n
from metrics join runs on runs.id = metrics.run join data_sets on data_sets.id = runs.data_set
where profile = 'mlhc2025' and metric = 'dice' and grp = 'by_category/2d' and apart = '[]' and value is not null
order by data_sets.id, value desc;""",
    ),
    Query(
        "Which ten findings does the best ranked row do worst on, and where do its masks lie?",
        """select findings."case", findings.finding, category, dice, status, placement, text
from scores join findings using (number)
where run = (select run from ranks join metrics using (run, profile)
  where profile = 'mlhc2025' and metric = 'dice' and grp = 'all' order by best, worst, value desc, run limit 1)
order by dice, number limit 10;""",
    ),
    Query(
        "On how many findings is the first of two rows better than the second, for every compared pair?",
        """select first, second, sum(a.dice > b.dice) as first_better, sum(a.dice < b.dice) as second_better,
  sum(a.dice = b.dice) as equal, p
from comparisons join scores as a on a.run = first join scores as b on b.run = second and b.number = a.number
where profile = 'mlhc2025' group by comparisons.data_set, first, second order by 1, 2;""",
    ),
    Query(
        "What failed, and why?",
        """select runs.title, runs.variant, cases.status, count(*) as cases, min(cases.reason) as a_reason
from cases join runs on runs.id = cases.run where cases.status <> 'ok'
group by runs.id, cases.status order by cases desc, runs.id;""",
    ),
    Query(
        "What are the challenge's numbers, computed from single findings?",
        """with one as (
  select run, "case", coalesce(tp, 0) as tp, coalesce(fp, 0) as fp,
    case status when 'ok' then fn else coalesce(truth_entities, 0) end as fn,
    case status when 'ok' then (2.0 * kept_intersection + 1e-6) / (truth_voxels + kept_voxels + 1e-6)
      else 0.0 end as dice
  from scores join findings using (number)
)
select run, avg(dice) as dice, avg(dice >= 0.1) as hit,
  coalesce(2.0 * sum(tp) / nullif(2 * sum(tp) + sum(fp) + sum(fn), 0), 1.0) as instance_f1,
  (select avg(mean) from (select avg(inner_one.dice) as mean from one as inner_one where inner_one.run = one.run
    group by inner_one."case")) as dice_per_case
from one group by run order by dice desc, run;""",
    ),
)


def as_file() -> bytes:
    """Return all of them as one file for ``sqlite3 whole.sqlite < queries.sql``."""
    return "\n".join(f"-- {query.question}\n{query.sql}\n" for query in QUERIES).encode()
