"""The LSTM autoencoder on whole frames as vectors."""

from dataclasses import dataclass

from torch import Tensor, nn

from frame_forecast.models.registry import register
from frame_forecast.models.sequence_autoencoder import Form, SequenceAutoencoder, check_config
from frame_forecast.nn.cells import LinearLstmCell, LstmCell, State


@dataclass(frozen=True)
class LstmAutoencoderConfig:
    """The network.

    Args:
        form: ``reconstruction``, ``prediction`` or ``composite`` (both).
        conditional: decoders read the frame they gave in the step before.
        channels, height, width: of the frames, to which the model is fixed.
        hidden: features of each cell's state (2048 in the paper).
        layers: cells stacked in the encoder and in each decoder.
    """

    form: Form = "composite"
    conditional: bool = False
    channels: int = 1
    height: int = 64
    width: int = 64
    hidden: int = 1024
    layers: int = 1

    def __post_init__(self) -> None:
        check_config(
            self.form,
            channels=self.channels,
            height=self.height,
            width=self.width,
            hidden=self.hidden,
            layers=self.layers,
        )


@register(
    "lstm_autoencoder",
    LstmAutoencoderConfig,
    presets={
        "lstm_autoencoder": LstmAutoencoderConfig(),
        "lstm_autoencoder_paper": LstmAutoencoderConfig(hidden=2048),
    },
    tiny=LstmAutoencoderConfig(height=16, width=16, hidden=16, layers=2),
)
class LstmAutoencoder(SequenceAutoencoder):
    """Encoder, reconstruction decoder and prediction decoder (Srivastava, Mansimov &
    Salakhutdinov, "Unsupervised learning of video representations using LSTMs", ICML 2015,
    sections 2.2-2.4), with logistic outputs for cross-entropy.

    Departures from the paper: no peepholes; a conditional decoder is fed its own output in
    training too, where the paper feeds the true frame, and so trains on what it never meets
    when it is used; its first input is a black frame.
    """

    any_context = True

    def __init__(self, config: LstmAutoencoderConfig) -> None:
        pixels = config.channels * config.height * config.width

        def stack(inputs: int) -> list[LstmCell]:
            below = [inputs] + [config.hidden] * (config.layers - 1)
            return [LinearLstmCell(n, config.hidden) for n in below]

        names = self.decoder_names(config.form)
        super().__init__(
            config.form,
            config.conditional,
            encoder=stack(pixels),
            decoders={name: stack(pixels if config.conditional else 0) for name in names},
            heads={name: nn.Linear(config.layers * config.hidden, pixels) for name in names},
        )
        self.config = config
        self.channels = config.channels
        self.frame_size = (config.height, config.width)

    def _embed(self, frames: Tensor) -> Tensor:
        return frames.flatten(1)

    def _initial_state(self, cell: LstmCell, frames: Tensor) -> State:
        zeros = frames.new_zeros((frames.shape[0], cell.hidden))
        return zeros, zeros

    def _logits(self, features: Tensor, height: int, width: int) -> Tensor:
        return features.unflatten(1, (self.config.channels, height, width))
