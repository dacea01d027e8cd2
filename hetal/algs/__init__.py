"""Query strategies, one a file: glue from a fitted network and the pool to `hetal.acquisition`."""

from hetal.algs.base import QueryStrategy

__all__ = ["QueryStrategy"]
