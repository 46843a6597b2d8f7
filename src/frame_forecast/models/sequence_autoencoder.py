"""What the sequence-to-sequence autoencoders share: the three forms on the canvas.

Per clip, the context is every frame up to the last observed one. The encoder reads it;
the reconstruction decoder gives the context back, in reverse order; the prediction decoder
gives the frames after it. Decoders see nothing but the encoder's final state.
"""

import abc
from typing import Literal, final

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.masks import context_lengths
from frame_forecast.models.base import Model, check_counts
from frame_forecast.nn.cells import LstmCell, State
from frame_forecast.nn.unroll import unroll

Form = Literal["reconstruction", "prediction", "composite"]
_TASKS: dict[str, frozenset[str]] = {
    "reconstruction": frozenset({"reconstruct"}),
    "prediction": frozenset({"forecast"}),
    "composite": frozenset({"forecast", "reconstruct"}),
}


def check_config(form: str, **counts: int) -> None:
    """Raises ConfigError unless ``form`` is one of the three and each count can be built."""
    if form not in _TASKS:
        raise ConfigError(f"form={form!r}", " or ".join(_TASKS), "set form to one of these")
    check_counts(**counts)


class SequenceAutoencoder(Model):
    """Encoder and one or two decoders, each a stack of cells.

    Subclasses say what a cell reads (`_embed`), where a state starts (`_initial_state`) and
    how a decoder's outputs become frames (`_logits`).

    Args:
        form: which decoders there are, and so which tasks.
        conditional: decoders read the frame they gave in the step before, zeros at first, in
            training too; otherwise they run on their state alone.
        encoder: cells, the lowest first.
        decoders: the stack of cells of each decoder, by name, of `decoder_names`.
        heads: for each decoder, the map from the outputs of all its layers, concatenated, to
            logits.
    """

    def __init__(
        self,
        form: Form,
        conditional: bool,
        encoder: list[LstmCell],
        decoders: dict[str, list[LstmCell]],
        heads: dict[str, nn.Linear | nn.Conv2d],
    ) -> None:
        super().__init__()
        self.tasks = _TASKS[form]
        self.conditional = conditional
        self.encoder = nn.ModuleList(encoder)
        self.decoders = nn.ModuleDict({name: nn.ModuleList(cells) for name, cells in decoders.items()})
        self.heads = nn.ModuleDict(heads)

    @staticmethod
    def decoder_names(form: Form) -> tuple[str, ...]:
        """The decoders that a form has."""
        return ("reconstruction", "prediction") if form == "composite" else (form,)

    @final
    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        in_context = torch.arange(valid.shape[1], device=valid.device) < context_lengths(observed, valid)[:, None]
        if self.tasks == _TASKS["composite"]:
            return valid
        return valid & (in_context if "reconstruct" in self.tasks else ~in_context)

    @final
    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [head for head in self.heads.values() if isinstance(head, nn.Linear | nn.Conv2d)]

    @final
    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        T = frames.shape[1]
        context = context_lengths(observed, valid)  # (B,)
        longest = int(context.max())
        horizon = int((valid.sum(dim=1) - context).max())
        ragged = bool((context != longest).any())
        states = self._encode(frames[:, :longest], context if ragged else None)
        backwards = self._decode("reconstruction", states, longest, frames)
        forwards = self._decode("prediction", states, horizon, frames)
        given = torch.cat([backwards, forwards])  # (longest + horizon, B, C, H, W)
        # Frame t of a clip is step context-1-t of the first decoder or t-context of the second.
        t = torch.arange(T, device=frames.device)[:, None]
        step = torch.where(t < context, context - 1 - t, longest + t - context)  # (T, B)
        clip = torch.arange(frames.shape[0], device=frames.device)
        # A shorter clip's padding points past the last step; the base class blanks it.
        return given[step.clamp(max=len(given) - 1), clip].transpose(0, 1)

    @final
    def forecast(self, frames: Tensor, horizon: int) -> Tensor:
        """Without a canvas, whose parts a graph would hold as numbers; see `Model.forecast`."""
        return self._decode("prediction", self._encode(frames, None), horizon, frames).transpose(0, 1)

    def _encode(self, frames: Tensor, lengths: Tensor | None) -> list[State]:
        """The encoder's states after the frames ``(B, T, C, H, W)``, or after as many of each clip as ``lengths``
        ``(B,)`` says."""
        B, T = frames.shape[:2]
        states = [self._initial_state(cell, frames) for cell in _cells(self.encoder)]
        if T == 0:
            return states
        embedded = self._embed(frames.transpose(0, 1).flatten(0, 1))
        embedded = embedded.view(T, B, *embedded.shape[1:])
        return unroll(_cells(self.encoder), states, inputs=embedded, lengths=lengths)[1]

    def _decode(self, name: str, states: list[State], steps: int, frames: Tensor) -> Tensor:
        """``steps`` frames ``(steps, B, C, H, W)`` in [0, 1]; zeros without such a decoder."""
        B, _, C, H, W = frames.shape
        if name not in self.decoders or steps == 0:
            return frames.new_zeros((steps, B, C, H, W))
        cells, head = _cells(self.decoders[name]), self.heads[name]

        def to_frames(*layers: Tensor) -> Tensor:  # (N, ...) each -> (N, C, H, W)
            logits = self._logits(head(torch.cat(layers, dim=1)), H, W)
            return torch.sigmoid(logits.float())

        if not self.conditional:
            layers, _ = unroll(cells, states, steps=steps)
            return torch.stack(to_frames(*(layer.flatten(0, 1) for layer in layers)).chunk(steps))

        given: list[Tensor] = []

        def feed(layers: list[Tensor]) -> Tensor:
            given.append(to_frames(*layers))
            return self._embed(given[-1])

        unroll(cells, states, steps=steps, first=self._embed(frames.new_zeros((B, C, H, W))), feed=feed)
        return torch.stack(given)

    @abc.abstractmethod
    def _embed(self, frames: Tensor) -> Tensor:
        """What the lowest cell reads of frames ``(N, C, H, W)``."""

    @abc.abstractmethod
    def _initial_state(self, cell: LstmCell, frames: Tensor) -> State:
        """Zeros of the right shape for clips ``(B, T, C, H, W)``."""

    @abc.abstractmethod
    def _logits(self, features: Tensor, height: int, width: int) -> Tensor:
        """A head's output ``(N, ...)`` as ``(N, C, height, width)``."""


def _cells(modules: nn.Module) -> list[LstmCell]:
    """A ModuleList of cells, with the type that it lost."""
    return [module for module in modules.children() if isinstance(module, LstmCell)]
