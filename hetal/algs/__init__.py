"""Query strategies, one a file: each chooses the rows of the pool to buy, from the outputs of a fitted network."""

from hetal.algs.badge import BADGE
from hetal.algs.bald import BALD
from hetal.algs.base import QueryStrategy
from hetal.algs.batchbald import BatchBALD
from hetal.algs.bound import Balanced, Bound
from hetal.algs.clean_only import CleanOnly
from hetal.algs.coreset import CoreSet
from hetal.algs.epig import EPIG
from hetal.algs.fisher import Fisher, unweighted
from hetal.algs.kmeans import KMeans
from hetal.algs.lhd import LHD, hidden_only, loss_only
from hetal.algs.once import Once
from hetal.algs.random import Random
from hetal.algs.score import LogitScore, Score
from hetal.algs.scored import Scored
from hetal.algs.stochastic import Power, Softmax, SoftRank
from hetal.algs.wrapper import Wrapper

__all__ = [
    "BADGE",
    "BALD",
    "EPIG",
    "LHD",
    "Balanced",
    "BatchBALD",
    "Bound",
    "CleanOnly",
    "CoreSet",
    "Fisher",
    "KMeans",
    "LogitScore",
    "Once",
    "Power",
    "QueryStrategy",
    "Random",
    "Score",
    "Scored",
    "SoftRank",
    "Softmax",
    "Wrapper",
    "hidden_only",
    "loss_only",
    "unweighted",
]
