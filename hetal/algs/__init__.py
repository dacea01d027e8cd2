"""Query strategies, one a file: each chooses the rows of the pool to buy, from the outputs of a fitted network."""

from hetal.algs.alfamix import AlfaMix
from hetal.algs.badge import BADGE
from hetal.algs.bald import BALD
from hetal.algs.base import QueryStrategy
from hetal.algs.bound import Balanced, Bound
from hetal.algs.class_balanced import ClassBalanced
from hetal.algs.clean_only import CleanOnly
from hetal.algs.clustered import Clustered
from hetal.algs.coreset import CoreSet
from hetal.algs.dropquery import DropQuery
from hetal.algs.fisher import Fisher, unweighted
from hetal.algs.kmeans import KMeans
from hetal.algs.lhd import LHD, hidden_only, loss_only
from hetal.algs.noise_stability import NoiseStability
from hetal.algs.once import Once
from hetal.algs.random import Random
from hetal.algs.score import LogitScore, Score
from hetal.algs.wrapper import Wrapper

__all__ = [
    "BADGE",
    "BALD",
    "LHD",
    "AlfaMix",
    "Balanced",
    "Bound",
    "ClassBalanced",
    "CleanOnly",
    "Clustered",
    "CoreSet",
    "DropQuery",
    "Fisher",
    "KMeans",
    "LogitScore",
    "NoiseStability",
    "Once",
    "QueryStrategy",
    "Random",
    "Score",
    "Wrapper",
    "hidden_only",
    "loss_only",
    "unweighted",
]
