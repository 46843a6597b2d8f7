"""How fast the models of the literature run and train here, beside a public implementation of them.

Moving MNIST's sizes: 10 frames of 64x64 given, 10 forecast. Training is forward, mean squared error and backward;
inference gives the forecast of one clip and of a batch. Jobs take turns, so that their ratios hold on a machine
that others use, too. With ``--openstl`` the models of OpenSTL (github.com/chengtan9907/OpenSTL) run from the same
weights: the largest difference of a pixel, in float32, is a column. They are read from a copy of that repository;
nothing of it is kept here::

    python benchmarks/models.py --openstl ../OpenSTL --out benchmarks/results/models.csv
"""

import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from common import THREADS, places, precisions, record, spread, take_turns
from frame_forecast.clip import Batch
from frame_forecast.models import Model, create
from frame_forecast.models.causal import CausalModel
from frame_forecast.models.summary import summarise
from references import CONTEXT, HORIZON, REFERENCES, SIZE, Job

MODELS = ("conv_lstm", "predrnn", "predrnn_pp", "mim", "mau", *REFERENCES)


def ours(model: Model) -> Job:
    """A model of this package."""

    def forecast(frames: Tensor) -> Tensor:
        batch = Batch.forecast(frames, CONTEXT)
        return model(batch.frames, batch.observed, batch.valid)[:, 1:]

    return forecast


def theirs(model: Model, name: str, folder: Path) -> tuple[nn.Module, Job]:
    """OpenSTL's model with the weights of ours, and a sigmoid at the end of it."""
    if name in REFERENCES:
        return REFERENCES[name](model, folder)
    assert isinstance(model, CausalModel)
    files, network_name, copy, patch = {
        "conv_lstm": (["convlstm"], "ConvLSTM_Model", _copy_conv_lstm, model.config.patch),
        "predrnn": (["predrnn"], "PredRNN_Model", _copy_predrnn, model.config.patch),
        "predrnn_pp": (["predrnnpp"], "PredRNNpp_Model", _copy_predrnn_pp, model.config.patch),
        "mim": (["mim", "predrnn"], "MIM_Model", _copy_mim, model.config.patch),
        "mau": (["mau"], "MAU_Model", _copy_mau, 1),  # it makes states smaller by convolutions
    }[name]
    modules = ModuleType("openstl.modules")
    for file in files:
        vars(modules).update(vars(_load(folder / "openstl" / "modules" / f"{file}_modules.py")))
    # Its package imports much else; the models ask it for their cells alone.
    sys.modules["openstl"], sys.modules["openstl.modules"] = ModuleType("openstl"), modules
    network = getattr(_load(folder / "openstl" / "models" / f"{files[0]}_model.py"), network_name)
    config = model.config
    settings = SimpleNamespace(
        in_shape=(CONTEXT, config.channels, SIZE, SIZE), patch_size=patch, filter_size=config.kernel, stride=1,
        layer_norm=0, pre_seq_length=CONTEXT, aft_seq_length=HORIZON, total_length=CONTEXT + HORIZON,
        reverse_scheduled_sampling=0, sr_size=config.patch // patch, tau=getattr(config, "tau", 0),
        cell_mode="normal", model_mode="normal",
    )  # fmt: skip
    reference = network(config.layers, [config.hidden] * config.layers, settings)
    with torch.no_grad():
        # An untrained model has the biases that the reference has built in, 0 or 1 to remember, but for its head's.
        copy(model, reference)

    def forecast(frames: Tensor) -> Tensor:
        B, T = frames.shape[:2]
        patches = nn.functional.pixel_unshuffle(frames.flatten(0, 1), patch).movedim(1, -1).unflatten(0, (B, T))
        read = frames.new_zeros((B, T - CONTEXT - 1, *patches.shape[2:]))
        made = reference(patches, read, return_loss=False)[0]
        shuffled = nn.functional.pixel_shuffle(made.flatten(0, 1).movedim(-1, 1), patch)
        return shuffled.unflatten(0, (B, T - 1))

    return reference, forecast


def _load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _copy_head(model: CausalModel, reference: Any) -> None:
    reference.conv_last.weight.copy_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    reference.conv_last.register_forward_hook(lambda *call: torch.sigmoid(call[-1]))


def _copy_conv_lstm(model: CausalModel, reference: Any) -> None:
    for ours, other in zip(model.cells, reference.cell_list, strict=True):
        other.conv_x[0].weight.copy_(ours.input.weight)
        other.conv_h[0].weight.copy_(ours.state.weight)
        ours.state.bias.zero_()  # the reference forgets at first
    _copy_head(model, reference)


def _copy_predrnn(model: CausalModel, reference: Any) -> None:
    (cell,) = model.cells
    for ours, other in zip((cell.lowest, *cell.above), reference.cell_list, strict=True):
        _copy_st_lstm(ours, other)
    _copy_head(model, reference)


def _copy_st_lstm(ours: Any, other: Any) -> None:
    i, f, g, o, *of_memory = ours.input.weight.chunk(7)
    other.conv_x[0].weight.copy_(torch.cat([i, f, g, *of_memory, o]))
    other.conv_h[0].weight.copy_(ours.state.weight)
    other.conv_m[0].weight.copy_(ours.memory.weight)
    other.conv_o[0].weight.copy_(ours.output.weight)
    other.conv_last.weight.copy_(ours.merge.weight)


def _copy_predrnn_pp(model: CausalModel, reference: Any) -> None:
    (cell,) = model.cells
    reference.gradient_highway.x_concat[0].weight.copy_(cell.highway.input.weight)
    reference.gradient_highway.z_concat[0].weight.copy_(cell.highway.state.weight)
    for ours, other in zip((cell.lowest, *cell.above), reference.cell_list, strict=True):
        i, f, g, o, *of_second = ours.input.weight.chunk(7)
        other.conv_x[0].weight.copy_(torch.cat([i, f, g, *of_second, o]))
        other.conv_h[0].weight.copy_(ours.state.weight)
        other.conv_c[0].weight.copy_(ours.own.weight)
        other.conv_m[0].weight.copy_(ours.memory.weight)
        o, i, f, g = ours.cascade.weight.chunk(4)
        other.conv_c2m[0].weight.copy_(torch.cat([i, g, f, o]))
        other.conv_om[0].weight.copy_(ours.output.weight)
        other.conv_last.weight.copy_(ours.merge.weight)
    _copy_head(model, reference)


def _copy_mim(model: CausalModel, reference: Any) -> None:
    (stack,) = model.cells
    lowest, *blocks = reference.stlstm_layer
    _copy_st_lstm(stack.lowest, lowest)
    for ours, other, changes in zip(stack.blocks, blocks, reference.stlstm_layer_diff, strict=True):
        for cell, of in ((ours.changes, changes), (ours.stays, other)):
            for map, target in ((cell.input, of.conv_x_concat), (cell.state, of.conv_h_concat)):
                i, f, g, o = map.weight.chunk(4)
                target[0].weight.copy_(torch.cat([i, g, f, o]))
        for map, target in ((ours.input, other.conv_x_cc), (ours.memory, other.conv_s_cc)):
            i, g, o, f = map.weight.chunk(4)
            target[0].weight.copy_(torch.cat([i, g, f, o]))
        other.conv_t_cc[0].weight.copy_(ours.state.weight)
        other.conv_last.weight.copy_(ours.merge.weight)
    _copy_head(model, reference)

    def forget(*_: object) -> None:
        """Its blocks would otherwise begin with a memory of the clips before."""
        for block in blocks:
            block.convlstm_c = None

    reference.register_forward_pre_hook(forget)


def _copy_mau(model: CausalModel, reference: Any) -> None:
    def layers(*parts: Any) -> list[Any]:
        found = [layer for part in parts for layer in part.modules()]
        return [layer for layer in found if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]

    ends = layers(reference.encoders, reference.decoders, reference.srcnn)
    for ours, other in zip(layers(model.cells[0].encoder, model.head), ends, strict=True):
        other.load_state_dict(ours.state_dict())
    for ours, other in zip(model.cells, reference.cell_list, strict=True):
        for (convolution, norm), (to, normed) in (
            (ours.key, other.conv_s_next), (ours.appearance, other.conv_s),
            (ours.keep, other.conv_t_next), (ours.motion, other.conv_t),
        ):  # fmt: skip
            to.load_state_dict(convolution.state_dict())
            for mine, every in ((norm.weight, normed.weight), (norm.bias, normed.bias)):
                every.copy_(mine[:, None, None].expand_as(every))
    reference.srcnn.register_forward_hook(lambda *call: torch.sigmoid(call[-1]))
    # Its frames lie as (B, T, C, H, W), those of the others as (B, T, H, W, C).
    reference.register_forward_hook(lambda *call: (call[-1][0].movedim(2, -1), call[-1][1]))


def jobs(runs: dict[str, Job], frames: Tensor, precision: list[str], train: bool) -> dict[str, Callable[[], object]]:
    """Each run in each precision; the reference in float32 alone, its default."""

    def job(run: Job, kind: str) -> Callable[[], object]:
        def infer() -> None:
            with torch.inference_mode(), torch.autocast(frames.device.type, torch.bfloat16, enabled=kind == "bf16"):
                run(frames)

        def step() -> None:
            with torch.autocast(frames.device.type, torch.bfloat16, enabled=kind == "bf16"):
                made = run(frames)
            nn.functional.mse_loss(made.float(), frames[:, 1:]).backward()

        return step if train else infer

    return {
        f"{name}-{kind}": job(run, kind)
        for name, run in runs.items()
        for kind in (precision if name == "frame-forecast" else ["float32"])
    }


def measure(
    models: list[str], openstl: Path | None, threads: list[int], batch: int, training_batch: int, seconds: float
) -> Iterator[dict[str, object]]:
    """A row for every model, place, use and precision."""
    for device, place in places(threads):
        for name in models:
            torch.manual_seed(0)
            model = create(name).to(device)
            summary = summarise(model.cpu(), CONTEXT, HORIZON, SIZE)
            frames = torch.rand(max(batch, training_batch), CONTEXT + HORIZON, 1, SIZE, SIZE, device=device)
            runs, networks, difference = {"frame-forecast": ours(model.to(device))}, [model], None
            if openstl is not None:
                reference, runs["openstl"] = theirs(model, name, openstl)
                networks.append(reference.to(device))
                with torch.inference_mode():
                    for network in networks:
                        network.eval()
                    made = [run(frames[:1]) for run in runs.values()]
                difference = float((made[0] - made[1]).abs().max())
            for use, count in (("inference", 1), ("inference", batch), ("training", training_batch)):
                for network in networks:
                    network.train(use == "training")
                work = jobs(runs, frames[:count], precisions(device), use == "training")
                taken = take_turns(work, device, seconds)
                for label, samples in taken.items():
                    implementation, precision = label.rsplit("-", 1)
                    rate = {"implementation": implementation, "precision": precision}
                    yield place | {
                        "model": name, "parameters": summary.parameters, "gmac": round(summary.gmac, 2), "use": use,
                        "batch": count, **rate, **spread("clips_per_second", count / samples, 3),
                        "calls": len(samples), "largest_difference": difference,
                    }  # fmt: skip


def main(
    out: Annotated[Path, typer.Option(help="Where to write the rows, as CSV.")],
    openstl: Annotated[Path | None, typer.Option(help="A copy of OpenSTL's repository, to be measured beside.")] = None,
    model: Annotated[list[str], typer.Option(help="May be repeated.")] = list(MODELS),  # noqa: B006
    threads: Annotated[list[int], typer.Option(help="May be repeated.")] = THREADS[-1:],
    batch: Annotated[int, typer.Option(help="Clips of a batch to infer.")] = 16,
    training_batch: Annotated[int, typer.Option(help="Clips of a batch to train on.")] = 4,
    seconds: Annotated[float, typer.Option(help="For each use of each model; every job runs twice at least.")] = 60,
) -> None:
    """Measures models here, and beside OpenSTL's."""
    record(out, measure(model, openstl, threads, batch, training_batch, seconds))


if __name__ == "__main__":
    typer.run(main)
