"""Convolutions of recurrent cells on CPUs: the same kernels at every step, prepared once.

Inside `keep_kernels` a weight is brought into the order in which oneDNN computes; otherwise every call does that. A 5x5
one is transformed, too, in float32, for two fifths of the products: four outputs of a filter with 5 taps need 8 instead
of 20, because inputs and filter can be taken for polynomials, whose product is known from its values at 8 points
(Winograd, "Arithmetic complexity of computations", 1980; for networks Lavin & Gray, "Fast algorithms for convolutional
neural networks", CVPR 2016). It is done down the columns only: 8 convolutions along the rows are left, for which the
library's kernels are as fast as for any.

Results of the transformed ones differ from those of a direct convolution by 2e-6 of their size. In bfloat16 they would
by 1.3 %, against 0.3 %, so there it is not done. ``docs/performance.md`` has what was measured, and what did not pay.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from frame_forecast.devices import tracing

_TAPS = 5
_OUTPUTS = 4
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity; these lose the least
_VALUES = len(_POINTS) + 1
_LEAST_CHANNELS = 128  # with fewer, what is saved is less than what the points cost
_LEAST_POSITIONS = 256
_POSITIONS_AT_ONCE = 2048  # whose values at all points fit a cache
_POSITIONS_OF_STEPS = 8192  # enough for a weight gradient to be fast; more would hold more steps in memory
# What torch.compile uses, too; there is no public way. Builds without oneDNN lack it.
_PREPARES = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class Conv2d(nn.Conv2d):
    """A convolution that pads so that sizes stay, on the way that is fastest.

    Args:
        inputs, outputs: channels.
        kernel: odd size.
        bias: whether it has one.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        kept = _kept.get()
        if kept is None or input.device.type != "cpu":
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        kernels = kernels_of(self.weight, dtype)
        if not kernels.prepares(input):
            return super().forward(input)
        weight = self.weight
        if torch.is_grad_enabled():  # taken through one node, its gradient is made of several steps at once
            if kernels not in kept.shared:
                kept.shared[kernels] = _Shared.apply(weight, kernels)
            weight = kept.shared[kernels]
        return _Convolution.apply(input.to(dtype), weight, self.bias, kernels)


class Kernels:
    """What a weight does to maps whose size stays, and the gradients of that.

    Args:
        weight: ``(O, C, k, k)``.
        dtype: what is computed in.
        kept: whether it serves often enough to be prepared.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype, kept: bool) -> None:
        self.of = weight
        self.weight = weight.detach().to(dtype)
        self._kept = kept
        self._padding = weight.shape[-1] // 2
        self._prepared: dict[str, list[Tensor]] = {}
        self._task = -1
        self._steps: list[tuple[Tensor, Tensor]] = []
        self._sum: Tensor | None = None

    def prepares(self, x: Tensor) -> bool:
        """Whether kernels are prepared for maps like ``x`` ``(B, ..., H, W)``."""
        return (
            self._kept
            and x.device.type == "cpu"
            and self.weight.dtype in (torch.float32, torch.bfloat16)
            and x.is_contiguous(memory_format=torch.channels_last)
        )

    def apply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """``(B, C, H, W)`` to ``(B, O, H, W)``."""
        if not self.prepares(x):
            return F.conv2d(x, self.weight, bias, padding=self._padding)
        return self._convolve("weight", x, bias)

    def input_gradient(self, d_outputs: Tensor) -> Tensor:
        """Of the inputs, ``(B, C, H, W)``, from that of the outputs, ``(B, O, H, W)``."""
        if not self.prepares(d_outputs):
            B, _, H, W = d_outputs.shape
            return conv2d_input((B, self.weight.shape[1], H, W), self.weight, d_outputs, padding=self._padding)
        return self._convolve("adjoint", d_outputs)

    def weight_gradient(self, x: Tensor, d_outputs: Tensor) -> Tensor:
        """Of the weight, summed over all of ``x`` ``(B, C, H, W)``."""
        if self.prepares(x) and self._filters(x):
            return _weight_gradient(x, d_outputs)
        return conv2d_weight(x, self.weight.shape, d_outputs, padding=self._padding)

    def add_step(self, x: Tensor, d_outputs: Tensor) -> None:
        """Keeps what `gradient_of_steps` needs of a step: its inputs and the gradient of its outputs."""
        task = torch._C._current_graph_task_id()  # pyright: ignore[reportAttributeAccessIssue]
        if task != self._task:  # what an earlier way back left that did not ask for the weight's gradient
            self._task, self._sum = task, None
            self._steps.clear()
        self._steps.append((x, d_outputs))
        if sum(_positions(x) for x, _ in self._steps) >= _POSITIONS_OF_STEPS:
            self._add_up()

    def gradient_of_steps(self) -> Tensor:
        """`weight_gradient` over all steps since the last call."""
        if self._steps:
            self._add_up()
        total, self._sum = self._sum, None
        assert total is not None, "autograd went back through a step"
        return total

    def _add_up(self) -> None:
        inputs, gradients = zip(*self._steps, strict=True)
        self._steps.clear()
        made = self.weight_gradient(torch.cat(inputs), torch.cat(gradients)).to(self.of.dtype)
        self._sum = made if self._sum is None else self._sum + made

    def _filters(self, x: Tensor) -> bool:
        """Whether transformed kernels are faster for maps of this size."""
        return (
            self.weight.dtype == torch.float32
            and self.weight.shape[-2:] == (_TAPS, _TAPS)
            and min(self.weight.shape[:2]) >= _LEAST_CHANNELS
            and _positions(x) >= _LEAST_POSITIONS
        )

    def _convolve(self, name: str, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """With the weight itself or its ``adjoint``, flipped and with inputs for outputs."""
        filters = self._filters(x)
        name += " transformed" * filters
        if name not in self._prepared:
            weight = self.weight
            weight = weight.flip(2, 3).transpose(0, 1) if name.startswith("adjoint") else weight
            like = _inputs_of(x[:1])[0] if filters else x
            self._prepared[name] = [_prepare(kernel, like) for kernel in (_values_of(weight) if filters else [weight])]
        kernels = self._prepared[name]
        return _filter(x, kernels, bias) if filters else _convolve(x, kernels[0], bias, [self._padding] * 2)


@dataclass
class _Kept:
    """What is computed of weights once.

    Args:
        kernels: by the weight's id and the precision.
        shared: the weights as convolutions take them for gradients. They lead to their kernels, so that it would take
            the garbage collector to free kernels that held them.
    """

    kernels: dict[tuple[int, torch.dtype], Kernels] = field(default_factory=dict)
    shared: dict[Kernels, Any] = field(default_factory=dict)


_kept: ContextVar[_Kept | None] = ContextVar("_kept", default=None)
_plain: ContextVar[bool] = ContextVar("_plain", default=False)


@contextmanager
def keep_kernels() -> Iterator[None]:
    """Inside, weights do not change, so that what is computed of them serves every step."""
    with _keeping(None if _plain.get() or tracing() or not _PREPARES else _Kept()):
        yield


def same_kernels() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What a computation and its repetition are to run in, for `torch.utils.checkpoint`: both with these kernels."""
    return nullcontext(), _keeping(_kept.get())


@contextmanager
def _keeping(kept: _Kept | None) -> Iterator[None]:
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)


@contextmanager
def plain() -> Iterator[None]:
    """Inside, convolutions are the library's own, for those who count what is computed."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def kernels_of(weight: Tensor, dtype: torch.dtype) -> Kernels:
    """Of a weight, to compute in a precision; the same ones every time inside `keep_kernels`."""
    kept = _kept.get()
    if kept is None:
        return Kernels(weight, dtype, kept=False)
    key = id(weight), dtype  # of a weight that the kernels hold, so that no other can get its id
    if key not in kept.kernels:
        kept.kernels[key] = Kernels(weight, dtype, kept=True)
    return kept.kernels[key]


class _Shared(torch.autograd.Function):
    """A weight; autograd asks for its gradient after it has gone back through every convolution that took it."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, kernels: Kernels) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.kernels = kernels
        ctx.dtype = weight.dtype
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: None) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ctx.kernels.gradient_of_steps().to(ctx.dtype), None


class _Convolution(torch.autograd.Function):
    """`Kernels`, with its gradients; that of the weight is left to `_Shared`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(x, weight)  # which raises an error if either is changed before the gradient is asked for
        ctx.kernels = kernels
        return kernels.apply(x, None if bias is None else bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        d_outputs = gradients[0].contiguous(memory_format=torch.channels_last)
        if of_weight:
            ctx.kernels.add_step(x, d_outputs)
        return (
            ctx.kernels.input_gradient(d_outputs) if of_x else None,
            None,
            d_outputs.sum((0, 2, 3)).to(weight.dtype) if of_bias else None,
            None,
        )


def _positions(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _prepare(kernel: Tensor, like: Tensor) -> Tensor:
    """A kernel in oneDNN's own order, for maps like these."""
    padding = [size // 2 for size in kernel.shape[2:]]
    opaque = kernel.contiguous(memory_format=torch.channels_last).to_mkldnn()
    reorder = torch._C._nn.mkldnn_reorder_conv2d_weight  # pyright: ignore[reportAttributeAccessIssue]
    return reorder(opaque, padding, [1, 1], [1, 1], 1, list(like.shape))


def _convolve(x: Tensor, prepared: Tensor, bias: Tensor | None, padding: Sequence[int]) -> Tensor:
    convolve = torch.ops.mkldnn._convolution_pointwise
    return convolve(x, prepared, bias, padding, [1, 1], [1, 1], 1, "none", [], "")


@cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """What makes values of inputs ``(8, 8)``, values of taps ``(8, 5)``, and outputs of values ``(4, 8)``.

    Lavin & Gray's ``B^T``, ``G`` and ``A^T``, by the construction of Toom and Cook: filtering is the transpose of
    multiplying polynomials, whose coefficients follow from their values by the inverse of Vandermonde's matrix.
    """

    def powers(count: int) -> Tensor:
        """``1, x, .. x**(count - 1)`` at each point; at infinity the highest counts alone."""
        rows = [[p**k for k in range(count)] for p in _POINTS]
        return torch.tensor([*rows, [0.0] * (count - 1) + [1.0]], dtype=torch.float64)

    of_inputs = torch.linalg.inv(powers(_VALUES)).T
    size = of_inputs.abs().amax(dim=1, keepdim=True)  # given to the taps, so that all values are of one size
    matrices = of_inputs / size, powers(_TAPS) * size, powers(_OUTPUTS).T
    of_inputs, of_taps, of_values = (matrix.float().contiguous() for matrix in matrices)
    return of_inputs, of_taps, of_values


def _values_of(weight: Tensor) -> list[Tensor]:
    """A kernel ``(O, C, 1, 5)`` for each point, of ``(O, C, 5, 5)``."""
    outputs, inputs, *_ = weight.shape
    _, of_taps, _ = _matrices()
    values = (of_taps @ weight.permute(2, 0, 3, 1).reshape(_TAPS, -1)).view(_VALUES, outputs, 1, _TAPS, inputs)
    return list(values.permute(0, 1, 4, 2, 3))


def _inputs_of(x: Tensor) -> Tensor:
    """Values ``(8, B, C, ceil(H / 4), W)`` of the inputs ``(B, C, H, W)``, channels last in memory."""
    H = x.shape[2]
    tiles = -(-H // _OUTPUTS)
    above = _TAPS // 2
    rows = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, above, _OUTPUTS * tiles + _TAPS - 1 - H - above))
    B, _, W, C = rows.shape
    of_clip, of_row, *others = rows.stride()
    overlapping = rows.as_strided((_VALUES, B, tiles, W, C), (of_row, of_clip, _OUTPUTS * of_row, *others))
    of_inputs, *_ = _matrices()
    return (of_inputs @ overlapping.reshape(_VALUES, -1)).view(_VALUES, B, tiles, W, C).permute(0, 1, 4, 2, 3)


def _filter(x: Tensor, kernels: list[Tensor], bias: Tensor | None = None) -> Tensor:
    """Maps ``(B, O, H, W)`` of ``(B, C, H, W)``, with kernels as `_values_of` gives them, prepared."""
    B, _, H, W = x.shape
    tiles = -(-H // _OUTPUTS)
    *_, of_values = _matrices()
    made = x.new_empty((B, tiles, _OUTPUTS, W, kernels[0].shape[0]))
    parts = max(1, _POSITIONS_AT_ONCE // (H * W))
    for part, target in zip(x.split(parts), made.split(parts), strict=True):
        values = torch.stack(
            [
                _convolve(at_point, kernel, None, [0, _TAPS // 2]).permute(0, 2, 3, 1)
                for at_point, kernel in zip(_inputs_of(part).unbind(), kernels, strict=True)
            ]
        )
        rows = (of_values @ values.view(_VALUES, -1)).view(_OUTPUTS, *values.shape[1:]).permute(1, 2, 0, 3, 4)
        if bias is None:
            target.copy_(rows)
        else:
            torch.add(rows, bias, out=target)
    return made.flatten(1, 2)[:, :H].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _weight_gradient(x: Tensor, d_outputs: Tensor) -> Tensor:
    """``(O, C, 5, 5)``, from ``(B, C, H, W)`` and ``(B, O, H, W)``: each map of `_filter` transposed."""
    _, inputs, H, W = x.shape
    outputs = d_outputs.shape[1]
    tiles = -(-H // _OUTPUTS)
    _, of_taps, of_values = _matrices()
    kernel = (outputs, inputs, 1, _TAPS)
    sums = [torch.zeros(()) for _ in range(_VALUES)]
    parts = max(1, _POSITIONS_AT_ONCE // (H * W))
    for part, d_part in zip(x.split(parts), d_outputs.split(parts), strict=True):
        rows = F.pad(d_part.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, _OUTPUTS * tiles - H))
        rows = rows.view(-1, tiles, _OUTPUTS, W, outputs).permute(2, 0, 1, 3, 4).reshape(_OUTPUTS, -1)
        d_values = (of_values.T @ rows).view(_VALUES, -1, tiles, W, outputs).permute(0, 1, 4, 2, 3)
        for point, (values, d_value) in enumerate(zip(_inputs_of(part).unbind(), d_values.unbind(), strict=True)):
            added = conv2d_weight(values, kernel, d_value, padding=(0, _TAPS // 2))  # pyright: ignore[reportArgumentType]
            sums[point] = sums[point] + added
    d_taps = torch.stack([made.permute(0, 2, 3, 1) for made in sums]).view(_VALUES, -1)
    return (of_taps.T @ d_taps).view(_TAPS, outputs, _TAPS, inputs).permute(1, 3, 0, 2)
