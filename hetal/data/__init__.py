"""Data sets, one source a file, each loaded as a `Task` by `load_...(..., n_train, rng)`, without pool or noise."""

from hetal.data.digits import load_digits
from hetal.data.features import load_features
from hetal.data.four_moons import load_four_moons
from hetal.data.npy import load_npy
from hetal.data.npz import load_npz
from hetal.data.vision import load_torchvision

__all__ = ["load_digits", "load_features", "load_four_moons", "load_npy", "load_npz", "load_torchvision"]
