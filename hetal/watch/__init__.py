"""What follows a run and changes nothing in it: the console, Weights & Biases, the profiler, curves and pictures."""

from hetal.watch.wandb import NullTracker, WandbTracker

__all__ = ["NullTracker", "WandbTracker"]
