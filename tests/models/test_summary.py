"""Parameters and multiply-accumulates, counted by hand."""

import pytest

from frame_forecast.models import create
from frame_forecast.models.summary import summarise


def test_cost_of_a_conv_lstm_autoencoder() -> None:
    hidden, pixels, taps = 4, 8 * 8, 9
    model = create("conv_lstm_autoencoder", hidden=hidden, layers=1, patch=8)
    summary = summarise(model, context=3, horizon=2, size=32)
    state = 4 * hidden * (hidden * taps + 1)  # four gates with a bias
    reads = 4 * hidden * pixels * taps
    head = pixels * (hidden * taps + 1)
    assert summary.parameters == 3 * state + reads + 2 * head
    assert sum(count for _, _, count in summary.layers) == summary.parameters
    assert all(count > 0 for _, _, count in summary.layers)
    positions = (32 // 8) ** 2
    macs = positions * (3 * reads + (3 + 3 + 2) * 4 * hidden * hidden * taps + (3 + 2) * hidden * pixels * taps)
    assert summary.gmac * 1e9 == pytest.approx(macs)
    assert (summary.frame, summary.context, summary.horizon) == ((1, 32, 32), 3, 2)


def test_a_model_fixed_to_a_size_keeps_it() -> None:
    model = create("lstm_autoencoder")
    assert model.frame_size is not None
    assert summarise(model, 2, 1, size=8).frame[1:] == model.frame_size


def test_a_baseline_costs_nothing() -> None:
    summary = summarise(create("copy_last"), 2, 1, size=16)
    assert (summary.parameters, summary.gmac, summary.layers) == (0, 0.0, [])
