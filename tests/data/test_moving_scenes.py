"""Moving scenes: the same clip however asked for, motion as drawn, rain as described, radar apart by time."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frame_forecast.data.moving_scenes import MovingScenes, MovingScenesConfig
from frame_forecast.data.scenes import motion, radar
from frame_forecast.data.scenes.contents import Rain, Shapes, Textures
from frame_forecast.data.scenes.draws import Draws
from frame_forecast.data.scenes.motion import Flow
from frame_forecast.data.scenes.pools import Fields, outlines
from frame_forecast.data.sources import data_set_of, open_source, usual_config
from frame_forecast.errors import ConfigError
from frame_forecast.io.clips import read
from frame_forecast.philox import uniform

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))
SIZE, FRAMES = 32, 8
SMALL = MovingScenesConfig(frames=FRAMES, size=SIZE)
FIELDS = Fields(SIZE, ("test",), torch.device("cpu"))


def rows(count: int) -> list[Draws]:
    return [Draws(row) for row in uniform(np.arange(count), 600, (1, 2))]


def flow(drift: tuple[float, float] = (0, 0), matrix: np.ndarray | None = None, pace: float = 1.0) -> Flow:
    """A flow without deformation or shake."""
    paces = np.full(FRAMES, pace)
    paces[0] = 0
    none = np.zeros((1, 2))
    matrix = np.zeros((2, 2)) if matrix is None else matrix
    return Flow(np.array(drift, dtype=float), matrix, none, np.zeros(1), none, paces, np.zeros((FRAMES, 2)))


def test_a_clip_depends_on_seed_split_and_number_alone() -> None:
    source = MovingScenes("train", config=SMALL)
    whole = source.clips(np.arange(24))
    assert whole.shape == (24, FRAMES, 1, SIZE, SIZE)
    assert whole.dtype == torch.uint8
    assert torch.equal(source.clips(np.arange(24)[::-1]), whole.flip(0))
    assert torch.equal(torch.cat([source.clips(np.array([i])) for i in range(24)]), whole)
    assert torch.equal(MovingScenes("train", config=SMALL).clips(np.array([5, 5])), whole[[5, 5]])
    assert len({clip.numpy().tobytes() for clip in whole}) == 24
    for other in (MovingScenes("validation", config=SMALL), MovingScenes("train", seed=1, config=SMALL)):
        assert not (other.clips(np.arange(24)) == whole).all(dim=(1, 2, 3, 4)).any()


@pytest.mark.parametrize(("frames", "channels", "size"), [(1, 1, 16), (40, 3, 17), (5, 3, 48)])
def test_every_length_size_and_colour(frames: int, channels: int, size: int) -> None:
    config = MovingScenesConfig(frames=frames, channels=channels, size=size)
    clips = MovingScenes("test", config=config).clips(np.arange(60))
    assert clips.shape == (60, frames, channels, size, size)
    lively = clips.flatten(1).float().std(dim=1) > 1
    assert lively.float().mean() > 0.9
    coloured = (clips != clips[:, :, :1]).flatten(1).any(dim=1)
    assert coloured.any() == (channels == 3)


def test_a_texture_is_where_its_flow_takes_it() -> None:
    textures = Textures(FIELDS, FRAMES, 1, SIZE)
    draws = rows(1)[0]
    texture = textures.texture(draws)
    seen = textures.moved(texture, flow((2, -1)), draws)
    for t in range(1, FRAMES):
        assert torch.allclose(seen[t, :, :-t, 2 * t :], seen[0, :, t:, : -2 * t], atol=1e-3)
    halves = textures.moved(texture, flow((1, 0), pace=0.5), rows(1)[0])
    assert torch.allclose(halves[2, :, :, 1:], halves[0, :, :, :-1], atol=1e-3)
    assert not torch.allclose(halves[1], halves[0], atol=1e-2)


def test_turning_goes_round_the_middle_and_zooming_away_from_it() -> None:
    places = motion.grid_points(SIZE)
    turn, zoom = 0.04, 0.01
    matrix = np.array([[zoom, -turn], [turn, zoom]])
    origins = flow(matrix=matrix).origins(places)
    angle = -turn * (FRAMES - 1)
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back = back * math.exp(-zoom * (FRAMES - 1))
    np.testing.assert_allclose(origins[-1], places @ back.T, atol=0.01)
    pixels = motion.spread(origins, SIZE, torch.device("cpu"))
    np.testing.assert_allclose(pixels[0, 0, 0], [-(SIZE - 1) / 2] * 2)
    np.testing.assert_allclose(pixels[0, 3, 20], [20 - (SIZE - 1) / 2, 3 - (SIZE - 1) / 2], rtol=1e-5)


def test_speeds_are_those_of_the_documentation() -> None:
    speeds = np.array([motion.draw_speed(draws) for draws in rows(4000)])
    assert speeds.max() <= 6
    assert (speeds == 0).mean() == pytest.approx(0.1, abs=0.02)
    assert (speeds < 3).mean() == pytest.approx(0.78, abs=0.03)


def test_fields_have_one_octave_each_and_repeat() -> None:
    side = FIELDS.side
    field = FIELDS.fields[2, 0]
    assert torch.equal(field[0], field[-1])
    assert torch.equal(field[:, 0], field[:, -1])
    spectrum = torch.fft.fft2(field[:side, :side]).abs().square()
    line = torch.fft.fftfreq(side) * side
    frequency = torch.hypot(line[:, None], line)
    inside = (frequency > 2**1.5) & (frequency < 2**3.5)
    assert spectrum[inside].sum() / spectrum.sum() > 0.999
    places = torch.tensor([[[[3.25, 7.5], [3.25 - side, 7.5 + 2 * side]]]])
    near, far = FIELDS.sample(field[None, None], places).flatten()
    expected = (0.75 * field[7:9, 3] + 0.25 * field[7:9, 4]).mean()
    assert near.item() == pytest.approx(expected.item(), abs=1e-4)
    assert far.item() == pytest.approx(near.item(), abs=1e-4)


def test_rain_is_mostly_dry_and_skewed() -> None:
    rain = Rain(FIELDS, FRAMES, 1, SIZE)
    clips = torch.stack([rain.frames(draws) for draws in rows(60)])
    dry = (clips == 0).float().mean(dim=(1, 2, 3, 4))
    assert dry.min() > 0.37
    assert dry.max() < 0.98
    assert dry.std() > 0.1
    wet = [clip[clip > 0] for clip in clips]
    assert np.mean([(values.mean() > values.median()).item() for values in wet]) > 0.8


def test_small_rain_dies_before_large_rain() -> None:
    living = torch.stack([Rain(FIELDS, 12, 1, SIZE).living(draws)[:, 0, :-1, :-1] for draws in rows(40)])
    spectrum = torch.fft.fft2(living)
    line = torch.fft.fftfreq(FIELDS.side) * FIELDS.side
    frequency = torch.hypot(line[:, None], line)
    kept = []
    for low, high in ((3, 6), (10, 20)):
        waves = spectrum[..., (frequency >= low) & (frequency < high)]
        now, later = waves[:, 0], waves[:, 6]
        kept.append(((now * later.conj()).real.sum() / (now.abs() ** 2 + later.abs() ** 2).sum() * 2).item())
    assert 0.95 > kept[0] > kept[1] + 0.05


def test_later_shapes_are_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = Shapes(Textures(FIELDS, FRAMES, 1, SIZE), ("test",))
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    draw = shapes.shape

    def watched(draws: Draws, shake: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(draw(draws, shake))
        return drawn[-1]

    monkeypatch.setattr(shapes, "shape", watched)
    overlaps = 0
    for draws in rows(30):
        drawn.clear()
        frames = shapes.frames(draws)
        last, cover = drawn[-1]
        torch.testing.assert_close(frames[cover.expand_as(frames) == 1], last[cover.expand_as(frames) == 1])
        bare = torch.stack([cover for _, cover in drawn]).sum(0) == 0
        assert bare.any()
        overlaps += len(drawn) > 1 and bool(((drawn[-1][1] == 1) & (drawn[-2][1] == 1)).any())
    assert overlaps > 3


def test_outlines_are_in_their_pictures() -> None:
    pictures = outlines(SIZE, ("test",))
    assert pictures.max() <= 1
    for edges in (pictures[:, [0, -1]], pictures[:, :, [0, -1]]):
        assert edges.max() < 0
    assert ((pictures > 0).mean(axis=(1, 2)) > 0.05).all()


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two events of 16 scans of 40x48, all pixels of a scan being its number, in units of 10."""
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path))
    for service, day in (("fmi", "20200101"), ("KNMI", "20200102")):
        folder = tmp_path / "radar" / service / day
        folder.mkdir(parents=True)
        for number in range(16):
            Image.fromarray(np.full((40, 48), 10 * (number + 1), np.uint8)).save(folder / f"{number:02d}.png")
    return tmp_path


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    ("split", "seen"), [("train", range(1, 13)), ("validation", range(13, 17)), ("test", range(13, 17))]
)
def test_radar_of_a_split_is_apart_in_time(split: str, seen: range) -> None:
    source = open_source("moving_scenes", split, frames=3, config=MovingScenesConfig(size=20, channels=3, radar=1.0))
    clips = source.clips(np.arange(200))
    assert clips.shape == (200, 3, 3, 20, 20)
    assert set(clips.unique().tolist()) == {10 * number for number in seen}
    steps = clips[:, 1:, 0, 0, 0].int() - clips[:, :-1, 0, 0, 0].int()
    assert set(steps.unique().tolist()) == {-10, 10}  # forwards and backwards
    assert source.name == "moving_scenes (size=20, channels=3, radar=1.0)"


@pytest.mark.usefixtures("events")
def test_a_share_of_the_clips_is_radar() -> None:
    config = MovingScenesConfig(size=20, radar=0.3)
    mixed = open_source("moving_scenes", "train", frames=3, config=config)
    pure = open_source("moving_scenes", "train", frames=3, config=MovingScenesConfig(size=20))
    index = np.arange(300)
    same = (mixed.clips(index) == pure.clips(index)).flatten(1).all(dim=1)
    assert 1 - same.float().mean().item() == pytest.approx(0.3, abs=0.06)
    assert mixed.images_sha256 != pure.images_sha256 == hashlib.sha256(b"moving_scenes 1").hexdigest()
    # A last quarter of four scans is too short: such clips are procedural alone, whatever the share.
    short = open_source("moving_scenes", "validation", frames=5, config=config)
    assert isinstance(short, MovingScenes)
    assert short.radar is None


def test_real_radar_to_train_on_ends_before_the_last_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "radar" / "mch").is_dir():
        pytest.skip("needs radar: set FRAME_FORECAST_DATA")
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path))
    (tmp_path / "radar").mkdir()
    (tmp_path / "radar" / "mch").symlink_to(DATA.resolve() / "radar" / "mch")
    train = radar.RadarEvents.of_split("train", 20, 64)
    rest = radar.RadarEvents.of_split("validation", 10, 64)
    assert train is not None
    assert rest is not None
    assert radar.RadarEvents.of_split("validation", 20, 64) is None
    for folder, known, unknown in zip(
        sorted((DATA / "radar" / "mch").iterdir()), train.services[0], rest.services[0], strict=True
    ):
        clip = read(folder)
        last = clip.values[30:, 0]
        last = np.rint(clip.scale.to_unit(np.nan_to_num(last, nan=0.0)) * 255).astype(np.uint8)
        np.testing.assert_array_equal(unknown, last)
        assert len(known) == 30
        assert not any((scan == later).all() for scan in known for later in last)


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in ({"frames": 0}, {"size": 15}, {"size": 513}, {"channels": 2}, {"radar": 1.1}, {"radar": math.nan}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            MovingScenesConfig(**settings)
    with pytest.raises(ConfigError, match="MovingMnistConfig for moving_scenes"):
        open_source("moving_scenes", "train", config=usual_config("moving_mnist"))
    monkeypatch.delenv("FRAME_FORECAST_DATA", raising=False)
    for _ in range(2):  # not set, then a folder without radar
        with pytest.raises(ConfigError, match=r"set FRAME_FORECAST_DATA, or radar=0"):
            open_source("moving_scenes", "train", config=MovingScenesConfig(radar=0.5))
        monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path))


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize("settings", [{"frames": 13, "size": 20}, {"frames": 3, "size": 41}])
def test_clips_larger_than_every_event_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="at most 12 frames"):
        open_source(
            "moving_scenes",
            "train",
            frames=settings["frames"],
            config=MovingScenesConfig(size=settings["size"], radar=0.5),
        )


def test_a_description_begins_with_its_data_set() -> None:
    assert data_set_of("moving_scenes (radar=0.3)") == "moving_scenes"
    assert data_set_of("moving_mnist, MNIST digits") == data_set_of("") == "moving_mnist"
