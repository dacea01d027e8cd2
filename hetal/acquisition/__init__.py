"""Selection for active learning as free functions on tensors or arrays: no pool, no network, only torch and numpy.

For a loop of your own, with probabilities (M, C) and features (M, D) of M points without labels:

    from hetal.acquisition import *

    rng = torch.Generator().manual_seed(0)
    ids = top_scores(entropy(probs_MC), 1000, rng)                                 # uncertainty
    ids = top_scores(power_scores(entropy(probs_MC), 1.0, rng), 1000, rng)         # drawn by it
    ids = top_scores(epig(probs_KMC, targets_KTC), 1000, rng)                      # EPIG; bald, batchbald
    ids = kmeans_plusplus(badge_embedding(probs_MC, features_MD), 1000, rng)       # BADGE
    ids = k_center(features_MD, 1000, centers=labelled_features_LD)                # core-set
    ids = max_cover(features_MD, 1000, 0.3, rng, centers=labelled_features_LD)     # ProbCover
    ids = max_herding(features_MD, 1000, bandwidth=rms_distance(features_MD))            # MaxHerding
    ids = typical_points(features_MD, 1000, rng, n_labelled=torch.zeros(M))        # TypiClust
    ids = balanced(probs_MC.argmax(1), 1000, rng)                                  # equally many of each class
    flips_M = mixing_flips(features_MD, class_means(labelled_features_LD, labels_L), head, eps=0.2)  # ALFA-Mix
    flips_M = dropout_flips(features_MD, head, rng, n_passes=3, dropout=0.75)      # DropQuery

`bait`, `greedy_design` and `triple` take labelled points along with the others. What picks returns indices into the
points, on the points' device; given numpy arrays, all return numpy arrays. Where class probabilities are asked for,
logits are refused. Where a pool shows one image many times, pass each image once with `weights=` the number of its
unlabelled copies. Features may be backed by a file that does not fit in memory (`torch.from_file`, or
`torch.from_numpy` of a `numpy.memmap`): they are read in blocks of rows.
"""

from hetal.acquisition.bait import bait, binary_information
from hetal.acquisition.balance import balanced
from hetal.acquisition.ball_cover import max_cover
from hetal.acquisition.calibration import best_temperature, calibration_error
from hetal.acquisition.covering import k_center
from hetal.acquisition.design import greedy_design
from hetal.acquisition.dropping import dropout_flips
from hetal.acquisition.embeddings import badge_embedding, lhd_embedding
from hetal.acquisition.herding import distances_to_nearest, max_herding, rms_distance
from hetal.acquisition.joint_information import batchbald
from hetal.acquisition.mixing import class_means, mixing_flips
from hetal.acquisition.noise_filter import believed
from hetal.acquisition.points import OuterProduct
from hetal.acquisition.predictive_information import epig
from hetal.acquisition.purity import pure_radius
from hetal.acquisition.scores import bald, confidence, confidence_logit, entropy, gini, margin, top_scores
from hetal.acquisition.seeding import kmeans_plusplus
from hetal.acquisition.separation import separated
from hetal.acquisition.stochastic import power_scores, soft_rank_scores, softmax_scores
from hetal.acquisition.triple import triple
from hetal.acquisition.typicality import typical_points

__all__ = [
    "OuterProduct",
    "badge_embedding",
    "bait",
    "balanced",
    "bald",
    "batchbald",
    "believed",
    "best_temperature",
    "binary_information",
    "calibration_error",
    "class_means",
    "confidence",
    "confidence_logit",
    "distances_to_nearest",
    "dropout_flips",
    "entropy",
    "epig",
    "gini",
    "greedy_design",
    "k_center",
    "kmeans_plusplus",
    "lhd_embedding",
    "margin",
    "max_cover",
    "max_herding",
    "mixing_flips",
    "power_scores",
    "pure_radius",
    "rms_distance",
    "separated",
    "soft_rank_scores",
    "softmax_scores",
    "top_scores",
    "triple",
    "typical_points",
]
