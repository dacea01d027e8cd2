"""Training of a fresh network each round: moving average, stopping rules, fine-tuning."""

from hetal.train.finetune import PseudoLabel
from hetal.train.fitted import Fitted
from hetal.train.learner import Learner
from hetal.train.stopping import Plateau, Threshold

__all__ = ["Fitted", "Learner", "Plateau", "PseudoLabel", "Threshold"]
