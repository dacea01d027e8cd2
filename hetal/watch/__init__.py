"""Watchers of a run: console, Weights & Biases, profiler, curves and pictures; they never change its result."""

from hetal.watch.tracker import NullTracker, Tracker
from hetal.watch.wandb import WandbTracker

__all__ = ["NullTracker", "Tracker", "WandbTracker"]
