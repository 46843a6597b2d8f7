"""The commands that make a method more to be trusted on frames of your own, and say how far: fit, backtest."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from frame_forecast.cli_frames import Device, Force, Layout, Variable, end_in_order_when_stopped

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="A file, a folder, or a glob in quotes such as 'scans/*.png'. Files with a frame each are one series.",
    ),
]


def backtest(
    inputs: Inputs,
    horizon: Annotated[int, typer.Option(help="Frames to forecast from each origin.")],
    windows: Annotated[int, typer.Option(help="Origins, spread evenly over the frames.")] = 8,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A run, a folder of weights or released weights, to be scored beside copy_last, mean_frame and "
            "optical_flow; may be repeated. By default the released weights for motion in general, if there are any.",
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            help="Score events, values at or above this: a number in the source's units, or such as 1mm/h for rain "
            "and dBZ; may be repeated. By default 0.1, 1 and 5 mm/h for these, and none for other frames.",
        ),
    ] = None,
    layout: Layout = None,
    variable: Variable = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for backtest.json, backtest.csv, backtest.md and plots."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Say how far into the future each method can be trusted on your own frames: forecast what is known already."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from frame_forecast.backtest import backtest
    from frame_forecast.files import check_writable
    from frame_forecast.report.backtest import JSON_FILE, LEGEND, MAIN_SCORES, score_tables, setting, write_backtest

    end_in_order_when_stopped()
    if out is not None:
        check_writable(out / JSON_FILE)
    found = backtest(
        inputs[0] if len(inputs) == 1 else inputs,
        horizon,
        windows=windows,
        models=models or (),
        thresholds=thresholds or (),
        layout=layout,
        variable=variable,
        device=device,
        # On the side and to people alone: an error is then one line, and what is printed can be kept.
        console=Console(stderr=True, quiet=not sys.stderr.isatty()),
    )
    console = Console()
    console.print(f"{found.source}: {setting(found)}", markup=False, highlight=False, soft_wrap=True)
    first, *others = score_tables(found, MAIN_SCORES)
    table = Table(box=box.SIMPLE_HEAD, caption=LEGEND, caption_justify="left")
    table.add_column("method", overflow="fold")
    for lead_time in first.lead_times:
        table.add_column(lead_time, justify="right")
    for one in (first, *others):
        table.add_section()
        table.add_row(Text(one.title, style="italic"))
        for name, cells in one.rows:
            table.add_row(Text(name), *(Text(text, style="bold" if best else "") for text, best in cells))
    console.print(table)
    for verdict in found.verdicts():
        console.print(verdict, markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        console.print(f"written to {write_backtest(out, found).parent}", markup=False, highlight=False, soft_wrap=True)


def fit(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of weights to write.")],
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 5.0,
    model: Annotated[
        str, typer.Option("--model", help="Weights to begin with: a run, a folder or released weights.")
    ] = "masked_lstm_small.motion",
    layout: Layout = None,
    variable: Variable = None,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Adapt weights to your own frames; they are never worse on those held back than what they began as."""
    from rich.console import Console

    from frame_forecast import predict
    from frame_forecast.fit import fit

    end_in_order_when_stopped()
    fitted = fit(
        inputs[0] if len(inputs) == 1 else inputs,
        out,
        predict.load(model, device=device),
        minutes,
        layout=layout,
        variable=variable,
        force=force,
        device=device,
        console=Console(stderr=True, quiet=not sys.stderr.isatty()),
    )
    gain = f"{fitted.before:.2f} dB before, {fitted.after:.2f} dB after {fitted.steps} steps"
    typer.echo(f"{fitted.folder}: {gain}, on hidden parts of the last quarter of the frames")
    if not fitted.gained:
        typer.echo(f"nothing was gained: these are the weights of {model}")
    else:
        typer.echo(f"use them with --model {fitted.folder}, or with --model auto --candidate {fitted.folder}")


def add_to(app: typer.Typer) -> None:
    """Makes the commands part of a command line."""
    for command in (fit, backtest):
        app.command()(command)
