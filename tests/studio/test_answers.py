"""What is made of a clip: the same as the commands make, of what may be seen and nothing else."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from frame_forecast.call import Cancelled
from frame_forecast.choose import Candidates
from frame_forecast.clip import Clip
from frame_forecast.errors import FrameForecastError
from frame_forecast.predict import Forecaster, load
from frame_forecast.scale import ValueScale
from frame_forecast.studio.answers import Answer, Asked, Holes, answer
from frame_forecast.studio.limits import Limits
from stand_in import forecaster

pytestmark = pytest.mark.filterwarnings("ignore::frame_forecast.errors.FrameForecastWarning")

T, H, W = 12, 8, 8


def clip_of(dtype: str = "uint8", seed: int = 0) -> Clip:
    values = np.random.default_rng(seed).integers(0, 250, (T, 1, H, W)).astype(dtype)
    return Clip.from_array(values, scale=ValueScale(0.0, 255.0), source="mine")


def hole(mask: np.ndarray, frames: list[int] | None = None) -> Holes:
    return Holes(base64.b64encode(np.packbits(mask).tobytes()).decode(), frames)


MASK = np.zeros((H, W), bool)
MASK[2:5, 3:6] = True
TASKS = [
    Asked("forecast", start=7, horizon=4),
    Asked("forecast", start=7, horizon=4, missing=[3], holes=[hole(MASK, [5, 6])]),
    Asked("recreate", missing=[4, 5, 9], holes=[hole(MASK, [0, 7])]),
    Asked("recreate", holes=[hole(MASK)]),
    Asked("reconstruct"),
    Asked("reconstruct", missing=[2, 3]),
]


def made_of(clip: Clip, asked: Asked, method: Forecaster | Candidates | None = None, **more: object) -> Answer:
    hooks = {"progress": lambda done, total: None, "cancel": lambda: False} | more
    return answer(clip, asked, method or forecaster(), Limits(), **hooks)  # pyright: ignore[reportArgumentType]


def seen_by(asked: Asked) -> np.ndarray:
    """bool ``(T, 1, H, W)``, by hand."""
    seen = np.ones((T, 1, H, W), bool)
    seen[list(asked.missing)] = False
    for holes in asked.holes:
        for t in range(T) if holes.frames is None else holes.frames:
            seen[t, 0][MASK] = False
    if asked.task == "forecast":
        seen[asked.start :] = False
    return seen


@pytest.mark.parametrize("asked", TASKS)
def test_what_is_hidden_changes_nothing(asked: Asked) -> None:
    """Other values and no numbers where the model may not look: the same bits."""
    clip = clip_of("float32")
    first = made_of(clip, asked)
    for other in (np.nan, 3.0):
        values = np.where(seen_by(asked), clip.values, np.float32(other))
        again = made_of(replace(clip, values=values), asked)
        assert again.made == first.made
        for t in first.made:
            where = ~seen_by(asked)[t] if asked.task == "recreate" and t < T else np.ones((1, H, W), bool)
            np.testing.assert_array_equal(again.clip.values[t][where], first.clip.values[t][where])


def test_the_range_is_that_of_what_is_seen() -> None:
    """A clip whose scale was fitted to all of it must not tell a model of the future's values."""
    clip = replace(clip_of("float32"), scale=ValueScale(0.0, 250.0))
    wild = clip.values.copy()
    wild[7:] *= 1000
    asked = Asked("forecast", start=7, horizon=4)
    calm, other = made_of(clip, asked), made_of(replace(clip, values=wild, scale=ValueScale(0.0, 250_000.0)), asked)
    np.testing.assert_array_equal(calm.clip.values[7:], other.clip.values[7:])


@pytest.mark.parametrize("asked", TASKS)
def test_as_the_forecaster_does_it(asked: Asked) -> None:
    clip, seen = clip_of(), seen_by(asked)
    shown = replace(clip, observed=seen)
    ours = made_of(clip, asked).clip.values
    if asked.task == "forecast":
        theirs = forecaster().forecast(shown.part(0, 7), 4)
        assert isinstance(theirs, Clip)
        expected = np.concatenate([clip.values[:7], theirs.values])
    else:
        theirs = forecaster().recreate(shown) if asked.task == "recreate" else forecaster().reconstruct(shown)
        assert isinstance(theirs, Clip)
        expected = theirs.values
    assert ours.shape == expected.shape
    assert np.abs(ours.astype(int) - expected).max() <= 1


def test_what_is_observed_comes_back_as_it_was() -> None:
    clip = clip_of()
    asked = Asked("recreate", missing=[4, 5], holes=[hole(MASK, [0])])
    made = made_of(clip, asked)
    np.testing.assert_array_equal(made.clip.values[seen_by(asked)], clip.values[seen_by(asked)])
    assert made.made == [0, 4, 5]
    assert made.clip.observed.all()


def test_a_forecast_lies_on_the_timeline_of_its_clip() -> None:
    clip = replace(clip_of(), times=np.arange(T) * 300.0)
    made = made_of(clip, Asked("forecast", start=10, horizon=5))
    np.testing.assert_array_equal(made.clip.values[:10], clip.values[:10])
    assert made.made == [10, 11, 12, 13, 14]
    assert made.clip.times is not None
    assert made.clip.times.tolist() == [300.0 * t for t in range(15)]
    assert made.scores is not None
    assert [one["frame"] for one in made.scores["by_frame"]] == [10, 11]  # beyond, nothing is known
    whole = made_of(clip, Asked("forecast", horizon=5))
    assert (len(whole.clip.values), whole.scores) == (T + 5, None)


def test_scores_by_hand() -> None:
    clip = clip_of()
    asked = Asked("recreate", missing=[4, 9], holes=[hole(MASK, [7])])
    made = made_of(clip, asked)
    error = made.clip.values.astype(float) - clip.values
    hidden = ~seen_by(asked)
    assert made.scores is not None
    assert made.scores["mae"] == pytest.approx(np.abs(error[hidden]).mean())
    assert made.scores["mse"] == pytest.approx(np.square(error[hidden] / 255).mean())
    decibels = [-10 * np.log10(np.square(error[t][hidden[t]] / 255).mean()) for t in (4, 7, 9)]
    assert [one["frame"] for one in made.scores["by_frame"]] == [4, 7, 9]
    assert [one["psnr"] for one in made.scores["by_frame"]] == pytest.approx(decibels)
    assert made.scores["psnr"] == pytest.approx(np.mean(decibels))


def test_what_is_not_known_is_not_scored() -> None:
    clip = clip_of()
    observed = clip.observed.copy()
    observed[4] = False
    made = made_of(replace(clip, observed=observed), Asked("recreate"))
    assert (made.made, made.scores) == ([4], None)


def test_pixels_that_the_source_never_has_stay_missing() -> None:
    clip = clip_of()
    observed = clip.observed.copy()
    observed[:, 0, :, 0] = False
    for asked in TASKS[:3]:
        made = made_of(replace(clip, observed=observed), asked)
        assert not made.clip.observed[:, 0, :, 0].any()
        assert made.clip.observed[made.made][:, 0, :, 1:].all()


def test_the_best_of_several_and_their_table() -> None:
    clip = clip_of()
    made = made_of(clip, Asked("recreate", missing=[4]), Candidates({name: load(name) for name in ("black", "linear")}))
    assert made.table is not None
    assert [row["model"] for row in made.table] == [made.model, "black"] == ["linear", "black"]
    assert made.notes[0].startswith("on your data: linear")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("erase"), "erase"),
        (Asked("forecast", start=7), "horizon of None"),
        (Asked("forecast", start=7, horizon=0), "horizon of 0"),
        (Asked("forecast", start=0, horizon=1), "start 0"),
        (Asked("forecast", start=T + 1, horizon=1), f"start {T + 1}"),
        (Asked("forecast", start=7, horizon=10_000), "frames at most"),
        (Asked("recreate"), "nothing is missing"),
        (Asked("recreate", missing=[T]), f"frame {T} of {T}"),
        (Asked("recreate", missing=[-1]), "frame -1"),
        (Asked("recreate", missing=list(range(T))), "nothing is left to see"),
        (Asked("recreate", holes=[Holes("A===")]), "base64"),
        (Asked("recreate", holes=[Holes("ä")]), "base64"),
        (Asked("recreate", holes=[Holes("AAAA")]), "mask of 3 bytes"),
        (Asked("recreate", holes=[hole(MASK, [T])]), f"frame {T}"),
        (Asked("recreate", missing=[3], start=4), "start or horizon"),
        (Asked("reconstruct", horizon=4), "start or horizon"),
    ],
)
def test_what_cannot_be_asked(asked: Asked, words: str) -> None:
    with pytest.raises(FrameForecastError) as raised:
        made_of(clip_of(), asked)
    assert words in str(raised.value)


@pytest.mark.parametrize("asked", TASKS)
def test_a_job_can_be_cancelled(asked: Asked) -> None:
    with pytest.raises(Cancelled):
        made_of(clip_of(), asked, cancel=lambda: True)


def test_choosing_can_be_cancelled() -> None:
    several = Candidates({name: load(name) for name in ("black", "linear")})
    with pytest.raises(Cancelled):
        made_of(clip_of(), Asked("recreate", missing=[4]), several, cancel=lambda: True)


@pytest.mark.parametrize("asked", [*TASKS, Asked("forecast", horizon=9)])
def test_progress_comes_to_its_end(asked: Asked) -> None:
    told: list[tuple[int, int]] = []
    made_of(clip_of(), asked, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
