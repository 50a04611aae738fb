"""Update the pixels, or the levels of a pyramid, with L-BFGS in its compact form, without line search.

`torch.optim.LBFGS` processes its history pair by pair: 100 passes over the image for each step at a history of 100,
which can cost more than the network. The compact form (Byrd, Nocedal & Schnabel, Math. Programming 63, 1994, theorem
2.2) gives the same direction with two matrix products that project the gradient and one that combines the pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.optim.first_order import Update, at_active_bound
from impasto.optim.preconditioner import Preconditioner
from impasto.optim.pyramid import Pyramid
from impasto.types import Image

FIRST_STEP = 0.02
"""Root mean square of the first step, in units of the pixel range, times the learning rate."""
FIRST_PRECONDITIONED_STEP = 0.06
"""The same with a preconditioner: changes of large areas may be larger."""
TINY = 1e-30
"""Smallest divisor: keeps quotients of zero gradients finite."""


def _same(vector: Tensor) -> Tensor:
    return vector


class InverseHessian:
    """Approximate the inverse Hessian from the last steps and the changes of the gradient along them.

    Args:
        history: number of pairs that are stored.
        size: number of variables.
        device: device of the vectors; the small linear systems are solved in float64 on the CPU.
        precondition: first estimate of the inverse Hessian P up to a factor: a symmetric, positive definite map of
            vectors `(size,)`. Default: the identity.
    """

    def __init__(
        self, history: int, size: int, device: torch.device, precondition: Callable[[Tensor], Tensor] = _same
    ) -> None:
        self._precondition = precondition
        self._pairs = torch.zeros(history, 2, size, device=device)  # step and P times the change; a ring buffer
        self._step_change = torch.zeros(history, history, dtype=torch.float64)  # S Yᵀ, upper triangle
        self._change_change = torch.zeros(history, history, dtype=torch.float64)  # Y P Yᵀ
        self._rows: list[int] = []  # from the oldest pair to the newest

    def update(self, step: Tensor, change: Tensor) -> None:
        """Store a pair of a step and the change of the gradient, both `(size,)`; skip it without positive curvature."""
        if not step.dot(change) > 1e-10 * change.dot(change):
            return
        full = len(self._rows) == len(self._pairs)
        row = self._rows.pop(0) if full else len(self._rows)
        self._rows.append(row)
        self._pairs[row, 0], self._pairs[row, 1] = step, self._precondition(change)
        used = len(self._rows)
        self._step_change[:used, row], with_changes = self._products(change)
        self._change_change[:used, row] = self._change_change[row, :used] = with_changes

    def times(self, gradient: Tensor) -> Tensor:
        """Return the approximate inverse Hessian times `gradient` `(size,)`; P times it while there are no pairs."""
        if not self._rows:
            return self._precondition(gradient).clone()
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
        return torch.addmv(
            self._precondition(gradient), self._used().mT, weights.flatten().to(gradient), beta=scale.item()
        )

    def _products(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products of all steps and of P times all changes with a vector, `(used,)`, float64, on the CPU."""
        by_steps, by_changes = (self._used() @ vector).double().cpu().view(-1, 2).unbind(1)
        return by_steps, by_changes

    def _used(self) -> Tensor:
        """Return the stored pairs, `(2 used, size)`: steps and P times changes alternate."""
        return self._pairs[: len(self._rows)].flatten(0, 1)


def lbfgs_update(start: Image, lr: float, history: int, *, preconditioned: bool = False) -> Update:
    """Return the update of L-BFGS (Liu & Nocedal, Math. Programming 45, 1989) within the bounds [0, 1].

    Pixels at an active bound are left out of the curvature, of the gradient and of the step (two-metric projection;
    Bertsekas, SIAM J. Control Optim. 20, 1982). Without that the method stalls once many bounds are active.
    """
    precondition = Preconditioner(start) if preconditioned else _same
    first_step = lr * (FIRST_PRECONDITIONED_STEP if preconditioned else FIRST_STEP)
    hessian = InverseHessian(history, start.numel(), start.device, precondition)
    last: list[Tensor] = []  # the last step and gradient, flat

    def update(image: Image, gradient: Tensor) -> Image:
        x, flat = image.flatten(), gradient.flatten()
        free = (~at_active_bound(x, flat)).to(flat.dtype)  # as a factor: several times as fast as a masked fill
        projected = flat * free
        if last:
            hessian.update(last[0].mul_(free), (flat - last[1]).mul_(free))
            step = hessian.times(projected).mul_(free).mul_(-lr)
        else:
            step = hessian.times(projected).mul_(free)
            step.mul_(-first_step / step.square().mean().sqrt().clamp_min(TINY))
        moved = step.add_(x).clamp_(0, 1)
        last[:] = [moved - x, flat]
        return moved.view_as(image)

    return update


def lbfgs_pyramid_update(pyramid: Pyramid, lr: float, history: int) -> Update:
    """Return the update of L-BFGS with the levels of a pyramid as variables.

    What the bounds cut off a step is subtracted from the levels, so that the curvature is measured along the step that
    was taken.
    """
    zeros = pyramid.zeros()
    hessian = InverseHessian(history, zeros.numel(), zeros.device)
    last: list[Tensor] = []  # the last step, in levels, and the last gradient, in pixels

    def update(image: Image, gradient: Tensor) -> Image:
        at_bound = at_active_bound(image, gradient)
        free = pyramid.gradient(gradient.masked_fill(at_bound, 0))
        if last:
            hessian.update(last[0], pyramid.gradient((gradient - last[1]).masked_fill_(at_bound, 0)))
            step = hessian.times(free).mul_(-lr)
        else:
            step = free * (-lr * FIRST_STEP / pyramid.image(free).square().mean().sqrt().clamp_min(TINY))
        change = pyramid.image(step)
        moved = (image + change.masked_fill(at_bound, 0)).clamp_(0, 1)
        last[:] = [step + pyramid.levels(moved - image - change), gradient]
        return moved

    return update
