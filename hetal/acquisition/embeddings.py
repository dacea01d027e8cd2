"""Embeddings whose k-means++ seeding is a query: BADGE and LHD.

BADGE: Ash, Zhang, Krishnamurthy, Langford & Agarwal (ICLR 2020, arXiv 1906.03671),
    g(x) = (p(x) - onehot(argmax p(x))) (x) h(x),
the gradient of the cross entropy in the last layer's weights, at the label the network itself predicts. The
paper builds it, C * D numbers a row; here it stays two factors of C + D.

LHD: Khosla, Whye, Ash, Zhang, Kawaguchi & Lamb (ECAI 2023, arXiv 2211.00928), with f the network trained, f' its
moving average and y = argmax f'(x),
    g(x) = dl(x) dh(x),  dl(x) = |CE(f'(x), y) - CE(f(x), y)|,  dh(x) = h'(x) - h(x).
"""

from __future__ import annotations

from hetal.acquisition.inputs import Array, as_probabilities, as_tensor, like
from hetal.acquisition.points import OuterProduct


def badge_embedding(probs_MC: Array, features_MD: Array) -> OuterProduct[Array]:
    """Return BADGE's gradient embeddings g of M points as factors (M, C) and (M, D); the features are not copied.

    Args:
        probs_MC: class probabilities; of equally probable classes the first counts as predicted.
        features_MD: what the last layer reads.

    Raises:
        ValueError: `probs_MC` holds no probabilities, see `hetal.acquisition.inputs.as_probabilities`.
    """
    probs = as_probabilities(probs_MC, "probs_MC", "MC")
    predicted = probs.argmax(1, keepdim=True)
    surplus_MC = probs.scatter(1, predicted, probs.gather(1, predicted) - 1)
    return OuterProduct(like(probs_MC, surplus_MC), features_MD)


def lhd_embedding(loss_gap_M: Array, hidden_gap_MD: Array) -> Array:
    """Return LHD's embeddings g = dl * dh of M points, (M, D), from dl (M,) and dh (M, D)."""
    loss_gap, hidden_gap = as_tensor(loss_gap_M, "loss_gap_M"), as_tensor(hidden_gap_MD, "hidden_gap_MD")
    return like(hidden_gap_MD, loss_gap[:, None] * hidden_gap)
