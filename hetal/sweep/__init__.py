"""Sweeps: the jobs of a multirun, their worker processes, and Hydra's launchers."""

from hetal.sweep.callback import Sweep

__all__ = ["Sweep"]
