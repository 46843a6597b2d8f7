"""The command that shows the page."""

from typing import Annotated

import typer

Port = Annotated[int, typer.Option(min=0, max=65535, help="Of the page; the next free one if taken.")]


def view(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN_OR_CLIP]...",
            help="A clip: a file, a folder, or a glob in quotes such as 'scans/*.png'. A run, a report's folder, a "
            "backtest's, a folder of weights, or a file of evaluate --json.",
        ),
    ] = None,
    port: Port = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Unless it is this machine's own, the page demands a token.")
    ] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(help="That the page demands; by default a new one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Show models at work on a page: on samples, on clips of your own, on digits that you draw."""
    show(what or [], port, host, token, device)


def show(what: list[str], port: int, host: str = "127.0.0.1", token: str | None = None, device: str = "auto") -> None:
    """Serves the page until it is interrupted."""
    from frame_forecast.viewer import serve

    serve.view(
        what,
        host=host,
        port=port,
        token=token,
        device=device,
        tell=lambda url: typer.echo(f"The page is at {url} (Ctrl-C ends)."),
    )


def add_to(app: typer.Typer) -> None:
    """Makes the command part of a command line."""
    app.command()(view)
