"""Muon for weight matrices and convolution kernels, AdamW for the rest, in one optimiser."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from frame_forecast.models import Model

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_STEPS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values end between 0.7 and 1.2.

    Newton-Schulz iteration in bfloat16 with the quintic of Jordan et al., "Muon: an optimizer
    for hidden layers in neural networks" (2024).

    Args:
        matrix: ``(M, N)``.

    Returns:
        bfloat16 ``(M, N)``.
    """
    a, b, c = _NEWTON_SCHULZ
    x = matrix.bfloat16()
    tall = len(x) > x.shape[1]
    if tall:
        x = x.mT
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class MuonAdamW(torch.optim.AdamW):
    """AdamW whose groups marked ``muon`` take orthogonalised momentum steps instead.

    `torch.optim.Muon` takes matrices only; here a convolution kernel ``(out, in, h, w)`` is the
    matrix ``(out, in * h * w)``. On matrices the two are equal (tested). One optimiser rather
    than two keeps Lightning's step count, gradient clipping and checkpoints simple.

    Args:
        matrices: parameters of two or more axes, for Muon.
        others: parameters for AdamW.
        muon_learning_rate: a step changes a matrix by this times ``max(1, M/N)**0.5`` in
            spectral norm, roughly.
        learning_rate: of AdamW.
        momentum: Nesterov momentum of Muon.
        weight_decay: decoupled, of both.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        muon_learning_rate: float,
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        groups = [
            {"params": list(matrices), "muon": True, "lr": muon_learning_rate, "momentum": momentum},
            {"params": list(others), "muon": False, "lr": learning_rate, "momentum": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        super().__init__(groups, betas=(0.9, 0.95), weight_decay=weight_decay)
        for group in self.param_groups:
            group["base_lr"] = group["lr"]

    def scale_learning_rates(self, factor: float) -> None:
        """Sets every group's learning rate to ``factor`` times the one it was built with."""
        for group in self.param_groups:
            group["lr"] = group["base_lr"] * factor

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of both; ``closure`` computes the loss and its gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["muon"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._muon_step(parameter, group)
                        parameter.grad = None  # AdamW passes over parameters without one
        super().step()
        return loss

    @torch.no_grad()
    def _muon_step(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            # The step is for AdamW, which expects one in whatever state it loads.
            state.update(step=torch.tensor(0.0), momentum_buffer=torch.zeros_like(parameter))
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(parameter.grad, 1 - group["momentum"])
        update = parameter.grad.lerp(buffer, group["momentum"]).flatten(1)  # Nesterov
        rows, columns = update.shape
        scale = max(1.0, rows / columns) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        direction = orthogonalise(update).to(parameter.dtype).view_as(parameter)
        parameter.add_(direction, alpha=-group["lr"] * scale)


def build_optimizer(model: Model, *, muon_learning_rate: float, learning_rate: float, weight_decay: float) -> MuonAdamW:
    """Muon for every kernel and matrix but those of the output layers; AdamW for the rest."""
    outputs = {id(parameter) for layer in model.output_layers() for parameter in layer.parameters()}
    matrices = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in outputs]
    chosen = {id(parameter) for parameter in matrices}
    return MuonAdamW(
        matrices,
        [parameter for parameter in model.parameters() if id(parameter) not in chosen],
        muon_learning_rate=muon_learning_rate,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
    )
