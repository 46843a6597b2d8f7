"""Heads that make frames of copies of others, beside what is drawn."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.nn.displacement import displaced


class MotionHead(nn.Module):
    """Copies of the nearest observed frames on both sides, moved, and blended with what was drawn.

    Each patch is read from the frame beside it through kernels that pick a displacement (Finn et al.,
    "Unsupervised learning for physical interaction through video prediction", NeurIPS 2016, section 3.2), here
    a column times a row: what matters is learned for all displacements at once, where a flow only ever learns
    of the pixels next to where it points. Gates for every 2x2 pixels, corrected by two convolutions that see
    what there is to choose from, weigh the copies and the drawn frame.

    In training, every other frame must do without what was drawn if an observed one is near: left to themselves
    the gates trust what is drawn, and the kernels never learn.
    """

    _KERNELS = 2  # of each side: two things may cross in a patch
    _REACH = 6  # pixels, in each direction
    _NEAR = 2  # frames over which things move no further than that
    _HIDDEN = 8
    _TRUST = 1.5  # of the drawn frame at first, on the gates' logarithmic scale
    _MARGIN = 1e-3  # copies are 0 or 1 in places, whose cross-entropy has no bound

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.choices = 2 * self._KERNELS + 1
        self.taps = 2 * self._REACH + 1
        self.kernels = nn.Linear(width, 2 * self._KERNELS * 2 * self.taps)
        self.gates = nn.Linear(width, (patch // 2) ** 2 * self.choices)
        self.look = nn.Conv2d(self.choices, self._HIDDEN, 3, padding=1)
        self.correct = nn.Conv2d(self._HIDDEN, self.choices + 1, 3, padding=1)
        for parameter in (*self.gates.parameters(), *self.correct.parameters()):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.gates.bias[-((patch // 2) ** 2) :] = self._TRUST

    def forward(self, tokens: Tensor, drawn: Tensor, copies: Tensor, away: Tensor, alone: Tensor) -> Tensor:
        """What is given of each frame.

        Args:
            tokens: ``(N, width, h, w)``.
            drawn: ``(N, 1, H, W)`` in [0, 1]; H and W at most patch times h and w.
            copies: ``(N, 2, H, W)``, each pixel's nearest observed values before and after.
            away: ``(N, 2, H, W)``, how many frames away they are; infinity where there are none.
            alone: bool ``(N,)``, frames to be made of copies alone where one is near.

        Returns:
            ``(N, 1, H, W)`` in [0, 1].
        """
        H, W = drawn.shape[2:]
        tokens = tokens.permute(0, 2, 3, 1).float()
        with torch.autocast(tokens.device.type, enabled=False):  # half precision is too coarse for kernels and gates
            kernels = self.kernels(tokens).view(*tokens.shape[:-1], 2, self._KERNELS, 2, self.taps).softmax(dim=-1)
            choices = torch.cat([displaced(copies, kernels, self.patch), drawn], dim=1)
            gates = F.pixel_shuffle(self.gates(tokens).permute(0, 3, 1, 2), self.patch // 2)
            gates = F.interpolate(gates, scale_factor=2, mode="bilinear")[..., :H, :W]
        correction = self.correct(F.silu(self.look(choices.contiguous(memory_format=torch.channels_last)))).float()
        near = (away <= self._NEAR).any(dim=1, keepdim=True) & alone[:, None, None, None]
        usable = torch.cat([torch.isfinite(away).repeat_interleave(self._KERNELS, dim=1), ~near], dim=1)
        shares = (gates + correction[:, :-1]).masked_fill(~usable, -torch.inf).softmax(dim=1)
        blend = self._MARGIN + (1 - 2 * self._MARGIN) * (shares * choices).sum(dim=1, keepdim=True)
        return torch.sigmoid(torch.logit(blend) + correction[:, -1:])


class FlowHead(nn.Module):
    """What optical flow makes of a frame, improved.

    At first it gives almost that. Gates for every 2x2 pixels choose between it, each side alone, sharpened or
    blurred by small kernels for each patch, and the line between the values before and after; then what is
    drawn is added, to all channels alike.
    """

    _KERNELS = 2  # of each side
    _REACH = 4  # pixels, in each direction
    _HIDDEN = 12
    _TRUST = 2.0  # of the flow's frame at first, on the gates' logarithmic scale
    _SHARE = 0.05  # of what is drawn: its first steps are not to undo what flow makes

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.choices = 2 * self._KERNELS + 2
        self.taps = 2 * self._REACH + 1
        self.kernels = nn.Linear(width, 2 * self._KERNELS * 2 * self.taps)
        self.gates = nn.Linear(width, (patch // 2) ** 2 * self.choices)
        self.look = nn.Conv2d(self.choices, self._HIDDEN, 3, padding=1)
        self.correct = nn.Conv2d(self._HIDDEN, self.choices + 1, 3, padding=1)
        for parameter in (*self.gates.parameters(), *self.correct.parameters(), self.kernels.weight):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.gates.bias.view(self.choices, -1)[-2] = self._TRUST
            sharp, blurred = -torch.arange(-self._REACH, self._REACH + 1).square() / torch.tensor([[0.5], [4.0]])
            self.kernels.bias.copy_(torch.stack([sharp, blurred])[None, :, None].expand(2, -1, 2, -1).flatten())

    def layers(self) -> list[nn.Linear | nn.Conv2d]:
        """All of them."""
        return [self.kernels, self.gates, self.look, self.correct]

    def forward(self, tokens: Tensor, drawn: Tensor, sides: Tensor, blend: Tensor, line: Tensor) -> Tensor:
        """What is given of each frame.

        Args:
            tokens: ``(N, width, h, w)``.
            drawn: ``(N, 1, H, W)``, to be added; H and W at most patch times h and w.
            sides: ``(N, 2, C, H, W)``, the frames before and after, moved.
            blend: ``(N, C, H, W)``, what optical flow makes of them.
            line: ``(N, C, H, W)``, between the values before and after.

        Returns:
            ``(N, C, H, W)`` in [0, 1].
        """
        N, C, H, W = blend.shape
        tokens = tokens.permute(0, 2, 3, 1).float()
        with torch.autocast(tokens.device.type, enabled=False):  # half precision is too coarse for kernels and gates
            kernels = self.kernels(tokens).unflatten(-1, (2, self._KERNELS, 2, self.taps)).softmax(dim=-1)
            moved = displaced(sides.transpose(1, 2).flatten(0, 1), kernels.repeat_interleave(C, dim=0), self.patch)
            choices = torch.cat([moved.unflatten(0, (N, C)), blend[:, :, None], line[:, :, None]], dim=2)
            gates = F.pixel_shuffle(self.gates(tokens).permute(0, 3, 1, 2), self.patch // 2)
            gates = F.interpolate(gates, scale_factor=2, mode="bilinear")[..., :H, :W]
        grey = choices.mean(dim=1).contiguous(memory_format=torch.channels_last)
        correction = self.correct(F.silu(self.look(grey))).float()
        shares = (gates + correction[:, :-1]).softmax(dim=1)
        return ((shares[:, None] * choices).sum(dim=2) + self._SHARE * (correction[:, -1:] + drawn)).clamp(0, 1)
