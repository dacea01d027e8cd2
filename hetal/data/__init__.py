"""Data sets, one source a file, each loaded as a `Task` by `load_...(..., n_train, rng)`, without pool or noise."""

from hetal.data.bundled import load_bundled
from hetal.data.digits import load_digits
from hetal.data.features import load_features
from hetal.data.folder import load_folder
from hetal.data.four_moons import load_four_moons
from hetal.data.huggingface import load_huggingface
from hetal.data.npy import load_npy
from hetal.data.npz import load_npz
from hetal.data.synthetic import load_synthetic
from hetal.data.table import load_table
from hetal.data.vision import load_torchvision

__all__ = [
    "load_bundled",
    "load_digits",
    "load_features",
    "load_folder",
    "load_four_moons",
    "load_huggingface",
    "load_npy",
    "load_npz",
    "load_synthetic",
    "load_table",
    "load_torchvision",
]
