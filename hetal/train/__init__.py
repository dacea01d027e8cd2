"""Training of a fresh network each round: optimizers, losses, moving average, stopping rules, fine-tuning."""

from hetal.train.finetune import PseudoLabel
from hetal.train.fitted import Fitted
from hetal.train.learner import Learner
from hetal.train.losses import GCE, SCE, SmallLoss
from hetal.train.optim import Adam, AdamW
from hetal.train.schedule import warm_up_cosine
from hetal.train.stopping import Plateau, Threshold
from hetal.train.warm_start import LastWeights, ShrinkPerturb

__all__ = [
    "GCE",
    "SCE",
    "Adam",
    "AdamW",
    "Fitted",
    "LastWeights",
    "Learner",
    "Plateau",
    "PseudoLabel",
    "ShrinkPerturb",
    "SmallLoss",
    "Threshold",
    "warm_up_cosine",
]
