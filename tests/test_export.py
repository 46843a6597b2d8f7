"""ONNX graphs of every model, run by onnxruntime, against torch."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import Command, command_of, refused
from frame_forecast import export as exporting
from frame_forecast import weights
from frame_forecast.errors import ConfigError, TaskError, WeightsError
from frame_forecast.export import TOLERANCE, export
from frame_forecast.masks import future
from frame_forecast.models import BASELINES, Model, create, entries, entry_of

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install frame-forecast[export]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install frame-forecast[export]")

LEARNING = [entry.name for entry in entries() if entry.name not in (*BASELINES, "optical_flow")]
CONTEXT, HORIZON = 4, 2


def saved(folder: Path, name: str, **settings: object) -> Model:
    """A tiny model whose weights are in the folder."""
    torch.manual_seed(0)
    entry = entry_of(name)
    model = entry.model(dataclasses.replace(entry.tiny, **settings)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    weights.save(folder, model, name, context=CONTEXT, horizon=HORIZON, channels=1, height=16, width=16)
    return model


def agree(path: Path, model: Model, frames: torch.Tensor, horizon: int = HORIZON) -> None:
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {"frames": frames.numpy()})
    B, context = frames.shape[:2]
    canvas = torch.cat([frames, torch.rand((B, horizon, *frames.shape[2:]))], dim=1)
    with torch.inference_mode():
        expected = model(canvas, future(context, horizon)[None].expand(B, -1, -1, -1, -1))[:, context:]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", LEARNING)
def test_onnxruntime_gives_what_torch_gives_of_any_batch_and_size(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "weights", name)
    graph = export(tmp_path / "weights", tmp_path / "model.onnx")
    assert (graph.context, graph.horizon, graph.channels, graph.size) == (CONTEXT, HORIZON, 1, model.frame_size)
    assert graph.any_context == model.any_context
    for batch, size in ((1, (16, 16)), (4, (16, 16)), (2, (13, 22))):
        if model.frame_size in (None, size):
            agree(tmp_path / "model.onnx", model, torch.rand(batch, CONTEXT, 1, *size))


@pytest.mark.parametrize("settings", [{}, {"conditional": True}, {"form": "prediction", "layers": 1}])
def test_lstm_operators_read_any_number_of_frames(settings: dict[str, object], tmp_path: Path) -> None:
    model = saved(tmp_path / "weights", "lstm_autoencoder", **settings)
    assert export(tmp_path / "weights", tmp_path / "model.onnx").any_context
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operators.count("LSTM") >= len(model.encoder)
    for batch, context in ((1, 1), (2, CONTEXT), (3, 4 * CONTEXT)):
        agree(tmp_path / "model.onnx", model, torch.rand(batch, context, 1, 16, 16))


@pytest.mark.parametrize("name", [*LEARNING, "linear", "optical_flow"])
def test_a_forecast_is_what_a_canvas_gives(name: str) -> None:
    entry = entry_of(name)
    model = entry.model(entry.tiny).eval()
    frames = torch.rand(2, CONTEXT, 1, 16, 16)
    canvas = torch.cat([frames, torch.rand(2, HORIZON, 1, 16, 16)], dim=1)
    observed = future(CONTEXT, HORIZON)[None].expand(2, -1, -1, -1, -1)
    with torch.inference_mode():
        assert torch.equal(model.forecast(frames, HORIZON), model(canvas, observed)[:, CONTEXT:])


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_graphs_too(name: str, tmp_path: Path) -> None:
    graph = export(name, tmp_path / "model.onnx", context=3, horizon=4)
    assert (graph.context, graph.horizon, graph.size) == (3, 4, None)
    agree(tmp_path / "model.onnx", create(name), torch.rand(2, 3, 1, 9, 8), horizon=4)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "flow", "masked_lstm", flow=True)
    saved(tmp_path / "reconstructs", "lstm_autoencoder", form="reconstruction")
    before = sorted(tmp_path.rglob("*"))
    for name, words in (
        ("optical_flow", "optical flow"),
        (tmp_path / "flow", "flow"),
        (tmp_path / "reconstructs", "forecast"),
    ):
        with pytest.raises(TaskError, match=words):
            export(name, tmp_path / "model.onnx")
    for setting in ({"context": 0}, {"horizon": 0}):
        with pytest.raises(ConfigError, match=next(iter(setting))):
            export("linear", tmp_path / "model.onnx", **setting)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_graph_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(WeightsError, match="differs"):
        export("linear", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return command_of(monkeypatch, capsys)


def test_the_command_says_what_the_graph_takes(command: Command, tmp_path: Path) -> None:
    saved(tmp_path / "weights", "conv_lstm")
    done = command("export", "weights", "-o", "out/model.onnx", "--horizon", "3")
    assert done.code == 0, done.err
    assert "4 frames in, 3 out" in done.out
    assert "any size" in done.out
    assert "any number" not in done.out
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 0


def test_the_command_refuses_in_one_line(command: Command) -> None:
    refused(command, "export", "optical_flow", "-o", "model.onnx", words=("optical flow",))
