"""Scores against worked examples, NumPy loops and torchmetrics."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from frame_forecast.errors import DataError, ShapeError
from frame_forecast.metrics import DEFINITIONS, BinaryScores, FrameScores, StreamingScores, binarise

METERS = [lambda: FrameScores(openstl=True), BinaryScores]


def random_pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.rand(shape, generator=generator)
    return prediction, (0.7 * prediction + 0.3 * torch.rand(shape, generator=generator))


def overall(meter: StreamingScores, *batch: Tensor) -> dict[str, float]:
    meter.update(*batch)
    return {name: score.overall for name, score in meter.compute().items()}


def assert_same(a: StreamingScores, b: StreamingScores, rtol: float = 1e-12) -> None:
    first, second = a.compute(), b.compute()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name].overall, second[name].overall, rtol=rtol, err_msg=name)
        np.testing.assert_allclose(first[name].per_lead_time, second[name].per_lead_time, rtol=rtol, err_msg=name)


def ssim_loop(x: np.ndarray, y: np.ndarray, weights: np.ndarray, data_range: float, ddof: int) -> np.ndarray:
    """Wang et al. 2004, equation 13, at every window inside the frame."""
    size = len(weights)
    scale = weights.size / (weights.size - ddof)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    out = np.empty((x.shape[0] - size + 1, x.shape[1] - size + 1))
    for i, j in np.ndindex(*out.shape):
        a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (scale * (weights * (v - m) ** 2).sum() for v, m in ((a, mean_a), (b, mean_b)))
        covariance = scale * (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        out[i, j] = luminance * (2 * covariance + c2) / (var_a + var_b + c2)
    return out


def test_frame_scores_of_a_worked_example() -> None:
    exact, black, grey, white = (torch.tensor(v).view(-1, 1).expand(-1, 4) for v in ([0.3], [0.0], [0.5], [1.0]))
    first, truth = torch.tensor([[0.0, 0.5, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    prediction = torch.cat([first, exact, black, white]).view(2, 2, 1, 2, 2)
    target = torch.cat([truth, exact, grey, black]).view(2, 2, 1, 2, 2)
    meter = FrameScores()
    meter.update(prediction, target)
    scores = meter.compute()
    # Squared errors of the frames: 1.25 and 1 at step 1, 0 and 4 at step 2; absolute 1.5, 2; 0, 4.
    assert list(scores) == ["mse", "mse_frame", "mae_frame", "psnr"]  # 2x2 is smaller than SSIM's window
    assert scores["mse"].per_lead_time == pytest.approx([0.28125, 0.5])
    assert scores["mse"].overall == pytest.approx(0.390625)
    assert scores["mse_frame"].per_lead_time == pytest.approx([1.125, 2.0])
    assert scores["mse_frame"].overall == pytest.approx(1.5625)
    assert scores["mae_frame"].per_lead_time == pytest.approx([1.75, 2.0])
    # -10 log10 of 0.3125 and 0.25; an exact frame is capped at 100 dB, mse 1 is 0 dB.
    assert scores["psnr"].per_lead_time == pytest.approx([(5.0514998 + 6.0205999) / 2, 50.0])
    assert scores["psnr"].overall == pytest.approx(27.7680249)


def test_binary_scores_of_a_worked_example() -> None:
    prediction = torch.tensor([0.9, 0.6, 0.5, 0.2]).view(1, 1, 1, 2, 2)
    target = torch.tensor([0.8, 0.5, 0.7, 0.1]).view(1, 1, 1, 2, 2)  # 0.5 is not above 0.5: lit are 1 and 3
    scores = overall(BinaryScores(), prediction, target)
    assert scores == pytest.approx(
        {
            "bin_accuracy": 2 / 4,
            "bin_cross_entropy": -math.log(0.9 * 0.4 * 0.5 * 0.8) / 4,
            "bin_mse": (0.01 + 0.36 + 0.25 + 0.04) / 4,
            "bin_f1": 1 / 2,  # one hit, one false alarm, one miss
            "bin_iou": 1 / 3,
        }
    )


def test_certain_and_wrong_costs_the_clipped_cross_entropy() -> None:
    ones, zeros = torch.ones(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2)
    for prediction, target in ((zeros, ones), (ones, zeros)):
        assert overall(BinaryScores(), prediction, target)["bin_cross_entropy"] == pytest.approx(-math.log(1e-7))


def test_f1_and_iou_are_of_summed_counts() -> None:
    target, prediction = torch.zeros(2, 1, 1, 2, 2), torch.zeros(2, 1, 1, 2, 2)
    target[0, 0, 0, 0, 0] = prediction[0, 0, 0, 0, 0] = 1  # one hit in the first clip,
    prediction[1] = 1  # four false alarms in the second: the mean of the clips' F1 would be 0.5
    scores = overall(BinaryScores(), prediction, target)
    assert scores["bin_f1"] == pytest.approx(2 / 6)
    assert scores["bin_iou"] == pytest.approx(1 / 5)


def test_f1_of_nothing_lit_is_undefined() -> None:
    scores = overall(BinaryScores(), torch.zeros(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 4, 4))
    assert math.isnan(scores["bin_f1"])
    assert math.isnan(scores["bin_iou"])
    assert scores["bin_accuracy"] == 1


@pytest.mark.parametrize("shape", [(3, 5, 1, 16, 20), (2, 3, 3, 11, 11)])
def test_ssim_and_psnr_against_torchmetrics(shape: tuple[int, ...]) -> None:
    prediction, target = random_pair(*shape)
    scores = overall(FrameScores(), prediction, target)
    frames, truth = prediction.flatten(0, 1), target.flatten(0, 1)
    ssim = structural_similarity_index_measure(frames, truth, data_range=1.0, sigma=1.5)
    psnr = peak_signal_noise_ratio(frames, truth, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    assert isinstance(ssim, Tensor)
    assert scores["ssim"] == pytest.approx(float(ssim), rel=1e-5)
    assert scores["psnr"] == pytest.approx(float(psnr), rel=1e-5)


def test_ssim_against_a_numpy_loop() -> None:
    prediction, target = random_pair(1, 1, 1, 12, 17)
    x, y = (np.pad(v[0, 0, 0].double().numpy(), 5, mode="reflect") for v in (prediction, target))
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    expected = ssim_loop(x, y, weights, data_range=1.0, ddof=0).mean()
    assert overall(FrameScores(), prediction, target)["ssim"] == pytest.approx(expected, rel=1e-5)


def test_ssim_openstl_against_a_numpy_loop() -> None:
    prediction, target = random_pair(2, 2, 1, 13, 18)
    weights = np.full((7, 7), 1 / 49)
    expected = np.mean(
        [
            ssim_loop(x.numpy(), y.numpy(), weights, data_range=2.0, ddof=1).mean()
            for x, y in zip(prediction.double().flatten(0, 2), target.double().flatten(0, 2), strict=True)
        ]
    )
    scores = overall(FrameScores(openstl=True), prediction, target)
    assert scores["ssim_openstl"] == pytest.approx(expected, rel=1e-5)


def test_ssim_is_left_out_where_its_window_does_not_fit() -> None:
    sizes = {16: {"ssim", "ssim_openstl"}, 11: {"ssim", "ssim_openstl"}, 10: {"ssim_openstl"}, 6: set()}
    for size, expected in sizes.items():
        scores = overall(FrameScores(openstl=True), *random_pair(1, 2, 1, size, 20))
        assert {name for name in scores if "ssim" in name} == expected


@pytest.mark.parametrize("meter", METERS)
def test_perfect_prediction(meter) -> None:
    target = torch.zeros(2, 3, 1, 16, 16)
    target[..., 4:9, 5:12] = 1
    assert overall(meter(), target, target) == pytest.approx(
        {
            FrameScores: {"mse": 0, "mse_frame": 0, "mae_frame": 0, "ssim": 1, "psnr": 100, "ssim_openstl": 1},
            BinaryScores: {"bin_accuracy": 1, "bin_cross_entropy": 1e-7, "bin_mse": 0, "bin_f1": 1, "bin_iou": 1},
        }[type(meter())],
        abs=1e-6,
    )


@pytest.mark.parametrize("meter", METERS)
def test_batches_and_merging_give_what_one_pass_gives(meter) -> None:
    prediction, target = random_pair(7, 3, 1, 16, 16)
    whole, split, other = meter(), meter(), meter()
    whole.update(prediction, target)
    for part in (slice(0, 1), slice(1, 4)):
        split.update(prediction[part], target[part])
    other.update(prediction[4:], target[4:])
    split.merge(other)
    split.merge(meter())  # a process that got no clips
    assert_same(whole, split)
    empty = meter()
    empty.merge(whole)
    assert_same(whole, empty)


@pytest.mark.parametrize("meter", METERS)
@given(clips=st.integers(1, 9), cuts=st.sets(st.integers(1, 8)), owners=st.lists(st.integers(0, 3), min_size=9))
def test_sums_of_any_split_over_processes_merge_to_those_of_one(
    meter, clips: int, cuts: set[int], owners: list[int]
) -> None:
    prediction, target = random_pair(clips, 2, 1, 12, 12)
    scored = torch.rand(clips, 2, 1, 12, 12, generator=torch.Generator().manual_seed(1)) < 0.4
    bounds = [0, *sorted(cut for cut in cuts if cut < clips), clips]
    batches = [slice(*pair) for pair in itertools.pairwise(bounds)]
    one, merged, processes = meter(), meter(), [meter() for _ in range(4)]
    for batch, owner in zip(batches, owners, strict=False):
        part = prediction[batch], target[batch], scored[batch]
        for scorer in (one, processes[owner]):
            scorer.update(*part)
        own = meter()
        own.update(*part)
        merged.merge(own)
    assert merged.compute() == one.compute()  # batch by batch in their order: the very same numbers
    whole = meter()
    whole.update(prediction, target, scored)
    for process in processes[1:]:
        processes[0].merge(process)
    assert_same(processes[0], whole)


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_shows_in_every_score_of_its_step(meter, bad: float) -> None:
    prediction, target = random_pair(2, 3, 1, 16, 16)
    prediction[1, 2, 0, 8, 8] = bad
    scorer = meter()
    scorer.update(prediction, target)
    for score in scorer.compute().values():
        assert math.isnan(score.overall)
        assert [math.isnan(value) for value in score.per_lead_time] == [False, False, True]


@pytest.mark.parametrize("meter", METERS)
def test_pixels_that_are_not_scored_count_nowhere(meter) -> None:
    prediction, target = random_pair(2, 3, 1, 16, 16)
    scored = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.5
    clean, other = meter(), meter()
    clean.update(prediction, target, scored)
    other.update(torch.where(scored, prediction, math.nan), target, scored)
    assert clean.compute() == other.compute()  # bit for bit
    black, unknown = meter(), meter()
    for scorer, around in ((black, 0.0), (unknown, math.nan)):
        scorer.update(prediction, torch.where(scored, target, around), scored)
    assert black.compute() == unknown.compute()
    for name, score in clean.compute().items():  # SSIM alone looks around
        assert (score == black.compute()[name]) == ("ssim" not in name), name


def test_ssim_of_a_part_is_its_map_where_the_rest_is_the_truth() -> None:
    prediction, target = random_pair(1, 1, 1, 12, 17)
    scored = torch.zeros(1, 1, 1, 12, 17, dtype=torch.bool)
    scored[..., 3:8, 4:16] = True
    merged = torch.where(scored, prediction, target)
    x, y = (np.pad(v[0, 0, 0].double().numpy(), 5, mode="reflect") for v in (merged, target))
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    similarity = ssim_loop(x, y, np.outer(bell, bell) / bell.sum() ** 2, data_range=1.0, ddof=0)
    expected = similarity[3:8, 4:16].mean()
    assert overall(FrameScores(), prediction, target, scored)["ssim"] == pytest.approx(expected, rel=1e-5)


def test_partly_scored_frames_of_a_worked_example() -> None:
    target = torch.zeros(2, 2, 1, 2, 2)
    prediction = torch.full_like(target, 0.5)
    scored = torch.zeros(2, 2, 1, 2, 2, dtype=torch.bool)
    scored[0, 0, 0, 0] = True  # two pixels of one frame: 0.25 each,
    scored[0, 1] = True  # four of another,
    prediction[0, 1] = 0.1  # 0.01 each, and nothing of the second clip
    meter = FrameScores()
    meter.update(prediction, target, scored)
    scores = meter.compute()
    assert scores["mse"].overall == pytest.approx((2 * 0.25 + 4 * 0.01) / 6)
    assert scores["mse_frame"].per_lead_time == pytest.approx([0.5, 0.04])
    assert scores["mse_frame"].overall == pytest.approx(0.27)
    assert scores["mae_frame"].per_lead_time == pytest.approx([1.0, 0.4])
    assert scores["psnr"].per_lead_time == pytest.approx([6.0205999, 20.0], rel=1e-6)
    assert scores["psnr"].overall == pytest.approx(13.0102999, rel=1e-6)


def test_masked_scores_against_a_numpy_loop() -> None:
    prediction, target = random_pair(3, 2, 2, 5, 6)
    scored = torch.rand(3, 2, 1, 5, 6, generator=torch.Generator().manual_seed(1)) < 0.3
    scored[1, 0] = False  # a frame that is not scored at all
    meter = FrameScores()
    meter.update(prediction, target, scored)
    scores = meter.compute()
    for k in range(2):
        errors = [
            (prediction[b, k] - target[b, k]).double().numpy()[:, scored[b, k, 0].numpy()].ravel()
            for b in range(3)
            if scored[b, k].any()
        ]
        assert len(errors) == (2, 3)[k]
        assert scores["mse"].per_lead_time[k] == pytest.approx(np.mean(np.concatenate(errors) ** 2))
        assert scores["mse_frame"].per_lead_time[k] == pytest.approx(np.mean([(e**2).sum() for e in errors]))
        assert scores["mae_frame"].per_lead_time[k] == pytest.approx(np.mean([abs(e).sum() for e in errors]))
        psnr = np.mean([-10 * np.log10((e**2).mean()) for e in errors])
        assert scores["psnr"].per_lead_time[k] == pytest.approx(psnr)


@pytest.mark.parametrize("meter", METERS)
def test_frames_that_are_not_scored_are_as_if_absent(meter) -> None:
    prediction, target = random_pair(4, 2, 1, 16, 16)
    scored = torch.tensor([True, False, True, True]).view(4, 1, 1, 1, 1).expand(4, 2, 1, 1, 1)
    masked, absent = meter(), meter()
    masked.update(prediction, target, scored)
    absent.update(prediction[[0, 2, 3]], target[[0, 2, 3]])
    assert_same(masked, absent)


def test_a_step_that_is_never_scored_is_undefined() -> None:
    prediction, target = random_pair(2, 2, 1, 16, 16)
    scored = torch.tensor([True, False]).view(1, 2, 1, 1, 1).expand(2, 2, 1, 1, 1)
    meter = FrameScores()
    meter.update(prediction, target, scored)
    for score in meter.compute().values():
        assert math.isfinite(score.overall)
        assert [math.isnan(value) for value in score.per_lead_time] == [False, True]


def test_every_metric_is_defined() -> None:
    pair = random_pair(1, 1, 1, 16, 16)
    assert {*overall(FrameScores(openstl=True), *pair), *overall(BinaryScores(), *pair)} == set(DEFINITIONS)


def test_binarise_is_strict_and_keeps_nan() -> None:
    frames = torch.tensor([0.0, 0.5, 0.50001, 1.0, math.nan])
    torch.testing.assert_close(binarise(frames), torch.tensor([0, 0, 1, 1, math.nan]), equal_nan=True)


def test_shapes_that_cannot_be_scored() -> None:
    prediction, target = random_pair(2, 3, 1, 8, 8)
    meter = FrameScores()
    with pytest.raises(DataError, match="scores of nothing"):
        meter.compute()
    with pytest.raises(ShapeError, match="prediction of shape"):
        meter.update(prediction, target[:, :2])
    with pytest.raises(ShapeError, match="prediction of shape"):
        meter.update(prediction[0], target[0])
    with pytest.raises(ShapeError, match="scored of shape"):
        meter.update(prediction, target, torch.ones(2, 3, dtype=torch.bool))
    meter.update(prediction, target)
    with pytest.raises(ShapeError, match="as before"):
        meter.update(prediction[:, :2], target[:, :2])
    other = BinaryScores()
    other.update(prediction, target)
    with pytest.raises(ShapeError, match="as before"):
        meter.merge(other)  # pyright: ignore[reportArgumentType]
