"""Limited-memory BFGS in its compact form: a handful of matrix products a step, however long the memory.

`torch.optim.LBFGS` walks its memory pair by pair, 400 passes over the picture a step at a history of 100; on a fast
processor that can cost more than the network. The compact form of Byrd, Nocedal & Schnabel (Math. Programming 63, 1994,
theorem 2.2) gives the same direction with two products to project the gradient and two to combine.
"""

from __future__ import annotations

import torch
from torch import Tensor


class InverseHessian:
    """Approximate inverse Hessian from the last `history` steps and the changes of gradient they caused.

    Args:
        history: how many pairs are kept.
        size: number of variables.
        device: where the vectors lie; the small systems are solved in float64 on the CPU.
    """

    def __init__(self, history: int, size: int, device: torch.device) -> None:
        self._pairs = torch.zeros(history, 2, size, device=device)  # step and change; used as a ring
        self._step_change = torch.zeros(history, history, dtype=torch.float64)  # S Yᵀ, upper triangle
        self._change_change = torch.zeros(history, history, dtype=torch.float64)  # Y Yᵀ
        self._rows: list[int] = []  # from the oldest pair to the newest

    def update(self, step: Tensor, change: Tensor) -> None:
        """Remembers a pair, both `(size,)`. A pair without positive curvature is passed over."""
        if not step.dot(change) > 1e-10 * change.dot(change):
            return
        full = len(self._rows) == len(self._pairs)
        row = self._rows.pop(0) if full else len(self._rows)
        self._rows.append(row)
        self._pairs[row, 0], self._pairs[row, 1] = step, change
        used = len(self._rows)
        self._step_change[:used, row], with_changes = self._products(change)
        self._change_change[:used, row] = self._change_change[row, :used] = with_changes

    def times(self, gradient: Tensor) -> Tensor:
        """The approximate inverse Hessian times `gradient` `(size,)`; the gradient itself while nothing is known."""
        if not self._rows:
            return gradient.clone()
        rows = torch.tensor(self._rows)
        by_steps, by_changes = (products[rows] for products in self._products(gradient))
        step_change = self._step_change[rows][:, rows]
        change_change = self._change_change[rows][:, rows]
        curvature = step_change.diagonal()
        scale = curvature[-1] / change_change[-1, -1]
        upper = step_change.triu()
        a = torch.linalg.solve_triangular(upper, by_steps[:, None], upper=True)[:, 0]
        right = curvature * a + scale * (change_change @ a - by_changes)
        b = torch.linalg.solve_triangular(upper.mT, right[:, None], upper=False)[:, 0]
        weights = torch.zeros(len(rows), 2, dtype=torch.float64)
        weights[rows, 0], weights[rows, 1] = b, -scale * a
        return torch.addmv(gradient, self._kept().mT, weights.flatten().to(gradient), beta=scale.item())

    def _products(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """S and Y times a vector, `(used,)` each, float64 on the CPU."""
        by_steps, by_changes = (self._kept() @ vector).double().cpu().view(-1, 2).unbind(1)
        return by_steps, by_changes

    def _kept(self) -> Tensor:
        """The pairs that are remembered, `(2 used, size)`: a step and its change by turns."""
        return self._pairs[: len(self._rows)].flatten(0, 1)
