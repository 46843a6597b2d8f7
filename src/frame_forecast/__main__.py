"""``python -m frame_forecast`` and the ``frame-forecast`` command."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from frame_forecast.errors import FrameForecastError, FrameForecastWarning

_OUT_OF_MEMORY = "out of memory: expected clips and a network that fit; lower batch_size, context, horizon or hidden"


def main() -> None:
    """Runs the command line. The one place that turns errors into a line and an exit code."""
    from frame_forecast.cli import app

    try:
        with _warnings_as_lines():
            app()
    except FrameForecastError as error:
        print(f"frame-forecast: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print(f"frame-forecast: {_OUT_OF_MEMORY}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C, which says nothing
            print("frame-forecast: interrupted", file=sys.stderr)
        raise


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; torch's processors say so in RuntimeErrors of their own."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in ("allocate memory", "out of memory"))


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
