"""A deterministic chest-CT phantom with exact ground truth: the data set of the demo and of the tests.

A patient is drawn from analytic surfaces in millimetres (:mod:`~harness.phantom.patient`), filled with tissue
(:mod:`~harness.phantom.body`), airways and vessels (:mod:`~harness.phantom.trees`) and findings
(:mod:`~harness.phantom.findings`), sampled on a grid (:mod:`~harness.phantom.grid`) and scanned
(:mod:`~harness.phantom.scanner`). The grid decides only how finely the same patient is sampled.

Everywhere ``x``, ``y`` and ``z`` are millimetres towards the patient's left, back and head, with the carina near the
origin: the axes of the arrays, in their order.
"""
