"""Losses for training on labels part of which is noise."""

from hetal.train.losses.gce import GCE
from hetal.train.losses.sce import SCE
from hetal.train.losses.small_loss import SmallLoss

__all__ = ["GCE", "SCE", "SmallLoss"]
