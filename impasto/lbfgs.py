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
        self._steps = torch.zeros(history, size, device=device)  # S, rows used as a ring
        self._changes = torch.zeros(history, size, device=device)  # Y
        self._step_change = torch.zeros(history, history, dtype=torch.float64)  # S Yᵀ, upper triangle
        self._change_change = torch.zeros(history, history, dtype=torch.float64)  # Y Yᵀ
        self._rows: list[int] = []  # from the oldest pair to the newest

    def update(self, step: Tensor, change: Tensor) -> None:
        """Remembers a pair, both `(size,)`. A pair without positive curvature is passed over."""
        if not step.dot(change) > 1e-10 * change.dot(change):
            return
        full = len(self._rows) == len(self._steps)
        row = self._rows.pop(0) if full else len(self._rows)
        self._rows.append(row)
        self._steps[row], self._changes[row] = step, change
        used = len(self._rows)
        self._step_change[:used, row] = (self._steps[:used] @ change).double().cpu()
        with_changes = (self._changes[:used] @ change).double().cpu()
        self._change_change[:used, row] = self._change_change[row, :used] = with_changes

    def times(self, gradient: Tensor) -> Tensor:
        """The approximate inverse Hessian times `gradient` `(size,)`; the gradient itself while nothing is known."""
        if not self._rows:
            return gradient.clone()
        used, rows = len(self._rows), torch.tensor(self._rows)
        by_steps = (self._steps[:used] @ gradient).double().cpu()[rows]
        by_changes = (self._changes[:used] @ gradient).double().cpu()[rows]
        step_change = self._step_change[rows][:, rows]
        change_change = self._change_change[rows][:, rows]
        curvature = step_change.diagonal()
        scale = curvature[-1] / change_change[-1, -1]
        upper = step_change.triu()
        a = torch.linalg.solve_triangular(upper, by_steps[:, None], upper=True)[:, 0]
        right = curvature * a + scale * (change_change @ a - by_changes)
        b = torch.linalg.solve_triangular(upper.mT, right[:, None], upper=False)[:, 0]
        weights = torch.zeros(2, used, dtype=torch.float64)
        weights[0, rows], weights[1, rows] = b, -scale * a
        weights = weights.to(gradient)
        combined = weights[0] @ self._steps[:used] + weights[1] @ self._changes[:used]
        return combined.add_(gradient, alpha=scale.item())
