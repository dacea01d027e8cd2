"""Selection for active learning as free functions on tensors or arrays: no pool, no network, only torch and numpy.

For a loop of your own, with probabilities (M, C) and features (M, D) of the unlabelled points:

    from hetal.acquisition import badge_embedding, entropy, k_center, kmeans_plusplus, top_scores

    rng = torch.Generator().manual_seed(0)
    ids = kmeans_plusplus(badge_embedding(probs_MC, features_MD), 1000, rng)       # BADGE
    ids = k_center(features_MD, 1000, centers=labelled_features_LD)                # core-set
    ids = top_scores(entropy(probs_MC), 1000, rng)                                 # uncertainty

All return indices into the M points, on the points' device; given numpy arrays, all return numpy arrays. Where class
probabilities are asked for, logits are refused. Where a pool shows one image many times, pass each
image once with `weights=` the number of its unlabelled copies. Features may be backed by a file that does not
fit in memory (`torch.from_file`, or `torch.from_numpy` of a `numpy.memmap`): they are read in blocks of rows.
"""

from hetal.acquisition.covering import k_center
from hetal.acquisition.design import greedy_design
from hetal.acquisition.embeddings import badge_embedding, lhd_embedding
from hetal.acquisition.joint_information import batchbald
from hetal.acquisition.points import OuterProduct
from hetal.acquisition.predictive_information import epig
from hetal.acquisition.scores import bald, confidence, confidence_logit, entropy, gini, margin, top_scores
from hetal.acquisition.seeding import kmeans_plusplus
from hetal.acquisition.separation import separated
from hetal.acquisition.stochastic import power_scores, soft_rank_scores, softmax_scores

__all__ = [
    "OuterProduct",
    "badge_embedding",
    "bald",
    "batchbald",
    "confidence",
    "confidence_logit",
    "entropy",
    "epig",
    "gini",
    "greedy_design",
    "k_center",
    "kmeans_plusplus",
    "lhd_embedding",
    "margin",
    "power_scores",
    "separated",
    "soft_rank_scores",
    "softmax_scores",
    "top_scores",
]
