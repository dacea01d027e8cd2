"""Training: a fresh network each round, its moving average, when to stop, and fine-tuning."""

from hetal.train.finetune import PseudoLabel
from hetal.train.fitted import Fitted
from hetal.train.learner import Learner
from hetal.train.stopping import Plateau, Threshold

__all__ = ["Fitted", "Learner", "Plateau", "PseudoLabel", "Threshold"]
