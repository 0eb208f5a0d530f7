"""One file is one table of `benchmarks.cost`.

A file holds
    TITLE, NOTE        in words; what the columns mean
    ONCE               True where each thing is measured once, whatever the turns; may be left out
    rows(settings)     measures (`benchmarks.cost.settings`), and gives the rows: plain values by
                       column, all rows alike

Ways of doing the same work take turns in one run, and a ratio is the median over the turns, so that
a machine that slows down for a while does not decide. With columns `varied`, `count`, `ms` and
`floor ms` a table is drawn as a figure too.
"""
