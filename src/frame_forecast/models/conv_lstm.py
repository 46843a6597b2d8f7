"""The ConvLSTM as a causal model: the baseline of video prediction benchmarks."""

from dataclasses import dataclass

from torch import Tensor

from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import ConvLstmCell, State


@dataclass(frozen=True)
class ConvLstmConfig(CausalConfig):
    """The network; see `CausalConfig`."""


@register(
    "conv_lstm",
    ConvLstmConfig,
    presets={"conv_lstm": ConvLstmConfig()},
    tiny=ConvLstmConfig(hidden=12, layers=2, kernel=3),
)
class ConvLstm(CausalModel):
    """A stack of ConvLSTM cells that gives the next frame (Shi et al., "Convolutional LSTM network: a
    machine learning approach for precipitation nowcasting", NeurIPS 2015, equation 3), in the form that
    benchmarks use: one stack instead of encoder and forecaster, four layers of 128 channels, 5x5 kernels
    on patches of 4x4 pixels.

    Departures from the paper: no peepholes, which tie a network to one frame size; the frame comes from
    the highest layer instead of all. As in the paper, and unlike benchmarks, a sigmoid gives pixels.

    The preset has 11,677,712 parameters. Benchmarks publish 15.0 million, of which 3.4 million belong to
    convolutions that are never called; what is left, 11,675,648, lacks the 2,064 biases.
    """

    def __init__(self, config: ConvLstmConfig) -> None:
        inputs = [config.pixels] + [config.hidden] * (config.layers - 1)
        super().__init__(config, [ConvLstmCell(n, config.hidden, config.kernel) for n in inputs])

    def _start(self, x: Tensor) -> list[State]:
        zeros = self._zeros(x, self.config.hidden)
        return [(zeros, zeros) for _ in self.cells]
