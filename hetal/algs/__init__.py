"""Query strategies, one a file: each chooses the rows of the pool to buy, from the outputs of a fitted network."""

from hetal.algs.alfamix import AlfaMix
from hetal.algs.badge import BADGE
from hetal.algs.bait import BAIT
from hetal.algs.bald import BALD
from hetal.algs.base import QueryStrategy
from hetal.algs.batchbald import BatchBALD
from hetal.algs.bound import Balanced, Bound
from hetal.algs.class_balanced import ClassBalanced
from hetal.algs.clean_only import CleanOnly
from hetal.algs.clustered import Clustered
from hetal.algs.coreset import CoreSet
from hetal.algs.dropquery import DropQuery
from hetal.algs.epig import EPIG
from hetal.algs.fisher import Fisher, unweighted
from hetal.algs.kmeans import KMeans
from hetal.algs.lhd import LHD, hidden_only, loss_only
from hetal.algs.maxherding import MaxHerding
from hetal.algs.nas import NAS
from hetal.algs.noise_stability import NoiseStability
from hetal.algs.once import Once
from hetal.algs.probcover import ProbCover
from hetal.algs.random import Random
from hetal.algs.score import LogitScore, Score
from hetal.algs.scored import Scored
from hetal.algs.stochastic import Power, Softmax, SoftRank
from hetal.algs.tcm import TCM
from hetal.algs.triple import Triple
from hetal.algs.typiclust import TypiClust
from hetal.algs.uherding import UHerding
from hetal.algs.wrapper import Wrapper

__all__ = [
    "BADGE",
    "BAIT",
    "BALD",
    "EPIG",
    "LHD",
    "NAS",
    "TCM",
    "AlfaMix",
    "Balanced",
    "BatchBALD",
    "Bound",
    "ClassBalanced",
    "CleanOnly",
    "Clustered",
    "CoreSet",
    "DropQuery",
    "Fisher",
    "KMeans",
    "LogitScore",
    "MaxHerding",
    "NoiseStability",
    "Once",
    "Power",
    "ProbCover",
    "QueryStrategy",
    "Random",
    "Score",
    "Scored",
    "SoftRank",
    "Softmax",
    "Triple",
    "TypiClust",
    "UHerding",
    "Wrapper",
    "hidden_only",
    "loss_only",
    "unweighted",
]
