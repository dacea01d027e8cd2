"""Optimal design for a softmax layer: what labels of points would take from the uncertainty of its C x D weights.

A label of x, of probabilities p and features h, carries the Fisher information

    I(x) = (diag(p) - p p') (x) h h' = V V',  V_c = sqrt(p_c) (e_c - p) (x) h,

a C D x C D matrix of rank C - 1 (Ash et al., NeurIPS 2021, arXiv 2106.09675). With A = (ridge I + sum_known I(x))^-1 and
F = sum_j c_j I(x_j), what is uncertain is tr(A F), and by Woodbury's formula a label of x takes from it

    tr(R (I + G)^-1),  G = V' A V,  R = V' A F A V,

and taking it back adds tr(R (I - G)^-1). G and R, C x C, are kept of every candidate. A changes by W W', C wide, with
each label, so that both are updated by products of h with 2 C vectors. V itself, C x C D, is never built.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from hetal.acquisition.design import scaled_points
from hetal.acquisition.double import Double

# Numbers of a block of points times classes, float64.
NUMBERS_AT_ONCE = 2**21


class SoftmaxDesign:
    """What labels of candidates would take from the uncertainty of a softmax layer, as labels are added and removed.

    Args:
        points_MD: features, in any unit: they are scaled so that their mean squared norm is 1.
        probs_MC: class probabilities.
        known: (L,) int64 indices of the points whose labels are known; one named k times counts k times.
        candidates: (P,) int64 distinct indices.
        ridge: prior precision of every weight.
        copies: (M,) how often each point counts in F; None is once each.

    Raises:
        ValueError: `ridge` is under `LEAST_RIDGE`; points are not finite.
    """

    def __init__(
        self,
        points_MD: Tensor,
        probs_MC: Tensor,
        known: Tensor,
        candidates: Tensor,
        ridge: float,
        copies: Tensor | None,
    ) -> None:
        self._x_MD = x_MD = scaled_points(points_MD, ridge)
        on = x_MD.device
        p_MC = probs_MC.to(on).double()
        # A surplus that float32 leaves would count as information in directions in which there is none.
        self._p_MC = p_MC = p_MC / p_MC.sum(1, keepdim=True)
        self._shape = p_MC.shape[1], points_MD.shape[1]
        known, counts = known.to(on).unique(return_counts=True)
        self._goal = self._information_of(x_MD, p_MC, None if copies is None else copies.to(on))
        self._information = self._information_of(x_MD.take(known), p_MC[known], counts)
        self._information.diagonal().add_(ridge)
        self._choose(candidates.to(on))

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""
        return self._x_MD.device

    @property
    def width(self) -> int:
        """After so many labels, what updates have rounded away is computed afresh."""
        return self._shape[1]

    def _choose(self, candidates: Tensor) -> None:
        self._candidates = candidates
        self._x_PD, self._p_PC = self._x_MD.take(candidates), self._p_MC[candidates]

    def only(self, rows: Tensor) -> SoftmaxDesign:
        """Return this design with some of the candidates, by position; what is computed of them is due."""
        few = copy.copy(self)
        few._choose(self._candidates[rows])
        return few

    def refresh(self) -> None:
        """Compute what is kept of the candidates, G and R, from the information that there is."""
        self._covariance = torch.cholesky_inverse(torch.linalg.cholesky(self._information))
        C = self._shape[0]
        shape = len(self._candidates), C, C
        self._G_PCC = torch.empty(shape, dtype=torch.float64, device=self.device)
        self._R_PCC = torch.empty_like(self._G_PCC)
        spread = self._covariance @ self._goal @ self._covariance
        for at, x in self._x_PD.blocks(self._block(self._shape[1])):
            self._G_PCC[at] = self._within(self._covariance, x, self._p_PC[at])
            self._R_PCC[at] = self._within(spread, x, self._p_PC[at])

    def gains(self) -> Tensor:
        """Return what a label of each candidate would take from what is uncertain, (P,)."""
        return self._changes(1)

    def losses(self) -> Tensor:
        """Return what it would rise by if a label of each candidate, known by now, were taken back, (P,)."""
        return self._changes(-1)

    def _changes(self, sign: int) -> Tensor:
        found = []
        C = self._shape[0]
        one_CC = torch.eye(C, dtype=torch.float64, device=self.device)
        for G, R in zip(self._G_PCC.split(self._block(C)), self._R_PCC.split(self._block(C)), strict=True):
            # Of candidates that have no label to take back this may be singular; what comes of them means nothing.
            inverse = torch.linalg.inv_ex(torch.add(one_CC, G, alpha=sign)).inverse
            found.append((R * inverse).flatten(1).sum(1))
        return torch.cat(found)

    def move(self, pick: Tensor, sign: int = 1) -> None:
        """Add the label of a candidate, or take it back.

        Args:
            pick: (1,) int64, its position.
            sign: 1, or -1 to take it back.
        """
        C, D = self._shape
        x_D, p_1C = self._x_PD[pick].squeeze(0), self._p_PC[pick]
        one_CC = torch.eye(C, dtype=torch.float64, device=x_D.device)
        U_CC = _lifted(one_CC[None], p_1C)[0].T
        V = (U_CC[:, None, :] * x_D[:, None]).flatten(0, 1)
        AV = self._covariance @ V
        inner = torch.linalg.cholesky(one_CC + sign * (V.T @ AV))
        W = torch.linalg.solve_triangular(inner, AV.T, upper=False).T
        goal_W = self._goal @ W
        across = self._covariance @ goal_W
        middle_CC = W.T @ goal_W
        self._covariance.addmm_(W, W.T, alpha=-sign)
        self._information.addmm_(V, V.T, alpha=sign)
        # A - s W W' gives G - s T T' and R - s (T Y' + Y T') + T (W'FW) T', with T = V'W and Y = V'AFW.
        directions = torch.stack([W.view(C, D, C), across.view(C, D, C)], dim=2).transpose(0, 1).flatten(1)
        for at, x in self._x_PD.blocks(self._block(2 * C)):
            T, Y = _lifted((x @ directions).view(-1, C, 2 * C), self._p_PC[at]).split(C, dim=2)
            self._G_PCC[at].baddbmm_(T, T.mT, alpha=-sign)
            half = T @ (middle_CC / 2) - sign * Y
            update = T @ half.mT
            self._R_PCC[at].add_(update).add_(update.mT)

    def _block(self, width: int) -> int:
        return max(NUMBERS_AT_ONCE // (self._shape[0] * width), 1)

    def _information_of(self, x_nD: Double, p_nC: Tensor, counts: Tensor | None) -> Tensor:
        """Return sum_i c_i I(x_i), (C D, C D)."""
        C, D = self._shape
        total = torch.zeros(C, D, C, D, dtype=torch.float64, device=p_nC.device)
        for at, x in x_nD.blocks(self._block(D)):
            p = p_nC[at]
            counted = x if counts is None else x * counts[at, None]
            for c in range(C):
                logit_information = -p[:, c, None] * p[:, c:]
                logit_information[:, 0] += p[:, c]
                total[c, :, c:] += (
                    counted.T @ (logit_information[:, :, None] * x[:, None, :]).flatten(1)
                ).view(D, C - c, D)
        for c in range(C):
            total[c + 1 :, :, c] = total[c, :, c + 1 :].permute(1, 2, 0)
        return total.view(C * D, C * D)

    def _within(self, matrix: Tensor, x_bD: Tensor, p_bC: Tensor) -> Tensor:
        """Return V' matrix V of points, (b, C, C), of a symmetric matrix (C D, C D)."""
        C, D = self._shape
        inner = torch.empty(len(x_bD), C, C, dtype=torch.float64, device=x_bD.device)
        for c in range(C):
            side = (x_bD @ matrix[c * D : (c + 1) * D, c * D :]).view(-1, C - c, D)
            inner[:, c, c:] = inner[:, c:, c] = (side @ x_bD[:, :, None]).squeeze(2)
        return _lifted(_lifted(inner, p_bC).mT, p_bC)


def _lifted(q_bCK: Tensor, p_bC: Tensor) -> Tensor:
    """Return U'q, where the columns of U are sqrt(p_c) (e_c - p): (b, C, K)."""
    return p_bC.sqrt()[:, :, None] * (q_bCK - (p_bC[:, None, :] @ q_bCK))


def bytes_needed(n_candidates: int, n_classes: int, n_features: int) -> int:
    """Return how much memory a `SoftmaxDesign` takes at most, beside the points, in bytes."""
    square, small = (n_classes * n_features) ** 2, n_classes**2
    return 8 * (6 * square + 2 * n_candidates * small + 8 * NUMBERS_AT_ONCE)
