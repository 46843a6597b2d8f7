"""``python -m frame_forecast`` and the ``frame-forecast`` command."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from frame_forecast.errors import FrameForecastError, FrameForecastWarning


def main() -> None:
    """Runs the command line. The one place that turns errors into a line and an exit code."""
    from frame_forecast.cli import app

    try:
        with _warnings_as_lines():
            app()
    except FrameForecastError as error:
        print(f"frame-forecast: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C, which says nothing
            print("frame-forecast: interrupted", file=sys.stderr)
        raise


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Inside, this package's warnings are a line each on stderr; others are shown as ever."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_line(message: Warning | str, *where: Any, **more: Any) -> None:
            if isinstance(message, FrameForecastWarning):
                print(f"frame-forecast: warning: {message}", file=sys.stderr)
            else:
                show(message, *where, **more)

        warnings.showwarning = show_line
        yield


if __name__ == "__main__":
    main()
