"""A running server, which every test must leave as well as it was."""

from collections.abc import Iterator

import pytest

from served import Served, serve


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def still_well(served: Served) -> Iterator[None]:
    """After the test: the server gives a sample, forecasts it, and has printed no traceback."""
    yield
    clip = served.post("/api/samples", {"name": "moving_mnist", "number": 0})["id"]
    assert served.job(clip, "forecast", "copy_last", horizon=1)["state"] == "done"
    assert "Traceback" not in served.log.read_text()
