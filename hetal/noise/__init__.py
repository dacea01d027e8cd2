"""Noise settings, one a file: corruptions of a clean training set, called as `noise(train, n_classes, rng, ...)`."""

from hetal.noise.ambiguous import ambiguous_noise
from hetal.noise.asymmetric import asymmetric_noise
from hetal.noise.blank import blank_noise
from hetal.noise.class_ import class_noise
from hetal.noise.clean import no_noise
from hetal.noise.copies import copied_class_noise
from hetal.noise.corrupt import Corrupt, corrupt
from hetal.noise.diverse import diverse_noise
from hetal.noise.human import human_noise
from hetal.noise.instance import instance_noise
from hetal.noise.long_tail import long_tail_noise
from hetal.noise.mixed import mixed
from hetal.noise.near_copies import near_copies_noise
from hetal.noise.open_set import open_set_noise
from hetal.noise.pool import NoisyPool
from hetal.noise.redundant import redundant_noise
from hetal.noise.regional import regional_noise
from hetal.noise.rows import extend, in_place, relabel
from hetal.noise.symmetric import symmetric_noise
from hetal.noise.votes import vote_noise

__all__ = [
    "Corrupt",
    "NoisyPool",
    "ambiguous_noise",
    "asymmetric_noise",
    "blank_noise",
    "class_noise",
    "copied_class_noise",
    "corrupt",
    "diverse_noise",
    "extend",
    "human_noise",
    "in_place",
    "instance_noise",
    "long_tail_noise",
    "mixed",
    "near_copies_noise",
    "no_noise",
    "open_set_noise",
    "redundant_noise",
    "regional_noise",
    "relabel",
    "symmetric_noise",
    "vote_noise",
]
