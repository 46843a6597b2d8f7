"""Jobs that take long, a worker that is killed, and what is left when the server ends."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from strangers import FRAMES, JSON, refused

from served import LONG, Served, pack, serve

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and /proc of Linux"),
    pytest.mark.usefixtures("still_well"),
]


def slow_job(served: Served) -> str:
    """A job that runs for seconds, once it runs."""
    values = np.random.default_rng(0).integers(0, 255, (120, 1, 128, 128)).astype(np.uint8)
    clip = served.ask("POST", "/api/clips", pack(values), FRAMES).json["id"]
    wanted = {"clip": clip, "task": "recreate", "model": "masked_lstm_small.moving_mnist", "missing": [5]}
    job = served.post("/api/jobs", wanted | {"start": None, "horizon": None, "holes": []})["id"]
    until = time.monotonic() + LONG
    while (state := served.get(f"/api/jobs/{job}"))["state"] == "queued":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert state["state"] == "running", state
    return job


def test_a_worker_that_is_killed_fails_its_job_and_comes_again(served: Served) -> None:
    job = slow_job(served)
    for child in served.children():
        os.kill(child, signal.SIGKILL)
    state = served.over(job)
    assert state["state"] == "failed"
    assert set(state["error"]) == {"given", "expected", "next_step"}


def test_a_slow_job_holds_no_quick_one_up_and_can_be_cancelled(served: Served) -> None:
    job = slow_job(served)
    clip = served.post("/api/samples", {"name": "moving_mnist", "number": 3})["id"]
    assert served.job(clip, "forecast", "copy_last", horizon=2)["state"] == "done"
    assert served.get(f"/api/jobs/{job}")["state"] == "running"
    assert served.ask("DELETE", f"/api/jobs/{job}").status in (200, 202)
    assert served.over(job)["state"] == "cancelled"


def test_more_jobs_than_may_wait_are_refused(served: Served) -> None:
    job = slow_job(served)
    clip = served.get(f"/api/jobs/{job}")
    sample = served.post("/api/samples", {"name": "moving_mnist", "number": 4})["id"]
    body = f'{{"clip": "{sample}", "task": "recreate", "model": "masked_lstm_small.moving_mnist", "missing": [4]}}'
    answers = [served.ask("POST", "/api/jobs", body.encode(), JSON) for _ in range(200)]
    assert {answer.status for answer in answers} <= {202, 429, 503}, clip
    for answer in answers:
        if answer.status != 202:
            refused(answer, 429, 503)
    for number in [job, *(answer.json["id"] for answer in answers if answer.status == 202)]:
        served.ask("DELETE", f"/api/jobs/{number}")
        assert served.over(number)["state"] in ("cancelled", "done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_when_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path) as served:
        slow_job(served)
        children = served.children()
        assert children
        assert list(served.temporary.glob("frame-forecast*"))
        served.process.send_signal(number)
        served.process.wait(LONG)
        until = time.monotonic() + LONG
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < until, children
            time.sleep(0.1)
        assert [path for path in served.temporary.rglob("*") if path.is_file()] == []
        assert list(served.temporary.glob("frame-forecast*")) == []
        assert "Traceback" not in served.log.read_text()
        assert number == signal.SIGKILL or served.process.returncode == 0
