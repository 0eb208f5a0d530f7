"""What things cost: a module for each table of `benchmarks.cost`.

Each has TITLE and NOTE, in words, and `rows(turns, device)`, which measures and gives the table's
rows as plain values. Ways of doing the same work take turns in one run, and a ratio is the median
over the turns, so that a machine that slows down for a while does not decide.
"""

PARTS = ("step", "networks", "continual_step", "trial", "startup", "growth", "memory")
"""The modules, in the order of the report."""
