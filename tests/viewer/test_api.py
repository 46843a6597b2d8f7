"""The API, asked in this process; the worker is a process of its own, as ever."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from frame_forecast.io.clips import read
from frame_forecast.studio.limits import Limits
from frame_forecast.viewer.opened import Opened
from frame_forecast.viewer.serve import Server, listen
from frame_forecast.viewer.state import Settings, Studio
from served import pack, unpack

MODEL = "masked_lstm_small.moving_mnist"
FRAMES = {"Content-Type": "application/x-frames"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("studio")
    np.save(folder / "mine.npy", np.arange(4 * 64).reshape(4, 1, 8, 8).astype(np.uint8))
    (folder / "results.json").write_text("[]")
    opened = Opened.of([str(folder / "mine.npy"), str(folder / "results.json")])
    (folder / "temporary").mkdir()
    limits = Limits(upload_bytes=200_000, frames=200, pixels=100_000)
    return Studio(Settings(folder / "temporary", "cpu", limits, opened=opened))


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[httpx.Client]:
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listening:
        server = Server(studio, ready.set)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        assert ready.wait(60)
        port = listening.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client
        server.should_exit = True
        thread.join()


def json_of(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert set(json_of(answer, status)) == {"given", "expected", "next_step"}
    for word in words:
        assert word in answer.text
    assert "/tmp" not in answer.text


def sent(client: httpx.Client, values: np.ndarray) -> str:
    return json_of(client.post("/api/clips?name=drawn", content=pack(values), headers=FRAMES), 201)["id"]


def over(client: httpx.Client, clip: str, **job: Any) -> Any:
    """The state of a job when it is over."""
    state = json_of(client.post("/api/jobs", json={"clip": clip} | job), 202)
    while state["state"] in ("queued", "running"):
        time.sleep(0.02)
        state = json_of(client.get(f"/api/jobs/{state['id']}"))
    return state


def blobs(frames: int = 20) -> np.ndarray:
    """uint8 ``(T, 1, 32, 32)``, a square that moves."""
    values = np.zeros((frames, 1, 32, 32), np.uint8)
    for t in range(frames):
        values[t, 0, 8:16, t : t + 8] = 200
    return values


def test_what_there_is(client: httpx.Client) -> None:
    about = json_of(client.get("/api/about"))
    names = [model["name"] for model in about["models"]]
    assert {MODEL, "auto", "linear", "black"} <= set(names)
    assert names[0] == MODEL
    assert [model["name"] for model in about["models"] if "moving_mnist" in model["best_for_samples"]] == [MODEL]
    assert [sample["name"] for sample in about["samples"]] == ["moving_mnist", "moving_scenes"]
    assert about["limits"] == {"upload_bytes": 200_000, "frames": 200, "pixels": 100_000}
    assert (len(about["opened"]), len(about["runs"])) == (1, 3)


def test_what_was_opened(client: httpx.Client) -> None:
    about = json_of(client.get("/api/about"))
    (id,) = about["opened"]
    clip = json_of(client.get(f"/api/clips/{id}"))
    assert (clip["name"], clip["frames"], clip["expires"]) == ("mine.npy", 4, None)
    refused(client.delete(f"/api/clips/{id}"), 403)
    runs = json_of(client.get("/api/runs"))
    assert [run["kind"] for run in runs] == ["results", "weights", "weights"]
    assert [run["id"] for run in runs] == about["runs"]
    refused(client.get(f"/api/runs/{about['runs'][0]}/plots/absent.svg"), 404)


def test_samples(client: httpx.Client) -> None:
    clips = [
        json_of(client.post("/api/samples", json={"name": name, "number": number}), 201)
        for name, number in (("moving_mnist", 3), ("moving_mnist", 3), ("moving_mnist", 4), ("moving_scenes", 0))
    ]
    frames = [unpack(client.get(f"/api/clips/{clip['id']}/frames").content)[0] for clip in clips]
    assert [values.shape for values in frames] == [(20, 1, 64, 64)] * 4
    assert (frames[0] == frames[1]).all()
    assert (frames[0] != frames[2]).any()
    assert clips[0]["id"] != clips[1]["id"]
    refused(client.post("/api/samples", json={"name": "absent", "number": 0}), 400, "absent")
    refused(client.post("/api/samples", json={"name": "moving_mnist", "number": -1}), 422, "number")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_a_file_there_and_back(client: httpx.Client, tmp_path: Path, dtype: str) -> None:
    values = (np.random.default_rng(0).random((5, 3, 9, 11)) * 250).astype(dtype)
    file = io.BytesIO()
    np.save(file, values)
    clip = json_of(client.post("/api/clips?name=../dir/my%20frames.npy", content=file.getvalue()), 201)
    assert (clip["name"], clip["dtype"], clip["channels"]) == ("my frames.npy", dtype, 3)
    frames = unpack(client.get(f"/api/clips/{clip['id']}/frames?start=1&stop=4").content)[0]
    np.testing.assert_array_equal(frames, values[1:4].astype("float32" if dtype == "float64" else dtype))
    answer = client.get(f"/api/clips/{clip['id']}/file?suffix=.npy")
    assert answer.headers["content-disposition"] == 'attachment; filename="my_frames.npy"'
    (tmp_path / "back.npy").write_bytes(answer.content)
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), values)
    again = client.get(f"/api/clips/{clip['id']}/file?suffix=.npy")
    assert again.content == answer.content


def test_holes_there_and_back(client: httpx.Client) -> None:
    values = blobs(4)
    observed = np.ones((4, 1, 32, 32), bool)
    observed[1] = False
    observed[2, 0, 3, 5:9] = False
    bits = np.packbits(observed.reshape(4, -1), axis=1).tobytes()
    facts = {"dtype": "uint8", "shape": [4, 1, 32, 32], "start": 0, "observed": "pixels"}
    head = json.dumps(facts).encode()
    head += b" " * (-len(head) % 8)
    body = b"FFR1" + len(head).to_bytes(4, "little") + head + values.tobytes() + bits
    clip = json_of(client.post("/api/clips", content=body, headers=FRAMES), 201)
    assert (clip["missing"], clip["holes"]) == ([1], True)
    content = client.get(f"/api/clips/{clip['id']}/frames?start=1&stop=3").content
    assert content.endswith(bits[128:384])


@pytest.mark.parametrize("query", ["start=4&stop=4", "start=5&stop=2", "start=0&stop=9", "stop=0"])
def test_frames_that_are_not_there(client: httpx.Client, query: str) -> None:
    refused(client.get(f"/api/clips/{sent(client, blobs(4))}/frames?{query}"), 400)
    refused(client.get(f"/api/clips/{sent(client, blobs(4))}/frames?start=-1"), 422)


def test_a_forecast_from_click_to_picture(client: httpx.Client) -> None:
    clip = sent(client, blobs())
    job = json_of(
        client.post("/api/jobs", json={"clip": clip, "task": "forecast", "model": MODEL, "start": 10, "horizon": 12}),
        202,
    )
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data:")]
    assert states[-1]["state"] == "done"
    assert {state["state"] for state in states[:-1]} <= {"queued", "running"}
    result = states[-1]["result"]
    assert (result["target"], result["model"]) == (clip, MODEL)
    assert result["clip"]["made"] == list(range(10, 22))
    assert result["clip"]["job"] == job["id"]
    assert [one["frame"] for one in result["scores"]["by_frame"]] == list(range(10, 20))
    made = unpack(client.get(f"/api/clips/{result['clip']['id']}/frames").content)[0]
    assert made.shape == (22, 1, 32, 32)
    np.testing.assert_array_equal(made[:10], blobs(10))
    assert "forecast frames, so that errors add up" in result["clip"]["notes"][0]  # 12 is more than it was trained on


def test_frames_and_holes_are_filled(client: httpx.Client, tmp_path: Path) -> None:
    hidden = np.zeros((32, 32), bool)
    hidden[10:14, 12:20] = True
    holes = [{"frames": [2, 3], "mask": base64.b64encode(np.packbits(hidden).tobytes()).decode()}]
    clip = sent(client, blobs())
    state = over(client, clip, task="recreate", model="linear", missing=[7], holes=holes)
    assert state["state"] == "done", state
    assert state["result"]["clip"]["made"] == [2, 3, 7]
    (tmp_path / "made.gif").write_bytes(
        client.get(f"/api/clips/{state['result']['clip']['id']}/file?suffix=.gif").content
    )
    made = read(tmp_path / "made.gif").values
    seen = np.ones((20, 1, 32, 32), bool)
    seen[7] = False
    seen[2:4, 0, hidden] = False
    assert np.abs(made.astype(int) - blobs())[seen].max() <= 1


def test_the_best_on_the_clip(client: httpx.Client) -> None:
    state = over(client, sent(client, blobs()), task="recreate", model="auto", missing=[7])
    assert state["result"]["model"] == state["result"]["table"][0]["model"] != "auto"
    assert state["result"]["clip"]["notes"][0].startswith("on your data")


def test_a_job_that_fails_says_why(client: httpx.Client) -> None:
    state = over(client, sent(client, blobs()), task="recreate", model="linear")
    assert (state["state"], state["result"]) == ("failed", None)
    assert set(state["error"]) == {"given", "expected", "next_step"}
    assert "nothing is missing" in state["error"]["given"]


def test_a_cancelled_job_stays_so(client: httpx.Client) -> None:
    clip = sent(client, blobs(90))
    job = json_of(client.post("/api/jobs", json={"clip": clip, "task": "reconstruct", "model": MODEL}), 202)
    assert json_of(client.delete(f"/api/jobs/{job['id']}"))["state"] == "cancelled"
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as answer:
        assert sum(line.startswith("data:") for line in answer.iter_lines()) == 1
    assert json_of(client.delete(f"/api/jobs/{job['id']}"))["state"] == "cancelled"


def test_clips_can_be_let_go(client: httpx.Client, studio: Studio) -> None:
    clip = sent(client, blobs())
    folder = studio.clips.get(clip).folder
    assert folder.is_dir()
    assert client.delete(f"/api/clips/{clip}").status_code == 204
    assert not folder.exists()
    for answer in (
        client.get(f"/api/clips/{clip}"),
        client.get(f"/api/clips/{clip}/frames"),
        client.get(f"/api/clips/{clip}/file?suffix=.npy"),
        client.delete(f"/api/clips/{clip}"),
        client.post("/api/jobs", json={"clip": clip, "task": "reconstruct", "model": MODEL}),
        client.get("/api/jobs/absent"),
        client.get("/api/jobs/absent/events"),
        client.delete("/api/jobs/absent"),
        client.get("/api/runs/absent"),
    ):
        refused(answer, 404)


def test_what_is_too_large_is_refused(client: httpx.Client, studio: Studio) -> None:
    refused(client.post("/api/clips", content=bytes(200_001)), 413, "body")
    refused(client.post("/api/clips", content=iter([bytes(150_000)] * 2)), 413, "body")  # chunked
    refused(
        client.post("/api/clips", content=pack(np.zeros((201, 1, 4, 4), np.uint8)), headers=FRAMES), 400, "200 frames"
    )
    file = io.BytesIO()
    np.save(file, np.zeros((2, 1, 250, 250), np.uint8))
    refused(client.post("/api/clips?name=x.npy", content=file.getvalue()), 400, "100000 values")
    refused(client.post("/api/jobs", content=bytes(2**22 + 1)), 413)
    assert list(studio.settings.folder.rglob("upload*")) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/absent", 404),
        ("PUT", "/api/jobs", 405),
        ("GET", "/absent", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/", 404),
    ],
)
def test_other_paths(client: httpx.Client, method: str, path: str, status: int) -> None:
    refused(client.request(method, path), status)


def test_the_page_and_its_files(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    script = client.get("/static/js/main.js")
    assert script.headers["content-type"].startswith("text/javascript")
    again = client.get("/static/js/main.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304


def test_every_route_is_documented(client: httpx.Client) -> None:
    described = json_of(client.get("/api/openapi.json"))
    assert set(described["paths"]) == {
        "/api/about",
        "/api/samples",
        "/api/clips",
        "/api/clips/{id}",
        "/api/clips/{id}/frames",
        "/api/clips/{id}/file",
        "/api/jobs",
        "/api/jobs/{id}",
        "/api/jobs/{id}/events",
        "/api/runs",
        "/api/runs/{id}",
        "/api/runs/{id}/plots/{name}.svg",
    }
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert route["description"], (method, path)
            assert "4XX" in route["responses"]
