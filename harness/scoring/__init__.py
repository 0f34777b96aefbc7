"""Scoring: masks in, numbers out; no database, no command line.

:mod:`~harness.scoring.case` turns the masks of one case into counts, :mod:`~harness.scoring.summary` turns the counts
of a whole split into the metrics of a profile (:mod:`~harness.scoring.profiles`), with intervals
(:mod:`~harness.scoring.statistics`). :mod:`~harness.scoring.comparison` compares rows. ``docs/scoring.md`` has every
formula and the value of every edge case.
"""

from __future__ import annotations

#: Changes whenever any number could change; stored with every run. What is only added beside the numbers, such as the
#: other findings that a mask is like, leaves it: rows that lack it stay comparable, and show it as not known.
SCORER_VERSION = "4"
