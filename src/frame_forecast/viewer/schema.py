"""What goes over ``/api``: docs/api.md explains it, ``/api/openapi.json`` is made of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Task = Literal["forecast", "recreate", "reconstruct"]
State = Literal["queued", "running", "done", "failed", "cancelled"]


class Asked(BaseModel):
    """What a client sends: a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Refused(BaseModel):
    """Why something was not done."""

    given: str
    expected: str
    next_step: str


class Model(BaseModel):
    """Something that forecasts, recreates or reconstructs."""

    name: str
    title: str
    tasks: list[Task]
    parameters: int
    longest: int | None = Field(description="Frames it takes at once; longer clips go through it in windows.")
    horizon: int = Field(description="Frames to forecast that it was trained on, or a usual number.")
    trained_on: str | None
    best_for_samples: list[str]
    kind: Literal["weights", "baseline", "auto"]


class Sample(BaseModel):
    """A data set to take test clips from."""

    name: str
    title: str


class Limits(BaseModel):
    """Bounds on one clip."""

    upload_bytes: int
    frames: int
    pixels: int = Field(description="Values of a clip: frames x channels x height x width.")


class Suffixes(BaseModel):
    """Of files that can be read, and that a clip can be downloaded as."""

    read: list[str]
    write: list[str]


class About(BaseModel):
    """What this server has to offer."""

    version: str
    models: list[Model]
    samples: list[Sample]
    limits: Limits
    suffixes: Suffixes
    opened: list[str] = Field(description="Clips that were named on the command line.")
    runs: list[str] = Field(description="Runs and evaluations that were named there.")


class Clip(BaseModel):
    """Frames that the server holds."""

    id: str
    name: str
    title: str
    frames: int
    channels: int
    height: int
    width: int
    dtype: str = Field(description="Of the source.")
    low: float = Field(description="What a picture's darkest and brightest stand for, in the source's units.")
    high: float
    units: str
    rate: float | None = Field(description="Frames a second.")
    times: list[float] | None = Field(description="Seconds from the first frame.")
    missing: list[int] = Field(description="Frames of which nothing is known.")
    holes: bool = Field(description="Whether pixels of other frames are unknown.")
    notes: list[str]
    job: str | None = Field(description="That made it.")
    made: list[int] = Field(description="Frames that a model made, in whole or in part.")
    expires: int | None = Field(description="Seconds without use after which it goes; null = when the server ends.")


class SampleWanted(Asked):
    """Which test clip."""

    name: str
    number: int = Field(ge=0, lt=2**31)


class Holes(Asked):
    """Pixels to hide from the model."""

    frames: list[int] | None = Field(default=None, max_length=100_000, description="Null = all.")
    mask: str = Field(description="Bits of (height, width) in base64, 1 = hidden, the most significant first.")


class Job(Asked):
    """What to do with a clip."""

    clip: str
    task: Task
    model: str
    start: int | None = Field(default=None, description="Frames given to a forecast; null = all.")
    horizon: int | None = Field(default=None, description="Frames to forecast; null for other tasks.")
    missing: list[int] = Field(default_factory=list, max_length=100_000, description="Frames to hide.")
    holes: list[Holes] = Field(default_factory=list, max_length=10_000)


class FrameScore(BaseModel):
    """How near one frame came."""

    frame: int
    psnr: float | None


class Scores(BaseModel):
    """How near the frames that were made came to what is known of them."""

    psnr: float | None = Field(description="In dB, mean over frames, on the clip's range.")
    mse: float | None = Field(description="Per pixel, on the clip's range taken as [0, 1].")
    ssim: float | None = Field(description="Mean over frames; null for frames smaller than its window.")
    mae: float = Field(description="Per pixel, in the clip's units.")
    by_frame: list[FrameScore]


class Rank(BaseModel):
    """How near a model came to frames of the clip that were hidden to compare models."""

    model: str
    psnr: float


class Result(BaseModel):
    """What a job made."""

    clip: Clip = Field(description="On the timeline of the target.")
    target: str = Field(description="The clip that the job was about.")
    model: str = Field(description="That was run; with auto the one that was chosen.")
    scores: Scores | None
    table: list[Rank] | None = Field(description="With auto: all that were compared, the best first.")
    seconds: float


class JobState(BaseModel):
    """How far a job is."""

    id: str
    state: State
    done: int
    total: int
    message: str
    error: Refused | None
    result: Result | None


class Cell(BaseModel):
    """A cell of a table."""

    text: str
    best: bool


class Table(BaseModel):
    """Scores; the first cell of a row is its name."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]


class Plot(BaseModel):
    """A picture at /api/runs/{id}/plots/{name}.svg."""

    name: str
    title: str
    alt: str


class Run(BaseModel):
    """A run, an evaluation or weights."""

    id: str
    title: str
    kind: Literal["run", "results", "weights"]
    training: bool = Field(description="Whether it still goes on.")
    model: str | None = Field(description="The name of its model, once it has weights.")
    summary: list[str]
    tables: list[Table]
    plots: list[Plot]
    changed: float = Field(description="When its files last changed, seconds since 1970.")
