"""Training: a fresh network each round, its moving average, when to stop, and fine-tuning."""

from hetal.finetune import PseudoLabel
from hetal.fitted import Fitted
from hetal.learner import Learner
from hetal.stopping import Plateau, Threshold

__all__ = ["Fitted", "Learner", "Plateau", "PseudoLabel", "Threshold"]
