"""Sweeps: the jobs of a multirun, the processes that run them, and Hydra's launchers."""

from hetal.sweep.callback import Sweep

__all__ = ["Sweep"]
