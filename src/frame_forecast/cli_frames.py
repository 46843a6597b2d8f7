"""The commands for files of your own: forecast, recreate, reconstruct."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from frame_forecast.own_files import Outcome
    from frame_forecast.own_request import Request

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="A file, a folder, or a glob in quotes such as 'scans/*.png'. Files with a frame each are one series; "
        "several files of several frames, and several folders, are done one after the other.",
    ),
]
_OUT = typer.Option(
    "--out",
    "-o",
    help="File to write, of the format that its suffix says; without one a folder: a file for each frame of a "
    "series, or for each of many inputs. One file goes into a folder that is there.",
)
Out = Annotated[Path, _OUT]
OutOrNone = Annotated[Path | None, _OUT]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="A run, a folder of weights, released weights such as masked_lstm_small.moving_mnist, a method without "
        "weights (optical_flow, linear, nearest, copy_last, mean_frame), or auto: the best of them on frames of the "
        "input that are hidden for that.",
    ),
]
Candidate = Annotated[
    list[str] | None,
    typer.Option(help="A run or folder of weights for auto to choose from, too; may be given several times."),
]
Layout = Annotated[
    str | None, typer.Option(help="Axes of an array that does not name them, letters of TCHW such as THWC.")
]
Variable = Annotated[str | None, typer.Option(help="Name of the frames in a file of several arrays.")]
Missing = Annotated[
    str | None, typer.Option(help="Frames to treat as missing, counted from 0, such as 101-102,200-204.")
]
Mask = Annotated[
    str | None,
    typer.Option(
        help="What is missing: a picture, array or series in which 0 is missing, one frame for all or one for each; "
        "or a .made.json."
    ),
]
Detect = Annotated[
    bool,
    typer.Option(
        "--detect",
        help="Treat frames as missing that look black, frozen or corrupt, and insert those that time gaps have lost "
        "(see data check).",
    ),
]
Score = Annotated[
    Path | None,
    typer.Option(
        help="CSV file to write: how far each frame is from what the model reconstructs from the others, and how "
        "unusual that is. Without -o, this alone."
    ),
]
Suffix = Annotated[str | None, typer.Option(help="Of the outputs of many inputs, such as .mkv; by default theirs.")]
Shard = Annotated[str | None, typer.Option(help="2/8 does the second of eight shares of many inputs.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def forecast(
    inputs: Inputs,
    out: Out,
    horizon: Annotated[int, typer.Option(help="Frames to forecast.")],
    model: ModelName = "auto",
    candidate: Candidate = None,
    missing: Missing = None,
    mask: Mask = None,
    detect: Detect = False,
    layout: Layout = None,
    variable: Variable = None,
    suffix: Suffix = None,
    shard: Shard = None,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Write the frames that come after those of your own file."""
    from frame_forecast.own_request import Request

    request = Request("forecast", horizon, missing, mask, detect, layout, variable)
    _run(inputs, out, request, model, candidate, suffix, shard, force, device)


def recreate(
    inputs: Inputs,
    out: Out,
    missing: Missing = None,
    mask: Mask = None,
    detect: Detect = False,
    model: ModelName = "auto",
    candidate: Candidate = None,
    layout: Layout = None,
    variable: Variable = None,
    suffix: Suffix = None,
    shard: Shard = None,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Fill what is missing of your own file; all that is observed stays as it is."""
    from frame_forecast.own_request import Request

    request = Request("recreate", 0, missing, mask, detect, layout, variable)
    _run(inputs, out, request, model, candidate, suffix, shard, force, device)


def reconstruct(
    inputs: Inputs,
    out: OutOrNone = None,
    score: Score = None,
    missing: Missing = None,
    mask: Mask = None,
    detect: Detect = False,
    model: ModelName = "auto",
    candidate: Candidate = None,
    layout: Layout = None,
    variable: Variable = None,
    suffix: Suffix = None,
    shard: Shard = None,
    force: Force = False,
    device: Device = "auto",
) -> None:
    """Write your own file as a model understands it, each frame from the others: noise and faults stand out."""
    from frame_forecast.own_request import Request

    request = Request("reconstruct", 0, missing, mask, detect, layout, variable, None if score is None else str(score))
    _run(inputs, out, request, model, candidate, suffix, shard, force, device)


def add_to(app: typer.Typer) -> None:
    """Makes the three commands part of a command line."""
    for command in (forecast, recreate, reconstruct):
        app.command()(command)


def end_in_order_when_stopped() -> None:
    """A scheduler's or a closing terminal's signal ends the command as Ctrl-C does: temporary files are removed."""
    import signal

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one, such as timeout(1) sends, must not stop the tidying
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, stop)


def _run(
    inputs: list[str],
    out: Path | None,
    request: "Request",
    model: str,
    candidate: list[str] | None,
    suffix: str | None,
    shard: str | None,
    force: bool,
    device: str,
) -> None:
    """Exit code 1 if some of many inputs failed."""
    import sys

    from rich.console import Console

    from frame_forecast import choose
    from frame_forecast.own_files import process_all

    end_in_order_when_stopped()
    forecaster = choose.load(model, candidate or (), device)
    # On the side and to people alone: an error is then one line, and what is printed can be kept.
    console = Console(stderr=True, quiet=not sys.stderr.isatty())

    def tell(one: "Outcome") -> None:
        typer.echo(f"{one.status}: {one.source} -> {one.target}: {one.detail}", err=one.status == "failed")

    outcomes = process_all(
        inputs, out, request, forecaster, suffix=suffix, shard=shard, force=force, console=console, tell=tell
    )
    if not outcomes:
        typer.echo("nothing to do: this share has no input")
    failed = sum(one.status == "failed" for one in outcomes)
    if failed:
        typer.echo(f"{failed} of {len(outcomes)} failed", err=True)
        raise typer.Exit(1)
