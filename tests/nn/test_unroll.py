"""The loop over time against loops written out here."""

import torch

from frame_forecast.nn.cells import ConvLstmCell, LinearLstmCell, State
from frame_forecast.nn.unroll import unroll


def stack(inputs: int) -> list[LinearLstmCell]:
    torch.manual_seed(0)
    return [LinearLstmCell(inputs, 4), LinearLstmCell(4, 4)]


def states(batch: int = 3) -> list[State]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(batch, 4, generator=generator), torch.randn(batch, 4, generator=generator)) for _ in range(2)]


def test_known_inputs_layer_by_layer_equal_a_loop_over_time() -> None:
    cells, now = stack(5), states()
    inputs = torch.randn(6, 3, 5)
    outputs, finals = unroll(cells, states(), inputs=inputs)
    for t in range(6):
        x = inputs[t]
        for layer, cell in enumerate(cells):
            x, now[layer] = cell(cell.project(x), now[layer])
            torch.testing.assert_close(outputs[layer][t], x)
    torch.testing.assert_close(finals, now)


def test_state_alone() -> None:
    cells, now = stack(0), states()
    outputs, finals = unroll(cells, states(), steps=5)
    for t in range(5):
        x, now[0] = cells[0](None, now[0])
        x, now[1] = cells[1](cells[1].project(x), now[1])
        torch.testing.assert_close(outputs[1][t], x)
    torch.testing.assert_close(finals, now)


def test_fed_with_its_own_output() -> None:
    cells, now = stack(4), states()

    tops = []

    def feed(layers: list[torch.Tensor]) -> torch.Tensor:
        tops.append(layers[1])
        return torch.tanh(layers[0] + 2 * layers[1])

    outputs, finals = unroll(cells, states(), steps=4, feed=feed, first=torch.ones(3, 4))
    assert (outputs, len(tops)) == ([], 4)
    x = torch.ones(3, 4)
    for t in range(4):
        below, now[0] = cells[0](cells[0].project(x), now[0])
        top, now[1] = cells[1](cells[1].project(below), now[1])
        torch.testing.assert_close(tops[t], top)
        x = torch.tanh(below + 2 * top)
    torch.testing.assert_close(finals, now)


def test_a_state_stops_at_its_own_length() -> None:
    cells = stack(5)
    inputs = torch.randn(6, 3, 5)
    lengths = torch.tensor([6, 2, 0])
    _, finals = unroll(cells, states(), inputs=inputs, lengths=lengths)
    for clip, length in enumerate(lengths.tolist()):
        expected = states()
        if length:
            _, expected = unroll(cells, expected, inputs=inputs[:length])
        for layer in range(2):
            for found, wanted in zip(finals[layer], expected[layer], strict=True):
                torch.testing.assert_close(found[clip], wanted[clip])


def test_gradients_of_known_inputs_equal_those_of_a_loop() -> None:
    torch.manual_seed(0)
    cell = ConvLstmCell(2, 3)
    inputs = torch.randn(4, 2, 2, 5, 5, requires_grad=True)
    zeros = torch.zeros(2, 3, 5, 5)
    (output,), _ = unroll([cell], [(zeros, zeros)], inputs=inputs)
    (hoisted,) = torch.autograd.grad(output.square().sum(), inputs)
    state, total = (zeros, zeros), torch.zeros(())
    for t in range(4):
        h, state = cell(cell.project(inputs[t]), state)
        total = total + h.square().sum()
    (looped,) = torch.autograd.grad(total, inputs)
    torch.testing.assert_close(hoisted, looped)
