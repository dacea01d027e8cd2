"""Optimal design for a softmax layer: what labels of points would take from the uncertainty of all its weights.

A label of x, of probabilities p and features h, carries the Fisher information

    I(x) = (diag(p) - p p') (x) h h' = V V',  V_c = sqrt(p_c) (e_c - p) (x) h

about the C D weights (Ash et al., NeurIPS 2021, arXiv 2106.09675). With A = (ridge I + sum_known I(x))^-1 and
F = sum_j c_j I(x_j), what is uncertain is tr(A F). By Woodbury's formula a label of x takes from that

    tr(R (I + G)^-1),  G = V' A V,  R = V' A F A V,

and to take it back adds tr(R (I - G)^-1). G and R, C x C, are kept of every candidate. With each label A changes by
W W', C wide, and both are updated by the products of h with 2 C vectors: V is built for the row that is picked alone.

Adding a number to all logits of a row changes nothing, so that all I(x) are 0 along 1 in C: the matrices are those of
the other K = C - 1 directions, K D wide.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from hetal.acquisition.design import scaled_points
from hetal.acquisition.inverses import Inverses

# Numbers of a block of points times classes, float64.
NUMBERS_AT_ONCE = 2**21

# Once gains are under this share of the largest number in R, what updates have rounded away may decide among them.
FALLEN = 1e-6


class SoftmaxDesign(Inverses):
    """What labels of candidates would take from the uncertainty of a softmax layer, as labels are added and removed.

    Args:
        points_MD: features, in any unit: they are scaled to mean squared norm 1, of those that count.
        probs_MC: class probabilities.
        known: (L,) int64 indices of the points whose labels are known; one named k times counts k times.
        candidates: (P,) int64 distinct indices.
        ridge: prior precision of every weight.
        copies: (M,) how often each point counts in F; None is once each.

    Raises:
        ValueError: `ridge` is under `LEAST_RIDGE`; points are not finite; there are fewer than two classes.
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
        n_classes = probs_MC.shape[1]
        if n_classes < 2:
            raise ValueError(f"the information in a label needs at least two classes, not {n_classes}")
        self._x_MD = scaled_points(points_MD, ridge, copies)
        self.device = self._x_MD.device
        self._p_MC = probs_MC.to(self.device)
        self._shape = n_classes, n_classes - 1, points_MD.shape[1]
        ones_and_others = torch.eye(n_classes, dtype=torch.float64, device=self.device)
        ones_and_others[:, 0] = 1
        self._basis_CK = torch.linalg.qr(ones_and_others).Q[:, 1:]
        known, counts = known.to(self.device).unique(return_counts=True)
        every = torch.arange(len(points_MD), device=self.device)
        self._goal = self._information_of(every, None if copies is None else copies.to(self.device))
        self._information = self._information_of(known, counts)
        self._information.diagonal().add_(ridge)
        self._n_moves = 0
        self._choose(candidates.to(self.device))

    def _choose(self, candidates: Tensor) -> None:
        self._candidates = candidates
        self._x_PD, self._factor_PCK = self._x_MD.take(candidates), self._factor(candidates)

    def only(self, rows: Tensor) -> SoftmaxDesign:
        """Return this design with some of the candidates, by position. Labels change here alone from now on."""
        few = copy.copy(self)
        few._choose(self._candidates[rows])
        few._G_PCC, few._R_PCC = self._G_PCC[rows], self._R_PCC[rows]
        return few

    def gains(self) -> Tensor:
        """Return what a label of each candidate would take from what is uncertain, (P,)."""
        self._refresh_if_due()
        return self._changes(1)

    def losses(self) -> Tensor:
        """Return what it would rise by if a label of each candidate, known by now, were taken back, (P,)."""
        self._refresh_if_due()
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

    def _refresh_if_due(self) -> None:
        """Compute afresh what updates have rounded away: A, and G and R of the candidates."""
        C, _, D = self._shape
        if self._n_moves % D and not (self._n_moves in (4, 16, 64) and self._has_fallen()):
            return
        self._covariance = torch.cholesky_inverse(self._noted(*torch.linalg.cholesky_ex(self._information)))
        shape = len(self._candidates), C, C
        self._G_PCC = torch.empty(shape, dtype=torch.float64, device=self.device)
        self._R_PCC = torch.empty_like(self._G_PCC)
        spread = self._covariance @ self._goal @ self._covariance
        for at, x in self._x_PD.blocks(self._block(D)):
            self._G_PCC[at] = self._within(self._covariance, x, self._factor_PCK[at])
            self._R_PCC[at] = self._within(spread, x, self._factor_PCK[at])
        self._largest = self._R_PCC.max()  # on a diagonal

    def _has_fallen(self) -> bool:
        return bool(self._changes(1).max() < FALLEN * self._largest)

    def move(self, pick: Tensor, sign: int = 1) -> None:
        """Add the label of a candidate, or take it back.

        Args:
            pick: (1,) int64, its position.
            sign: 1, or -1 to take it back.
        """
        C, K, D = self._shape
        x_D, factor_CK = self._x_PD[pick].squeeze(0), self._factor_PCK[pick].squeeze(0)
        V = torch.kron(factor_CK.T.contiguous(), x_D[:, None])
        AV = self._covariance @ V
        one_CC = torch.eye(C, dtype=torch.float64, device=self.device)
        inner = self._noted(*torch.linalg.cholesky_ex(one_CC + sign * (V.T @ AV)))
        W = torch.linalg.solve_triangular(inner, AV.T, upper=False).T
        goal_W = self._goal @ W
        across, middle_CC = self._covariance @ goal_W, W.T @ goal_W
        self._covariance.addmm_(W, W.T, alpha=-sign)
        self._information.addmm_(V, V.T, alpha=sign)
        # A - s W W' gives G - s T T' and R - s (T Y' + Y T') + T (W'FW) T', with T = V'W and Y = V'AFW.
        directions = torch.stack([W.view(K, D, C), across.view(K, D, C)], dim=2).transpose(0, 1).flatten(1)
        for at, x in self._x_PD.blocks(self._block(2 * C)):
            T, Y = (self._factor_PCK[at] @ (x @ directions).view(-1, K, 2 * C)).split(C, dim=2)
            self._G_PCC[at].baddbmm_(T, T.mT, alpha=-sign)
            update = T @ (T @ (middle_CC / 2) - sign * Y).mT
            self._R_PCC[at].add_(update).add_(update.mT)
        self._n_moves += 1

    def _block(self, width: int) -> int:
        C, _, _ = self._shape
        return max(NUMBERS_AT_ONCE // (C * max(C, width)), 1)

    def _factor(self, points: Tensor) -> Tensor:
        """Return the rows sqrt(p_c) (e_c - p)' of points in the K directions, (n, C, K)."""
        p_nC = self._p_MC[points].double()
        p_nC = p_nC / p_nC.sum(1, keepdim=True)
        rows: Tensor = p_nC.sqrt()[:, :, None] * (self._basis_CK - (p_nC @ self._basis_CK)[:, None, :])
        return rows

    def _information_of(self, points: Tensor, counts: Tensor | None) -> Tensor:
        """Return sum_i c_i I(x_i) of points, (K D, K D)."""
        _, K, D = self._shape
        total = torch.zeros(K, D, K, D, dtype=torch.float64, device=self.device)
        for at, x in self._x_MD.take(points).blocks(self._block(D)):
            factor = self._factor(points[at])
            weights = factor.mT @ factor
            counted = x if counts is None else x * counts[at, None]
            for k in range(K):
                weighted = (weights[:, k, k:, None] * x[:, None, :]).flatten(1)
                total[k, :, k:] += (counted.T @ weighted).view(D, K - k, D)
        for k in range(K):
            total[k + 1 :, :, k] = total[k, :, k + 1 :].permute(1, 2, 0)
        return total.view(K * D, K * D)

    def _within(self, matrix: Tensor, x_bD: Tensor, factor_bCK: Tensor) -> Tensor:
        """Return V' matrix V of points, (b, C, C), of a symmetric matrix (K D, K D)."""
        _, K, D = self._shape
        inner = torch.empty(len(x_bD), K, K, dtype=torch.float64, device=self.device)
        for k in range(K):
            side = (x_bD @ matrix[k * D : (k + 1) * D, k * D :]).view(-1, K - k, D)
            inner[:, k, k:] = inner[:, k:, k] = (side @ x_bD[:, :, None]).squeeze(2)
        return factor_bCK @ inner @ factor_bCK.mT


def bytes_needed(n_candidates: int, n_classes: int, n_features: int) -> int:
    """Return how much memory a `SoftmaxDesign` takes at most, beside the points, in bytes."""
    square, small = ((n_classes - 1) * n_features) ** 2, n_classes**2
    return 8 * (6 * square + 4 * n_candidates * small + 8 * NUMBERS_AT_ONCE)
