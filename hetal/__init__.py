"""hetal: pool-based neural active learning on heteroskedastic pools.

Shapes are written as name suffixes, one letter an axis:

    N  rows of the pool          M  distinct images         B  rows of one query
    C  classes                   D  features                K  stochastic passes
    L  labelled rows             S  seeds

An *id* is a row of the pool, everywhere; nothing returns a position inside a subset. A row shows one
distinct image, `source_N[id]`; what depends on the image alone is computed once per image.
"""

__version__ = "0.1.0"
