"""What is in the frames: textures, rain-like fields, and shapes before a texture."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.data.scenes.draws import Draws
from frame_forecast.data.scenes.motion import (
    Flow,
    draw_flow,
    draw_pace,
    draw_shake,
    draw_speed,
    grid_points,
    spread,
)
from frame_forecast.data.scenes.pools import FIELDS, OUTLINE_REACH, OUTLINES, Fields, outlines

_RAIN_OCTAVES = 5
_MOST_SHAPES = 5
_RANK_STEP = 3  # every third pixel is enough to rank values


class _OfNoise:
    """What is made of noise.

    Args:
        fields: of the noise.
        frames, channels, size: of the clips.
    """

    def __init__(self, fields: Fields, frames: int, channels: int, size: int) -> None:
        self.fields, self.length, self.channels, self.size = fields, frames, channels, size


class Textures(_OfNoise):
    """Noise of many spectra that drifts, turns, zooms, shears and deforms."""

    def frames(self, draws: Draws) -> Tensor:
        """A clip, float32 ``(T, C, H, W)`` in [0, 1]."""
        flow = draw_flow(draws, self.size, self.length, shaken=0.2)
        return self.moved(self.texture(draws), flow, draws)

    def moved(self, texture: Tensor, flow: Flow, draws: Draws) -> Tensor:
        """A texture ``(C, side + 1, side + 1)`` seen from anywhere, from any side, moving with a flow.

        Returns:
            ``(T, C, H, W)``.
        """
        origins = flow.origins(grid_points(self.size)) @ draw_view(draws).T + self.fields.side * _corner(draws)
        places = spread(origins, self.size, texture.device)
        # All frames one below the other, so that the texture is not copied for each.
        T, H, W, _ = places.shape
        seen = self.fields.sample(texture[None], places.view(1, T * H, W, 2))
        return seen.view(-1, T, H, W).transpose(0, 1)

    def texture(self, draws: Draws) -> Tensor:
        """Noise, or what is made of noise: ridges, patches, steps; ``(C, side + 1, side + 1)`` in [0, 1]."""
        first = draws.pick(max(1, self.fields.octaves - 2))
        weights = self.fields.weights(draws.between(0.5, 3.0), first, self.fields.octaves)
        noise = self._noise(draws, first, weights)[None]
        colourful, own = draws.chance(0.7), draws.between(0, 0.7)
        colours = [self._noise(draws, first, weights) for _ in range(self.channels if self.channels > 1 else 0)]
        if colours and colourful:
            noise = (1 - own) * noise + own * torch.stack(colours)
        kind, steepness, levels = draws.unit(), draws.ratio(1, 8), 2 + draws.pick(5)
        if kind < 0.15:
            noise = noise.abs()
        elif kind < 0.35:
            noise = torch.tanh(steepness * noise)
        low, high = _ranked(noise, 0.01), _ranked(noise, 0.99)
        unit = ((noise - low) / (high - low)).clamp_(0, 1)
        if kind >= 0.9:
            unit = (unit * levels).floor_().clamp_(max=levels - 1) / (levels - 1)
        if draws.chance(0.5):
            unit = 1 - unit
        return unit.expand(self.channels, -1, -1)

    def _noise(self, draws: Draws, first: int, weights: np.ndarray) -> Tensor:
        """A sum of octaves ``(side + 1, side + 1)``."""
        total = torch.zeros_like(self.fields.fields[0, 0])
        for k, weight in enumerate(weights, first):
            total.add_(self.fields.fields[k, draws.pick(FIELDS)], alpha=draws.sign() * weight)
        return total


class Rain(_OfNoise):
    """Fields with holes, skewed, whose small parts live shorter than their large ones as they move.

    As in S-PROG (Seed, "A dynamic and spatial scaling approach to advection forecasting", J. Appl. Meteorol.
    2003) and STEPS (Bowler, Pierce & Seed, QJRMS 2006), each octave is an autoregressive process of first order
    in coordinates that move along.
    """

    def frames(self, draws: Draws) -> Tensor:
        """A clip, float32 ``(T, C, H, W)`` in [0, 1]."""
        flow = draw_flow(draws, self.size, self.length, liveliness=0.5)
        origins = flow.origins(grid_points(self.size)) @ draw_view(draws).T + self.fields.side * _corner(draws)
        living = self.living(draws)
        seen = self.fields.sample(living, spread(origins, self.size, living.device))
        dry, skew = draws.between(0.4, 0.95), draws.ratio(0.5, 2)
        least, most = draws.between(0, 0.2), draws.between(0.3, 0.95)
        threshold, peak = _ranked(seen, dry), _ranked(seen, 0.999)
        amount = ((seen - threshold) / (peak - threshold)).clamp_(0, 1)
        rain = (amount**skew).mul_(most - least).add_(least)
        palette, levels = draws.chance(0.3), 4 + draws.pick(28)
        if palette:
            rain = (rain * levels).ceil_() / levels
        rain = torch.where(amount > 0, rain, 0.0)
        return rain.expand(-1, self.channels, -1, -1)

    def living(self, draws: Draws) -> Tensor:
        """Fields that grow and decay where they are: ``(T, 1, side + 1, side + 1)``."""
        octaves = self.fields.octaves
        first = min(draws.pick(3), octaves - 1)
        last = min(octaves, first + _RAIN_OCTAVES)
        weights = self.fields.weights(draws.between(1.2, 2.6), first, last)
        lifetimes = draws.ratio(20, 400) * 2.0 ** (-draws.between(0.6, 1.2) * np.arange(last - first))
        kept = np.exp(-1 / np.maximum(lifetimes, 0.5))
        picks = np.array([[draws.pick(2 * FIELDS) for _ in weights] for _ in range(self.length)])  # (T, K)
        signs = np.where(picks < FIELDS, 1.0, -1.0)
        # What comes anew in each frame keeps the variance of each octave: k**2 + (1 - k**2) = 1.
        fresh = signs * weights * np.sqrt(1 - kept**2)
        fresh[0] = signs[0] * weights
        device = self.fields.fields.device
        fresh, kept = (torch.as_tensor(x, dtype=torch.float32, device=device)[..., None, None] for x in (fresh, kept))
        number = torch.as_tensor(picks % FIELDS, device=device)
        octave = torch.arange(first, last, device=device)
        state = torch.zeros((), device=device)
        living = []
        for t in range(self.length):
            state = state * kept + self.fields.fields[octave, number[t]] * fresh[t]
            living.append(state.sum(0))
        return torch.stack(living)[:, None]


class Shapes:
    """Shapes, textured or flat, that move each in its own way before a texture, the later ones in front.

    Args:
        textures: of what is behind and on them.
        key: names of the stream of random numbers of their outlines.
    """

    def __init__(self, textures: Textures, key: tuple[int | str, ...]) -> None:
        self.textures = textures
        self.length, self.channels, self.size = textures.length, textures.channels, textures.size
        device = textures.fields.fields.device
        self.outlines = torch.as_tensor(outlines(self.size, key), device=device)

    def frames(self, draws: Draws) -> Tensor:
        """A clip, float32 ``(T, C, H, W)`` in [0, 1]."""
        shake = draw_shake(draws, self.length, 0.2)
        frames = self._behind(draws, shake)
        for _ in range(1 + draws.pick(_MOST_SHAPES)):
            shape, cover = self.shape(draws, shake)
            frames = torch.lerp(frames, shape, cover)
        return frames

    def _behind(self, draws: Draws, shake: np.ndarray) -> Tensor:
        """A texture that moves, rests or is one grey, ``(T, C, H, W)``."""
        kind, grey, low, high = draws.unit(), draws.unit(), draws.unit(), draws.unit()
        if kind < 0.25:
            return torch.full((self.length, self.channels, self.size, self.size), grey, device=self.outlines.device)
        flow = draw_flow(draws, self.size, self.length)
        pace = flow.pace * (kind < 0.65)
        flow = Flow(flow.drift, flow.matrix, flow.waves, flow.phases, flow.swings, pace, shake)
        return self.textures.moved(self.textures.texture(draws), flow, draws) * (high - low) + low

    def shape(self, draws: Draws, shake: np.ndarray) -> tuple[Tensor, Tensor]:
        """Its pixels ``(T, C, H, W)``, and how much of each it covers ``(T, 1, H, W)``."""
        radius = self.size * draws.ratio(0.08, 0.35)
        middle, turn, zoom = _path(draws, self.size, self.length)
        places = grid_points(self.size) + shake[:, None] - middle[:, None]  # (T, N, 2)
        cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
        towards = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)  # (T, 2, 2)
        own = places @ towards.transpose(0, 2, 1)
        device = self.outlines.device
        grid = spread(own / (radius * OUTLINE_REACH), self.size, device)
        T, H, W, _ = grid.shape
        outline = self.outlines[draws.pick(OUTLINES)]
        inside = F.grid_sample(
            outline[None, None], grid.view(1, T * H, W, 2), padding_mode="border", align_corners=True
        ).view(T, 1, H, W)
        scale = torch.as_tensor(radius * zoom, dtype=torch.float32, device=device).view(T, 1, 1, 1)
        cover = (inside * scale + 0.5).clamp_(0, 1)  # an edge a pixel wide
        flat, grey, low, high = draws.chance(0.4), [draws.unit() for _ in range(3)], draws.unit(), draws.unit()
        if flat:
            colour = torch.tensor(grey[: self.channels], device=device).view(1, -1, 1, 1)
            return colour.expand(T, -1, H, W), cover
        texture = self.textures.texture(draws)
        at = grid * (radius * OUTLINE_REACH) + torch.as_tensor(
            self.textures.fields.side * _corner(draws), dtype=torch.float32, device=device
        )
        skin = self.textures.fields.sample(texture[None], at.view(1, T * H, W, 2)).view(-1, T, H, W).transpose(0, 1)
        return skin * (high - low) + low, cover


def _path(draws: Draws, size: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a shape is ``(T, 2)``, how far it has turned and how much larger it has become ``(T,)``.

    It is somewhere in the frame in the frame drawn for that, and before and after where its speed takes it.
    """
    meeting = draws.pick(frames)
    there = np.array([draws.between(-0.45, 0.45), draws.between(-0.45, 0.45)]) * size
    travelled = np.cumsum(draw_pace(draws, frames))
    travelled -= travelled[meeting]
    middle = there + travelled[:, None] * (draws.direction() * draw_speed(draws))
    fall, falls = draws.between(-0.15, 0.15), draws.chance(0.3)
    middle[:, 1] += falls * fall * travelled * np.abs(travelled)
    spins, spin, swells, swell = draws.chance(0.5), draws.between(-1, 1), draws.chance(0.3), draws.between(-1, 1)
    turn = draws.between(0, 2 * math.pi) + spins * 0.15 * spin**3 * travelled
    return middle, turn, np.exp(swells * 0.02 * swell * travelled)


def draw_view(draws: Draws) -> np.ndarray:
    """Pixels of a field for each pixel of a frame ``(2, 2)``: turned, mirrored, larger, stretched."""
    angle, magnified = draws.between(0, 2 * math.pi), draws.ratio(1, 2.5)
    stretch = draws.ratio(1, 3) if draws.chance(0.3) else 1.0
    across, mirrored = draws.between(0, 2 * math.pi), draws.sign()
    first, second = (np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in (angle, across))
    return first @ np.diag([1 / magnified, mirrored / (magnified * stretch)]) @ second


def _corner(draws: Draws) -> np.ndarray:
    """A place on the torus ``(2,)``, in its sides."""
    return np.array([draws.unit(), draws.unit()])


def _ranked(values: Tensor, share: float) -> Tensor:
    """The value that this share of all values is below; a choice, so that no order of sums can change it."""
    some = values.flatten()[::_RANK_STEP]
    return some.kthvalue(1 + int(share * (len(some) - 1))).values
