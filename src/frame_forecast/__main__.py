"""``python -m frame_forecast`` and the ``frame-forecast`` command."""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from frame_forecast.errors import FrameForecastError, FrameForecastWarning


def main() -> None:
    """Runs the command line. The one place that turns errors into a line and an exit code."""
    from frame_forecast.cli import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a bar's or a name's character that it lacks ends no run
    try:
        with _warnings_as_lines():
            app()
    except FrameForecastError as error:
        _refuse(error)
    except OSError as error:  # such as a name too long, or a folder that may not be searched
        _refuse(f"{error.filename or 'a file'}: {error.strerror or error}: expected a path that can be used; check it")
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        _refuse("out of memory: expected clips and a network that fit; lower batch_size, context, horizon or hidden")
    except SystemExit as end:
        if end.code in (129, 130, 143):  # SIGHUP, Typer's answer to Ctrl-C and SIGTERM, which say nothing
            print("frame-forecast: interrupted", file=sys.stderr)
        raise


def _refuse(reason: object) -> NoReturn:
    print(f"frame-forecast: {reason}", file=sys.stderr)
    sys.exit(2)


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
