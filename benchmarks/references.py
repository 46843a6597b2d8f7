"""OpenSTL's models that are no stack of convolutional cells, with the weights of ours: see `models.py`.

They need ``timm==0.6.13``, which needs torchvision, and ``scipy``. As there, a sigmoid is put where ours has one.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from frame_forecast.models import Model

CONTEXT, HORIZON, SIZE = 10, 10, 64
Job = Callable[[Tensor], Tensor]
"""Clips ``(B, T, C, H, W)``, of which the context is read, to frames 1 .. T - 1."""


def _module(folder: Path, name: str) -> Any:
    """OpenSTL's module of one model, without what its packages import beside."""
    for package in ("openstl", "openstl.modules", "openstl.models"):
        made = ModuleType(package)
        made.__path__ = [str(folder.joinpath(*package.split(".")))]
        sys.modules[package] = made
    # Where it looks for what this version, whose blocks its own build on, has elsewhere.
    sys.modules["timm.layers"] = import_module("timm.models.layers")
    vars(sys.modules["openstl.modules"]).update(vars(import_module(f"openstl.modules.{name}_modules")))
    return import_module(f"openstl.models.{name}_model")


def _copy(pairs: dict[nn.Module, nn.Module]) -> None:
    """The weights of the first of each pair to the second, in their order."""
    for ours, other in pairs.items():
        other.load_state_dict(dict(zip(other.state_dict(), ours.state_dict().values(), strict=True)))


def simvp(model: Model, folder: Path) -> tuple[nn.Module, Job]:
    """As `models.theirs`."""
    config = model.config
    reference = _module(folder, "simvp").SimVP_Model(
        (config.window, config.channels, SIZE, SIZE), hid_S=config.hidden, hid_T=config.width,
        N_S=2 * config.halvings, N_T=config.layers, mlp_ratio=config.expansion,
    )  # fmt: skip
    blocks = iter(model.translator)
    pairs: dict[nn.Module, nn.Module] = {model.head: reference.dec.readout}
    for ours, other in zip((model.first, *model.encoder), reference.enc.enc, strict=True):
        pairs |= {ours[0]: other.conv.conv, ours[1]: other.conv.norm}
    for ours, other in zip((*model.decoder, model.last), reference.dec.dec, strict=True):
        pairs |= {ours[0]: other.conv.conv, ours[-2]: other.conv.norm}
    for other in reference.hid.enc:
        ours, block = next(blocks), other.block
        gate = block.attn.spatial_gating_unit
        pairs |= {
            ours.norm: block.norm1, ours.input: block.attn.proj_1, ours.near: gate.conv0, ours.far: gate.conv_spatial,
            ours.attend: gate.conv1, ours.output: block.attn.proj_2, ours.mix_norm: block.norm2,
            ours.mix_input: block.mlp.fc1, ours.mix_near: block.mlp.dwconv, ours.mix_output: block.mlp.fc2,
        }  # fmt: skip
        block.layer_scale_1.data = ours.scale.detach().flatten().clone()
        block.layer_scale_2.data = ours.mix_scale.detach().flatten().clone()
        if hasattr(other, "reduction"):
            pairs[next(blocks)] = other.reduction
    _copy(pairs)
    reference.dec.readout = nn.Sequential(reference.dec.readout, nn.Sigmoid())

    def forecast(frames: Tensor) -> Tensor:
        made = reference(frames[:, :CONTEXT].contiguous())
        return torch.cat([frames.new_zeros((len(frames), CONTEXT - 1, *frames.shape[2:])), made], dim=1)

    return reference, forecast


def phydnet(model: Model, folder: Path) -> tuple[nn.Module, Job]:
    """As `models.theirs`."""
    module, config = _module(folder, "phydnet"), model.config
    settings = SimpleNamespace(
        pre_seq_length=CONTEXT, aft_seq_length=HORIZON, in_shape=(CONTEXT, config.channels, SIZE, SIZE), patch_size=4,
        device=next(model.parameters()).device,
    )  # fmt: skip
    reference = module.PhyDNet_Model(settings)
    network, (dynamics, decoder) = reference.encoder, model.cells
    pairs: dict[nn.Module, nn.Module] = {model.head: network.decoder_D.upc3}

    def pair(ours: Any, other: Any) -> None:
        for block, theirs in zip(ours, other.children(), strict=False):  # the last of a decoder is the head
            pairs.update({block[0]: theirs.main[0], block[1]: theirs.main[1]})

    pair(dynamics.encoder, network.encoder_E)
    pair(dynamics.to_physics, network.encoder_Ep)
    pair(dynamics.to_residual, network.encoder_Er)
    pair(decoder.of_physics, network.decoder_Dp)
    pair(decoder.of_residual, network.decoder_Dr)
    pair(decoder.shared, network.decoder_D)
    cell = network.phycell.cell_list[0]
    ours = dynamics.physics
    pairs |= {ours.derivatives: cell.F.conv1, ours.norm: cell.F.bn1, ours.coefficients: cell.F.conv2}
    _copy(pairs)
    with torch.no_grad():
        for ours, other in pairs.items():
            if isinstance(other, nn.ConvTranspose2d) and isinstance(ours, nn.Conv2d):
                other.weight.copy_(ours.weight.transpose(0, 1).flip(2, 3))
        cell.convgate.weight.copy_(torch.cat([dynamics.physics.input.weight, dynamics.physics.state.weight], dim=1))
        cell.convgate.bias.copy_(dynamics.physics.state.bias)
        for layer, other in zip(dynamics.layers(), network.convcell.cell_list, strict=True):
            for gates, theirs in (
                (torch.cat([layer.input.weight, layer.state.weight], dim=1), other.conv.weight),
                (layer.state.bias, other.conv.bias),
            ):
                i, f, g, o = gates.chunk(4)
                theirs.copy_(torch.cat([i, f, o, g]))

    def forecast(frames: Tensor) -> Tensor:
        made: list[Tensor] = []
        for t in range(CONTEXT + HORIZON - 1):
            read = frames[:, t] if t < CONTEXT else made[-1]
            made.append(network(read, t == 0)[2])
        return torch.stack(made, dim=1)

    return reference, forecast


def swin_lstm(model: Model, folder: Path) -> tuple[nn.Module, Job]:
    """As `models.theirs`."""
    module, config = _module(folder, "swinlstm"), model.config
    depths, heads = [config.blocks, config.middle_blocks], [config.heads, 2 * config.heads]
    settings = SimpleNamespace(
        in_shape=(CONTEXT, config.channels, SIZE, SIZE), patch_size=2, embed_dim=config.hidden,
        window_size=config.window,
    )  # fmt: skip
    reference = module.SwinLSTM_D_Model(depths, depths[::-1], heads, settings)
    down, up, (*cells, last) = reference.Downsample, reference.Upsample, model.cells
    embed, norm = cells[0].entry
    _copy({embed: down.patch_embed.proj, norm: down.patch_embed.norm, model.head: up.Unembed.Conv})
    for ours, other in zip(cells, (*down.layers, *up.layers), strict=True):
        for block, theirs in zip(ours.blocks, other.STBs, strict=True):
            attention = block.attention
            pairs = {
                block.norm: theirs.norm1, attention.input: theirs.attn.qkv, attention.output: theirs.attn.proj,
                block.mix_norm: theirs.norm2, block.mix[0]: theirs.mlp.fc1, block.mix[2]: theirs.mlp.fc2,
            }  # fmt: skip
            _copy(pairs | ({} if block.merge is None else {block.merge: theirs.red}))
            theirs.attn.relative_position_bias_table.data = attention.bias.detach().view(attention.heads, -1).T.clone()

    def reordered(values: Tensor, *order: int) -> Tensor:
        """The first axis, of channel, row and column of four neighbours, in another order."""
        split = values.detach().unflatten(0, (-1, 2, 2))
        return split.permute(*order, *range(3, split.ndim)).flatten(0, 2)

    for ours, other in zip(cells[1:3], down.downsample, strict=True):
        _, norm, halve = ours.entry
        other.norm.weight.data, other.norm.bias.data = reordered(norm.weight, 2, 1, 0), reordered(norm.bias, 2, 1, 0)
        other.reduction.weight.data = reordered(halve.weight[:, :, 0, 0].T, 2, 1, 0).T
    for (double, _, norm), other in zip((cells[3].entry, last.layers), up.upsample, strict=True):
        other.expand.weight.data = reordered(double.weight[:, :, 0, 0], 1, 2, 0)
        _copy({norm: other.norm})

    def forecast(frames: Tensor) -> Tensor:
        return reference(frames.movedim(2, -1), return_loss=False)[0].movedim(-1, 2)

    return reference, forecast


REFERENCES = {"simvp": simvp, "phydnet": phydnet, "swin_lstm": swin_lstm}
