"""Others' sets in, ours out: `python -m distill import`, `python -m distill export`.

`importing` and `exporting` are the two commands. A file is opened by `formats`, its images and
labels are checked by `sound`, and what its pixels are is measured by `pixels`.
"""
