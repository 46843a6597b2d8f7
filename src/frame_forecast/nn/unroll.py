"""The time loop, written once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from frame_forecast.devices import tracing
from frame_forecast.nn.cells import Cell, LinearLstmCell, LstmCell, State
from frame_forecast.nn.convolution import same_kernels
from frame_forecast.nn.scan import scan

_recomputes: ContextVar[bool] = ContextVar("_recomputes", default=False)


@contextmanager
def recomputing() -> Iterator[None]:
    """Inside, only the states between steps are kept for the gradient; the rest of a step is computed again for it
    (Chen et al., "Training deep nets with sublinear memory cost", 2016)."""
    token = _recomputes.set(True)
    try:
        yield
    finally:
        _recomputes.reset(token)


def unroll(
    cells: Sequence[Cell],
    states: Sequence[State],
    *,
    inputs: Tensor | None = None,
    lengths: Tensor | None = None,
    steps: int = 0,
    feed: Callable[[list[Tensor]], Tensor] | None = None,
    first: Tensor | None = None,
) -> tuple[list[Tensor], list[State]]:
    """Runs a stack of cells over time.

    Three ways to feed the first cell, each layer above reading the outputs of the one below:

    - ``inputs`` known for every step: each layer runs through all steps before the next one
      starts, so that its input map is one call over all frames.
    - neither ``inputs`` nor ``feed``: ``steps`` steps on the states alone, likewise.
    - ``feed``: the input of a step is ``feed(outputs of all layers in the step before)``, that
      of the first step is ``first``; all layers then advance together, and nothing is kept of a
      step but the states, so that memory does not grow with their number.

    Args:
        cells: one a layer, the lowest first.
        states: one a layer, as its cell takes it.
        inputs: ``(T, B, ...)``, time first.
        lengths: int64 ``(B,)`` with ``inputs``: a clip's state stays as it is after that many
            steps, so the state returned is the one after its own last step.
        steps: number of steps without ``inputs``.
        feed: makes an input from every layer's output; called after each step.
        first: the first step's input, with ``feed``.

    Returns:
        The outputs of every layer, each ``(T, B, ...)``; none with ``feed``, which has seen them. And
        every layer's final state.
    """
    if feed is not None:
        return [], _unroll_together(cells, states, steps, feed, first)
    outputs, finals = [], []
    below = inputs
    for cell, state in zip(cells, states, strict=True):
        below, state = _layer(cell, below, state, steps if below is None else len(below), lengths)
        outputs.append(below)
        finals.append(state)
    return outputs, finals


def _layer(cell: Cell, inputs: Tensor | None, state: State, steps: int, lengths: Tensor | None) -> tuple[Tensor, State]:
    """One layer through all steps, by what is fastest, or fits a graph to export."""
    # Such a graph has no use for steps that write into one tensor, but it may have an operator for the whole layer.
    if tracing() and inputs is not None and lengths is None and isinstance(cell, LinearLstmCell):
        return cell.all_steps(inputs, state)
    projected = None
    if inputs is not None:
        projected = cell.project(inputs.flatten(0, 1))
        projected = projected.view(*inputs.shape[:2], *projected.shape[1:])
    if lengths is None and isinstance(cell, LstmCell) and not (tracing() or _recomputes.get()):
        return scan(cell, projected, state, steps)
    return _loop(cell, projected, state, steps, lengths)


def _loop(
    cell: Cell, projected: Tensor | None, state: State, steps: int, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """One layer step by step, as `scan` but of any cell, and with lengths; autograd can follow it too."""
    outputs = []
    # unbind, not indexing: the gradient of an index is a zero tensor of all T steps.
    inputs = [None] * steps if projected is None else projected.unbind()
    for t, x in enumerate(inputs):
        output, new = _step(cell, x, state)
        state = new if lengths is None else _keep_where(t < lengths, new, state)
        outputs.append(output)
    return torch.stack(outputs), state


def _unroll_together(
    cells: Sequence[Cell],
    states: Sequence[State],
    steps: int,
    feed: Callable[[list[Tensor]], Tensor],
    first: Tensor | None,
) -> list[State]:
    """All layers one step at a time, for inputs that depend on outputs."""
    states = list(states)
    x = first
    for _ in range(steps):
        outputs = []
        for layer, cell in enumerate(cells):
            x, states[layer] = _step(partial(_project_too, cell), x, states[layer])
            outputs.append(x)
        x = feed(outputs)
    return states


def _keep_where(going: Tensor, new: State, old: State) -> State:
    """The new state of clips that are still going, the old one of those that have ended."""
    return tuple(torch.where(going.reshape(-1, *[1] * (n.ndim - 1)), n, o) for n, o in zip(new, old, strict=True))


def _project_too(cell: Cell, x: Tensor | None, state: State) -> tuple[Tensor, State]:
    """A cell's step on its input itself."""
    return cell(None if x is None else cell.project(x), state)


def _step(
    step: Callable[[Tensor | None, State], tuple[Tensor, State]], x: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """A step, of which nothing but its input and state is kept inside `recomputing`."""
    if not (_recomputes.get() and torch.is_grad_enabled()):
        return step(x, state)
    return checkpoint(step, x, state, use_reentrant=False, preserve_rng_state=False, context_fn=same_kernels)
