"""Update the pixels, or the levels of a pyramid, with L-BFGS in its compact form, without line search.

`torch.optim.LBFGS` processes its history pair by pair: 100 passes over the image for each step at a history of 100,
which can cost more than the network. The compact form (Byrd, Nocedal & Schnabel, Math. Programming 63, 1994, theorem
2.2) gives the same direction with two matrix products that project the gradient and one that combines the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from impasto.optim.first_order import Update, at_active_bound
from impasto.optim.preconditioner import LowPass, Preconditioner
from impasto.optim.pyramid import Pyramid
from impasto.optim.state import Stateful
from impasto.types import Image

FIRST_STEP = 0.02
"""Root mean square of the first step, in units of the pixel range, times the learning rate."""
NEAR_FIRST_STEP = 0.005
"""The same from an image near the optimum, such as the frame before of a clip: a longer step would lead away from
it."""
FIRST_PRECONDITIONED_STEP = 0.06
"""The same with a preconditioner: changes of large areas may be larger."""
TINY = 1e-30
"""Smallest divisor: keeps quotients of zero gradients finite."""
LARGE = 2**24
"""Number of variables above which memory counts: those of an image of 5.6 million pixels."""
PART = 2**22
"""Number of variables in each part of a large vector: the temporary results are then small."""
LARGE_HISTORY = 2**30
"""Bytes that the past steps of a large image may take, which are stored in bf16: at least 2 of them are stored."""


def _same(vector: Tensor) -> Tensor:
    return vector


class InverseHessian(Stateful):
    """Approximate the inverse Hessian from the last steps and the changes of the gradient along them.

    The pairs of more than `LARGE` variables are stored in bf16, and no more of them than `LARGE_HISTORY` bytes hold.

    Args:
        history: number of pairs that are stored.
        size: number of variables.
        device: device of the vectors; the small linear systems are solved in float64 on the CPU.
        precondition: first estimate of the inverse Hessian P up to a factor: a symmetric, positive semidefinite map of
            vectors `(size,)`, which may return them changed in place. Default: the identity.
    """

    remembered = ("_pairs", "_step_change", "_change_change", "_rows")

    def __init__(
        self, history: int, size: int, device: torch.device, precondition: Callable[[Tensor], Tensor] = _same
    ) -> None:
        self._precondition = precondition
        self.parts = parts_of(size)
        self.dtype = torch.float32 if len(self.parts) == 1 else torch.bfloat16
        if len(self.parts) > 1:
            history = min(history, max(2, LARGE_HISTORY // (2 * size * self.dtype.itemsize)))
        # Step and P times the change; a ring buffer.
        self._pairs = torch.zeros(history, 2, size, device=device, dtype=self.dtype)
        self._step_change = torch.zeros(history, history, dtype=torch.float64)  # S Yᵀ, upper triangle
        self._change_change = torch.zeros(history, history, dtype=torch.float64)  # Y P Yᵀ
        self._rows: list[int] = []  # from the oldest pair to the newest

    def update(self, step: Tensor, change: Tensor) -> None:
        """Store a pair of a step and the change of the gradient, both `(size,)`; skip it without positive curvature."""
        if not self._dot(step, change) > 1e-10 * self._dot(change, change):
            return
        full = len(self._rows) == len(self._pairs)
        row = self._rows.pop(0) if full else len(self._rows)
        self._rows.append(row)
        self._pairs[row, 0], self._pairs[row, 1] = step, change
        self._filter(self._pairs[row, 1])
        used = len(self._rows)
        self._step_change[:used, row], with_changes = self._products(change)
        self._change_change[:used, row] = self._change_change[row, :used] = with_changes

    def times(self, gradient: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the approximate inverse Hessian times `gradient` `(size,)`; P times it while there are no pairs.

        Args:
            gradient: any vector.
            out: where the product is stored, which may be `gradient`. Default: a new vector.
        """
        product = torch.empty_like(gradient) if out is None else out
        if not self._rows:
            return self._filter(product.copy_(gradient))
        rows = torch.tensor(self._rows)
        by_steps, by_changes = (products[rows] for products in self._products(gradient))
        self._filter(product.copy_(gradient))
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
        factors = weights.flatten().to(gradient)
        for part in self.parts:
            pairs = self._used()[:, part].float()
            product[part].addmv_(pairs.mT, factors, beta=scale.item())
        return product

    def _filter(self, vector: Tensor) -> Tensor:
        """Replace a vector by P times it, and return it."""
        filtered = self._precondition(vector)
        return filtered if filtered is vector else vector.copy_(filtered)

    def _products(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products of all steps and of P times all changes with a vector, `(used,)`, float64, on the CPU."""
        products = [(self._used()[:, part].float() @ vector[part].float()).double().cpu() for part in self.parts]
        by_steps, by_changes = sum(products[1:], products[0]).view(-1, 2).unbind(1)
        return by_steps, by_changes

    def _dot(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the product of two vectors."""
        products = [one[part].float().dot(other[part].float()) for part in self.parts]
        return sum(products[1:], products[0])

    def _used(self) -> Tensor:
        """Return the stored pairs, `(2 used, size)`: steps and P times changes alternate."""
        return self._pairs[: len(self._rows)].flatten(0, 1)


class LbfgsUpdate(Update):
    """The update of L-BFGS (Liu & Nocedal, Math. Programming 45, 1989) within the bounds [0, 1].

    Pixels at an active bound are left out of the curvature, of the gradient and of the step (two-metric projection;
    Bertsekas, SIAM J. Control Optim. 20, 1982). Without that the method stalls once many bounds are active.

    Args:
        start: an image of the shape of all images.
        lr: step length.
        history: number of pairs that are stored.
        preconditioned: change large areas first, see `impasto.optim.preconditioner`.
        grid: height and width of the image that each step is an enlargement of, see `LowPass`; None: each pixel.
        first_step: root mean square of the first step at `lr` 1, without a preconditioner.
    """

    remembered = ("_hessian", "_last_step", "_last_gradient", "_lr", "_first_step")

    def __init__(
        self,
        start: Image,
        lr: float,
        history: int,
        *,
        preconditioned: bool = False,
        grid: tuple[int, int] | None = None,
        first_step: float = FIRST_STEP,
    ) -> None:
        self._lr = lr
        self._first_step = lr * (FIRST_PRECONDITIONED_STEP if preconditioned else first_step)
        precondition: Callable[[Tensor], Tensor] = Preconditioner(start) if preconditioned else _same
        if grid is not None:
            precondition = LowPass(start, grid)
        self._hessian = InverseHessian(history, start.numel(), start.device, precondition)
        self._last_step = self._last_gradient = start.new_empty(0)  # flat; empty before the first step

    def __call__(self, image: Image, gradient: Tensor) -> Image:
        """Return the next image, in [0, 1]; the memory of the gradient of a large image is used for it."""
        hessian, parts = self._hessian, self._hessian.parts
        x, flat = image.flatten(), gradient.flatten()
        free = [_free(x[part], flat[part], as_factor=len(parts) == 1) for part in parts]
        is_first = len(self._last_step) == 0
        if not is_first:
            change = _difference(flat, self._last_gradient, hessian)
            hessian.update(_masked(self._last_step, free, parts), _masked(change, free, parts))
            del change  # before the next vectors are computed: each of a large image takes hundreds of MB
        self._last_step = flat.new_empty(0)
        self._last_gradient = flat.to(hessian.dtype)
        direction = flat.clone() if self._last_gradient is flat else flat
        step = hessian.times(_masked(direction, free, parts), out=direction)
        _masked(step, free, parts)
        if is_first:
            step.mul_(-self._first_step / _mean_square(step, parts).sqrt().clamp_min(TINY))
        else:
            step.mul_(-self._lr)
        moved = step.add_(x).clamp_(0, 1)
        self._last_step = _difference(moved, x, hessian)
        return moved.view_as(image)


def parts_of(size: int) -> list[slice]:
    """Return the parts in which a vector of a number of variables is processed: one, or many small ones."""
    length = size if size <= LARGE else PART
    return [slice(first, min(first + length, size)) for first in range(0, size, length)]


def _free(x: Tensor, gradient: Tensor, *, as_factor: bool) -> Tensor:
    """Return which pixels are at no active bound; as a factor, masking is several times as fast."""
    free = ~at_active_bound(x, gradient)
    return free.to(gradient.dtype) if as_factor else free


def _masked(vector: Tensor, masks: Sequence[Tensor], parts: Sequence[slice]) -> Tensor:
    """Set a vector to 0 where the masks are, in place."""
    for part, mask in zip(parts, masks, strict=True):
        vector[part] *= mask
    return vector


def _mean_square(vector: Tensor, parts: Sequence[slice]) -> Tensor:
    """Return the mean of the squares of a vector."""
    if len(parts) == 1:
        return vector.square().mean()
    return torch.stack([vector[part].square().sum() for part in parts]).sum() / len(vector)


def _difference(one: Tensor, other: Tensor, hessian: InverseHessian) -> Tensor:
    """Return the difference of two vectors, in the type of the stored pairs."""
    if len(hessian.parts) == 1:
        return one - other
    difference = torch.empty_like(one, dtype=hessian.dtype)
    for part in hessian.parts:
        difference[part] = one[part] - other[part]
    return difference


class PyramidLbfgsUpdate(Update):
    """The update of L-BFGS with the levels of a pyramid as variables.

    What the bounds cut off a step is subtracted from the levels, so that the curvature is measured along the step that
    was taken.

    Args:
        pyramid: the levels.
        lr: step length.
        history: number of pairs that are stored.
        first_step: root mean square of the first step at `lr` 1, in pixels.
    """

    remembered = ("_hessian", "_last_step", "_last_gradient", "_lr", "_first_step")

    def __init__(self, pyramid: Pyramid, lr: float, history: int, first_step: float = FIRST_STEP) -> None:
        zeros = pyramid.zeros()
        self._pyramid, self._lr, self._first_step = pyramid, lr, lr * first_step
        self._hessian = InverseHessian(history, zeros.numel(), zeros.device)
        self._last_step = zeros.new_empty(0)  # in levels; empty before the first step
        self._last_gradient = zeros.new_empty(0)  # in pixels

    def __call__(self, image: Image, gradient: Tensor) -> Image:
        """Return the next image, in [0, 1]."""
        pyramid, hessian = self._pyramid, self._hessian
        at_bound = at_active_bound(image, gradient)
        free = pyramid.gradient(gradient.masked_fill(at_bound, 0))
        if len(self._last_step):
            change = (gradient - self._last_gradient).masked_fill_(at_bound, 0)
            hessian.update(self._last_step, pyramid.gradient(change))
            step = hessian.times(free).mul_(-self._lr)
        else:
            step = free * (-self._first_step / pyramid.image(free).square().mean().sqrt().clamp_min(TINY))
        change = pyramid.image(step)
        moved = (image + change.masked_fill(at_bound, 0)).clamp_(0, 1)
        self._last_step, self._last_gradient = step + pyramid.levels(moved - image - change), gradient
        return moved
