"""A deterministic chest-CT phantom with exact ground truth: the data set of the demo and of the tests.

A patient is drawn from analytic surfaces in millimetres (:mod:`~curation.phantom.patient`), filled with tissue
(:mod:`~curation.phantom.body`), airways and vessels (:mod:`~curation.phantom.trees`) and findings
(:mod:`~curation.phantom.findings`), sampled on a grid (:mod:`~curation.phantom.grid`) and scanned
(:mod:`~curation.phantom.scanner`). The grid decides only how finely the same patient is sampled.

Everywhere ``x``, ``y`` and ``z`` are millimetres towards the patient's left, back and head, with the carina near the
origin: the axes of the arrays, in their order.
"""
