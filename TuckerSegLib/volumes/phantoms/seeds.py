"""Which phantoms are for what: one range of seeds for each use, so that nothing is measured on what it was made from.

A seed belongs to one use alone. Whoever needs phantoms for something new adds a range here.
"""

TRAINING = range(200)
"""The sample models are trained on these, the small one on the first 90."""

VALIDATION = range(1000, 1006)
"""The epochs of the sample models' trainings are compared on these."""

SETTINGS = range(1006, 2000)
"""The settings of the sample models' trainings, and of methods, may be chosen on these."""

CALIBRATION = range(2000, 2004)
"""Compressed layers are fitted to patches of these, where the user names no images."""

AGREEMENT = range(2004, 2016)
"""The agreement that a level is said to have is measured on these. Some are harder than others: few say little."""

STUDIES = range(4000, 4020)
"""The studies of accuracy and the benchmarks that the documents report were run on these."""

RESEARCH = range(5000, 5008)
"""New methods are tried out on these before they become part of the product."""

FRONTIER = range(6000, 6020)
"""The tables of accuracy at given seconds are measured on these, which nothing was trained, fitted or chosen on."""

SAMPLE_TEST = range(9000, 9010)
"""The tests hold the sample model's accuracy on these."""

DEMONSTRATION = SAMPLE_TEST[1]
"""What `tuckerseg demo` and the panel show: one of those that the sample model never saw."""

TESTS = range(9010, 9200)
"""All other tests of the product that look at the sample model's answers use these."""

DISTILLATION = range(20_000, 20_096)
"""A compressed network learns the original's answers on these, where the user names no images."""
