"""The command line: parse, call, print. Each command imports what it needs when it runs."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from frame_forecast import cli_frames, cli_trust, cli_view
from frame_forecast.errors import ConfigError

app = typer.Typer(
    name="frame-forecast",
    help="Forecast, recreate and reconstruct sequences of frames with LSTM autoencoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Data sets: what is here, and getting the rest.", no_args_is_help=True)
app.add_typer(data_app, name="data")
cli_frames.add_to(app)
cli_trust.add_to(app)
cli_view.add_to(app)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Seed = Annotated[int, typer.Option(help="Of initial weights and generated clips.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the model, the training or the clips; may be repeated.",
    ),
]


@app.command()
def demo(
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 3.0,
    view: Annotated[bool, typer.Option(help="Show the run on a page when done (see view).")] = True,
    model: Annotated[str, typer.Option(help="Preset to train.")] = "conv_lstm_autoencoder",
    out: Annotated[Path | None, typer.Option(help="Run folder; a new one under runs/ by default.")] = None,
    port: cli_view.Port = 8000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train an LSTM autoencoder on Moving MNIST, evaluate it, write a report, show it on a page."""
    from rich.console import Console

    from frame_forecast import workflows

    page = workflows.demo(out, minutes=minutes, preset=model, seed=seed, device=device, console=Console())
    if view:
        cli_view.show([str(page.parent)], port)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A preset, to see its layers; with --verify, weights.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check released weights and their golden output.")] = False,
) -> None:
    """List the models and the released weights, or show a model: layers, parameters, GMAC."""
    from rich.console import Console
    from rich.table import Table

    from frame_forecast import weights
    from frame_forecast.models import create, presets
    from frame_forecast.models.summary import summarise

    console = Console()
    if verify:
        released = weights.tags() if name is None else [name]
        for tag in released:
            difference = weights.verify(weights.find_folder(tag))
            typer.echo(f"{tag}: digest, config, contract and golden output are right (differs by {difference:.5f})")
        if not released:
            typer.echo("no released weights in this package")
        return
    if name is None:
        table = Table(
            "model",
            "tasks",
            "parameters",
            "GMAC",
            caption="GMAC: one 64x64 clip, 10 frames given, 10 forecast",
        )
        for preset in presets():
            built = create(preset)
            summary = summarise(built)
            table.add_row(preset, ", ".join(sorted(built.tasks)), f"{summary.parameters:,}", f"{summary.gmac:.2f}")
        console.print(table)
        if tags := weights.tags():
            table = Table("released weights", "tasks", "parameters", "MB on disk")
            for tag in tags:
                found = weights.describe(tag)
                table.add_row(tag, ", ".join(found.tasks), f"{found.parameters:,}", f"{found.size / 1e6:.1f}")
            console.print(table)
        return
    built = create(name)
    summary = summarise(built)
    table = Table("layer", "kind", "parameters")
    for layer, kind, parameters in summary.layers:
        table.add_row(layer, kind, f"{parameters:,}")
    console.print(table)
    C, H, W = summary.frame
    console.print(f"{name}: {', '.join(sorted(built.tasks))}")
    console.print(f"{summary.parameters:,} parameters, {summary.gmac:.2f} GMAC")
    console.print(f"for one clip of {C}x{H}x{W} frames, {summary.context} given, {summary.horizon} forecast")


@app.command()
def train(
    preset: Annotated[
        str | None, typer.Argument(help="The model (see `frame-forecast models`), or a recipe: a .toml file.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="moving_mnist, the default, or moving_scenes.")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="HH:MM:SS", help="How long to train.")] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps to train.")] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; a new one under runs/ by default.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Weights to start from: a run, a folder, or released ones such as masked_lstm_small.moving_mnist.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with; takes only --device and what follows it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of initial weights and generated clips; 0 by default.")] = None,
    device: Device = "auto",
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Processes on each machine; auto: as many as it has GPUs. 1, or as torchrun or SLURM has."
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(metavar="M", help="Machines that run this command. 1, or as torchrun or SLURM has.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a process waits for the others before it gives up.")
    ] = 300,
) -> None:
    """Train a model; write checkpoints, logs and weights."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else every name that no server knows is reported
    from rich.console import Console

    from frame_forecast import reporting, workflows
    from frame_forecast.training.processes import Processes, is_main, one_voice

    cli_frames.end_in_order_when_stopped()
    console = Console(quiet=not is_main())
    if resume is not None:
        others = {"a preset": preset, "--data": data, "--max-time": max_time, "--steps": steps, "--set": settings}
        others |= {"--out": out, "--from": start, "--seed": seed}
        if typed := [name for name, value in others.items() if value not in (None, [])]:
            raise ConfigError(
                f"--resume with {', '.join(typed)}",
                "--resume RUN alone, or with --device, --devices, --nodes or --timeout",
                "leave the rest out: the run's own settings are kept",
            )
    with one_voice():
        processes = Processes.of(devices, nodes, timeout, device)
        if resume is not None:
            workflows.resume(resume, device=device, console=console, processes=processes)
            return
        if preset is None:
            raise ConfigError("no model", "a preset or --resume RUN", "see `frame-forecast models`")
        chosen = workflows.run_settings(
            preset, settings or [], steps=steps, max_time=max_time, data=data, seed=seed, start=start
        )
        if out is None and processes.count > 1:
            processes.check_one_machine()
            out = reporting.new_folder(chosen.preset)
            sys.argv += ["--out", str(out)]  # Lightning starts the other processes with these words
        if workflows.is_recipe(preset):
            workflows.train_recipe(Path(preset), chosen, out, device=device, console=console, processes=processes)
        else:
            workflows.train(chosen, out, device=device, console=console, processes=processes)


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a folder of weights, released weights such as masked_lstm_small.moving_mnist, "
            "or a baseline's name."
        ),
    ],
    task: Annotated[str, typer.Option(help="forecast, recreate or reconstruct.")] = "forecast",
    clips: Annotated[int, typer.Option(help="Test clips.")] = 1000,
    context: Annotated[int | None, typer.Option(help="Frames given: 10, or 20 to recreate.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Frames to forecast: 10.")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="What is missing, to recreate: random:0.5 (share of frames), gap:5 or gap:3-8 (frames in a row), "
            "block:16 (square of pixels), stripes or stripes:4 (pixels wide), pixels:0.5 (share of pixels)."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set; by default the one that the weights were trained on.")
    ] = None,
    split: Annotated[str, typer.Option(help="test; validation to choose between models; or train.")] = "test",
    generated: Annotated[bool, typer.Option("--generated", help="Not the published test file.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results there.")] = None,
    openstl: Annotated[bool, typer.Option("--ssim-openstl", help="SSIM as in published tables, too.")] = False,
    seed: Seed = 0,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(help="How many of them share the work, in a process each; on a CPU, how many processes.")
    ] = 1,
) -> None:
    """Score a model beside the baselines, per lead time, grey and binarised."""
    from rich.console import Console

    from frame_forecast import scoring
    from frame_forecast.report import markdown_table

    console = Console()
    results = scoring.evaluate(
        model,
        task=task,
        clips=clips,
        context=context,
        horizon=horizon,
        pattern=pattern,
        data=data,
        split=split,
        published=not generated,
        openstl=openstl,
        seed=seed,
        device=device,
        devices=devices,
        json_file=json_file,
        console=console,
    )
    what = task if results.pattern is None else f"{task} {results.pattern}"
    console.print(f"{what}: {results.data.clips} {results.data.split} clips of {results.data.name}")
    console.print(markdown_table(results), markup=False, soft_wrap=True)
    if json_file is not None:
        console.print(f"written to {json_file}")


@app.command()
def report(
    name: Annotated[
        str,
        typer.Argument(
            help="A finished run, a folder of weights, released weights such as masked_lstm_small.moving_mnist, "
            "or a data set for the best of them."
        ),
    ],
    clips: Annotated[int, typer.Option(help="Test clips.")] = 300,
    out: Annotated[
        Path | None, typer.Option(help="Report folder; by default the run's, or a new one under runs/.")
    ] = None,
    view: Annotated[bool, typer.Option(help="Show the report on a page when done (see view).")] = True,
    port: cli_view.Port = 8000,
    device: Device = "auto",
) -> None:
    """Evaluate a run or weights on every task of their model, write a report, show it on a page."""
    from rich.console import Console

    from frame_forecast import reporting

    page = reporting.report_on(name, out, clips=clips, device=device, console=Console())
    typer.echo(page)
    if view:
        cli_view.show([str(page.parent)], port)


@app.command()
def release(
    run: Annotated[str, typer.Argument(help="A run, or a folder of weights.")],
    folder: Annotated[Path, typer.Argument(help="To write; its name is the tag.")],
    scores: Annotated[list[Path] | None, typer.Option(help="JSON of `evaluate`; may be repeated.")] = None,
) -> None:
    """Make a folder to ship of a run's weights: half precision, golden output, model card."""
    from frame_forecast.release import release

    typer.echo(f"written and verified: {release(run, folder, scores or ())}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A run, a folder of weights, or released weights.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, such as model.onnx.")],
    context: Annotated[int | None, typer.Option(help="Frames given; by default as trained.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Frames to forecast; by default as trained.")] = None,
) -> None:
    """Write a model as an ONNX graph that forecasts, checked against torch."""
    from frame_forecast.export import export

    graph = export(model, out, context=context, horizon=horizon)
    size = "any size" if graph.size is None else "x".join(map(str, graph.size))
    given = f"{graph.context} frames in" + (", or any number" if graph.any_context else "")
    typer.echo(
        f"written: {out}: {given}, {graph.horizon} out, of {graph.channels} channels and {size}; "
        f"any batch; within {graph.difference:.1e} of torch"
    )


@data_app.command("show")
def data_show() -> None:
    """What is found on this machine."""
    from frame_forecast import workflows

    for line in workflows.describe_data():
        typer.echo(line)


@data_app.command("fetch")
def data_fetch(
    what: Annotated[str, typer.Argument(help="mnist, mnist_test_seq or all.")] = "all",
    folder: Annotated[Path, typer.Option(help="Where to put the files.")] = Path("data"),
) -> None:
    """Download MNIST and the published test set, with resume and checksums."""
    from rich.console import Console

    from frame_forecast import workflows

    for path in workflows.fetch_data(what, folder, console=Console()):
        typer.echo(path)


@data_app.command("check")
def data_check(
    path: Annotated[str, typer.Argument(help="A file, a folder or a glob in quotes, such as 'scans/*.png'.")],
    layout: Annotated[
        str | None, typer.Option(help="Axes of an array that does not name them, letters of TCHW such as THWC.")
    ] = None,
    variable: Annotated[str | None, typer.Option(help="Name of the frames in a file of several arrays.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the findings there, too.")] = None,
) -> None:
    """What frames of your own hold: layout, range, rate, and which are missing or look broken."""
    import json
    import sys

    from rich.console import Console
    from rich.table import Table

    from frame_forecast.files import check_writable, replacing
    from frame_forecast.findings import examine
    from frame_forecast.io.streams import open_reader
    from frame_forecast.progress import bar
    from frame_forecast.ranges import format_ranges

    if json_file is not None:
        check_writable(json_file)
    with (
        open_reader(path, layout, variable) as stream,
        # On the side and to people alone: an error is then one line, and what is printed can be kept.
        bar(Console(stderr=True, quiet=not sys.stderr.isatty()), "reading") as progress,
    ):
        found = examine(stream, progress)
    console = Console()
    table = Table(show_header=False, title=path, title_justify="left")
    for name, text in found.facts():
        table.add_row(name, text)
    console.print(table, markup=False)
    if found.findings:
        table = Table("found", "frames", "what", "option", caption="frames are numbered from 0")
        for finding in found.findings:
            table.add_row(finding.kind, _shortened(format_ranges(finding.frames)), finding.meaning, finding.option)
        console.print(table)
    else:
        console.print("No frame is missing or looks broken.")
    if json_file is not None:
        with replacing(json_file) as temporary:
            temporary.write_text(json.dumps(found.to_json_dict(), indent=2) + "\n", encoding="utf-8")
        console.print(f"written to {json_file}", markup=False)
    typer.echo(f"next: {found.next_command(path, layout, variable)}")


def _shortened(ranges: str, most: int = 20) -> str:
    parts = ranges.split(",")
    return (
        ranges if len(parts) <= most else f"{','.join(parts[:most])} and {len(parts) - most} more ranges (see --json)"
    )
