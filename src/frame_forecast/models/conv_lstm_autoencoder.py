"""The convolutional LSTM autoencoder: any frame size, any context and horizon."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.models.registry import register
from frame_forecast.models.sequence_autoencoder import Form, SequenceAutoencoder, check_config
from frame_forecast.nn.cells import ConvLstmCell, LstmCell, State


@dataclass(frozen=True)
class ConvLstmAutoencoderConfig:
    """The network.

    Args:
        form: ``reconstruction``, ``prediction`` or ``composite`` (both).
        conditional: decoders read the frame they gave in the step before.
        channels: C of the frames.
        patch: each patch x patch square of pixels becomes one position with C * patch**2 channels.
        hidden: channels of each cell's state.
        layers: cells stacked in the encoder and in each decoder.
        kernel: odd size of the cells' convolutions, in patches.
    """

    form: Form = "composite"
    conditional: bool = False
    channels: int = 1
    patch: int = 8
    hidden: int = 48
    layers: int = 2
    kernel: int = 3

    def __post_init__(self) -> None:
        check_config(
            self.form,
            channels=self.channels,
            patch=self.patch,
            hidden=self.hidden,
            layers=self.layers,
            kernel=self.kernel,
        )


@register(
    "conv_lstm_autoencoder",
    ConvLstmAutoencoderConfig,
    presets={"conv_lstm_autoencoder": ConvLstmAutoencoderConfig()},
    tiny=ConvLstmAutoencoderConfig(patch=4, hidden=8),
)
class ConvLstmAutoencoder(SequenceAutoencoder):
    """Encoder and decoders of ConvLSTM cells (Shi et al., "Convolutional LSTM network: a machine
    learning approach for precipitation nowcasting", NeurIPS 2015, section 3.2 and figure 3),
    in the three forms of Srivastava et al. 2015.

    As in the paper, frames are cut into patches that become channels, decoders start from the
    states of all encoder layers and a convolution on the outputs of all decoder layers gives
    the frame. Departures: no peepholes; a second decoder that reconstructs; that convolution
    is 3x3, not 1x1, so that a patch knows its neighbours and seams fade; frames that patches
    do not divide are padded with black and cropped.
    """

    def __init__(self, config: ConvLstmAutoencoderConfig) -> None:
        pixels = config.channels * config.patch**2

        def stack(inputs: int) -> list[LstmCell]:
            below = [inputs] + [config.hidden] * (config.layers - 1)
            return [ConvLstmCell(n, config.hidden, config.kernel) for n in below]

        names = self.decoder_names(config.form)
        super().__init__(
            config.form,
            config.conditional,
            encoder=stack(pixels),
            decoders={name: stack(pixels if config.conditional else 0) for name in names},
            heads={name: nn.Conv2d(config.layers * config.hidden, pixels, 3, padding=1) for name in names},
        )
        self.config = config
        self.channels = config.channels

    def _embed(self, frames: Tensor) -> Tensor:
        _, _, H, W = frames.shape
        p = self.config.patch
        padded = F.pad(frames, (0, -W % p, 0, -H % p))
        return F.pixel_unshuffle(padded, p)  # (N, C * p * p, H / p, W / p)

    def _initial_state(self, cell: LstmCell, frames: Tensor) -> State:
        B, _, _, H, W = frames.shape
        p = self.config.patch
        zeros = frames.new_zeros((B, cell.hidden, (H + p - 1) // p, (W + p - 1) // p))
        return zeros, zeros

    def _logits(self, features: Tensor, height: int, width: int) -> Tensor:
        return F.pixel_shuffle(features, self.config.patch)[..., :height, :width]
