"""What the server does not do, as the three fields of a `FrameForecastError` with an HTTP status."""

from __future__ import annotations

from starlette.responses import JSONResponse


class Refusal(Exception):
    """Something that is not done.

    Args:
        status: of HTTP.
        given, expected, next_step: as for `FrameForecastError`.
    """

    def __init__(self, status: int, given: str, expected: str, next_step: str) -> None:
        super().__init__(f"{given}: expected {expected}; {next_step}")
        self.status = status
        self.fields = {"given": given, "expected": expected, "next_step": next_step}

    def response(self) -> JSONResponse:
        """The answer that says so."""
        return JSONResponse(self.fields, self.status)


def not_here(what: str) -> Refusal:
    """For an id that is not known, or no longer."""
    return Refusal(404, f"a {what} that is not here, or no longer", f"the id of a {what}", "open or make it again")


def fault(error: Exception) -> Refusal:
    """For an error of this program, which should be printed for whoever runs it."""
    name = type(error).__name__
    return Refusal(500, f"an error that was not expected ({name})", "none", "see the server's terminal, report it")
