"""Muon with AdamW against torch's own two optimisers."""

import copy

import pytest
import torch
from torch import nn

from frame_forecast.models import create
from frame_forecast.training.optimizer import MuonAdamW, build_optimizer, orthogonalise


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (8, 8)])
def test_on_matrices_and_vectors_equals_torchs_muon_and_adamw(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start_matrix, start_vector = torch.randn(shape), torch.randn(7)

    def parameters() -> tuple[nn.Parameter, nn.Parameter]:
        return nn.Parameter(start_matrix.clone()), nn.Parameter(start_vector.clone())

    matrix, vector = parameters()
    ours = MuonAdamW([matrix], [vector], muon_learning_rate=0.02, learning_rate=1e-3, weight_decay=0.1)
    other_matrix, other_vector = parameters()
    muon = torch.optim.Muon([other_matrix], lr=0.02, weight_decay=0.1, adjust_lr_fn="original")
    adamw = torch.optim.AdamW([other_vector], lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        for a, b in ((matrix, other_matrix), (vector, other_vector)):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        ours.step()
        muon.step()
        adamw.step()
    torch.testing.assert_close(matrix, other_matrix)
    torch.testing.assert_close(vector, other_vector)
    assert (matrix - start_matrix).abs().max() > 0.01


def test_a_kernel_is_treated_as_the_matrix_of_its_outputs() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    for parameter in (kernel, matrix):
        optimizer = MuonAdamW([parameter], [], muon_learning_rate=0.02, learning_rate=1e-3)
        parameter.grad = torch.ones(parameter.shape).cumsum(0)
        optimizer.step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_singular_values_become_nearly_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(40, 24)).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_output_layers_and_vectors_are_adamws() -> None:
    model = create("conv_lstm_autoencoder", hidden=4)
    optimizer = build_optimizer(model, muon_learning_rate=0.02, learning_rate=1e-3, weight_decay=0.0)
    muon = {id(p) for p in optimizer.param_groups[0]["params"]}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in muon) == (parameter.ndim == 4 and not name.startswith("heads")), name


def test_state_survives_saving() -> None:
    def build() -> tuple[nn.Parameter, MuonAdamW]:
        parameter = nn.Parameter(torch.linspace(-1, 1, 24).reshape(4, 6))
        return parameter, MuonAdamW([parameter], [], muon_learning_rate=0.02, learning_rate=1e-3)

    a, first = build()
    a.grad = torch.ones(4, 6).triu()
    first.step()
    b, second = build()
    b.data.copy_(a.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for parameter, optimizer in ((a, first), (b, second)):
        parameter.grad = torch.ones(4, 6).tril()
        optimizer.step()
    assert torch.equal(a, b)
