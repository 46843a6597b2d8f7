"""Neighbours in time against a search, and warps against slices."""

import pytest
import torch

from frame_forecast.nn.motion import neighbours, other_neighbours, values_at, warp


def scattered(share: float) -> torch.Tensor:
    """bool ``(2, 7, 1, 4, 5)``."""
    return torch.rand((2, 7, 1, 4, 5), generator=torch.Generator().manual_seed(1)) < share


def flow(x: float, y: float, height: int, width: int) -> torch.Tensor:
    """The same everywhere, ``(1, 2, H, W)``."""
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, height, width)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("find", "aside"), [(neighbours, 0), (other_neighbours, 1)])
def test_neighbours_are_the_nearest_observed_frames(find, aside: int, share: float) -> None:
    observed = scattered(share)
    before, after = find(observed)
    B, T, _, H, W = observed.shape
    for b, t, y, x in torch.cartesian_prod(*map(torch.arange, (B, T, H, W))).tolist():
        seen = [s for s in range(T) if observed[b, s, 0, y, x]]
        assert before[b, t, 0, y, x] == max([s for s in seen if s <= t - aside], default=-1)
        assert after[b, t, 0, y, x] == min([s for s in seen if s >= t + aside], default=T)


def test_values_are_those_of_each_pixels_own_position() -> None:
    frames = torch.rand((2, 7, 3, 4, 5), generator=torch.Generator().manual_seed(2))
    position = torch.arange(20).view(1, 1, 1, 4, 5).expand(2, 7, 1, 4, 5) % 7
    values = values_at(position, frames)
    assert torch.equal(values[1, 0, :, 1, 3], frames[1, 8 % 7, :, 1, 3])
    assert torch.equal(values[0, 6, :, 3, 4], frames[0, 19 % 7, :, 3, 4])
    assert torch.equal(values_at(position[..., :1, :1], frames), frames[:, :1].expand_as(frames))


def test_a_warp_reads_at_the_place_beside_and_0_outside() -> None:
    """Frames that are not square, so that x and y cannot be taken for each other."""
    frames = torch.rand((1, 2, 5, 9), generator=torch.Generator().manual_seed(3))
    expected = torch.zeros_like(frames)
    expected[..., :4, :7] = frames[..., 1:, 2:]
    torch.testing.assert_close(warp(frames, flow(2.0, 1.0, 5, 9)), expected, atol=1e-5, rtol=0)
    expected = torch.zeros_like(frames)
    expected[..., 3:, :] = frames[..., :2, :]
    torch.testing.assert_close(warp(frames, flow(0.0, -3.0, 5, 9)), expected, atol=1e-5, rtol=0)


def test_a_warp_interpolates_between_pixels_and_over_the_border() -> None:
    frames = torch.rand((1, 1, 5, 9), generator=torch.Generator().manual_seed(4))
    moved = warp(frames, flow(0.25, 0.0, 5, 9))
    torch.testing.assert_close(moved[..., :-1], 0.75 * frames[..., :-1] + 0.25 * frames[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., -1], 0.75 * frames[..., -1], atol=1e-5, rtol=0)


def test_a_warp_repeats_the_border_where_asked_to() -> None:
    frames = torch.rand((1, 2, 5, 9), generator=torch.Generator().manual_seed(3))
    expected = frames[..., (torch.arange(5) + 1).clamp(max=4), :][..., (torch.arange(9) - 2).clamp(min=0)]
    torch.testing.assert_close(warp(frames, flow(-2.0, 1.0, 5, 9), "border"), expected, atol=1e-5, rtol=0)


def test_each_pixel_has_its_own_flow() -> None:
    frames = torch.rand((1, 1, 5, 9), generator=torch.Generator().manual_seed(5))
    own = flow(0.0, 0.0, 5, 9).clone()
    own[0, :, 1, 6] = torch.tensor([-4.0, 3.0])
    expected = frames.clone()
    expected[..., 1, 6] = frames[..., 4, 2]
    torch.testing.assert_close(warp(frames, own), expected, atol=1e-5, rtol=0)
