"""Watchers of a run: console, Weights & Biases, profiler, curves and pictures; they never change its result."""

from hetal.watch.wandb import NullTracker, WandbTracker

__all__ = ["NullTracker", "WandbTracker"]
