"""Frames moved by kernels, against convolutions."""

import torch
from torch.nn import functional as F

from frame_forecast.nn.displacement import displaced


def test_kernels_slide_over_the_frame_beside() -> None:
    """Against a convolution for each patch: zero outside the frame, patch by patch its own kernel."""
    torch.manual_seed(0)
    N, h, w, R = 2, 3, 2, 6
    H, W = 11, 8  # the lowest patches are cut
    copies, kernels = torch.rand(N, 2, H, W), torch.rand(N, h, w, 2, 2, 2, 2 * R + 1)
    moved = displaced(copies, kernels, 4)
    for n, i, j, side, k in torch.cartesian_prod(*map(torch.arange, (N, h, w, 2, 2))).tolist():
        down, across = kernels[n, i, j, side, k]
        whole = F.conv2d(copies[n, side][None, None], torch.outer(down, across)[None, None], padding=R)[0, 0]
        place = slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4)
        torch.testing.assert_close(moved[n, 2 * side + k][place], whole[place])
