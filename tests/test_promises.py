"""What the README promises of the demo, trained for real: minutes each, on two idle cores."""

import pytest
from rich.console import Console

from frame_forecast import scoring, workflows
from frame_forecast.data.moving_mnist import MovingMnist


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("minutes", "task", "accuracy", "cross_entropy", "mse", "f1"),
    [
        (3, "forecast", 0.0, 0.13, 0.038, 0.2),
        (10, "forecast", 0.955, 0.155, 0.040, 0.35),
        (10, "reconstruct", 0.953, 0.131, 0.035, 0.0),
    ],
)
def test_the_demo_is_as_good_as_promised(
    minutes: int,
    task: str,
    accuracy: float,
    cross_entropy: float,
    mse: float,
    f1: float,
    mnist_test: MovingMnist,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"demo-{minutes}"  # one run serves both of its tasks
    quiet = Console(quiet=True)
    if not folder.exists():
        workflows.demo(folder, minutes=minutes, preset="conv_lstm_autoencoder", seed=0, device="auto", console=quiet)
    results = scoring.evaluate(
        str(folder),
        task=task,
        clips=1000,
        context=10,
        horizon=None,
        pattern=None,
        data="moving_mnist",
        split="test",
        published=False,
        openstl=False,
        seed=0,
        device="auto",
        json_file=None,
        console=quiet,
    )

    def score(metric: str) -> float:
        return results.row(results.model, metric).overall

    assert score("bin_accuracy") > accuracy
    assert score("bin_cross_entropy") < cross_entropy
    assert score("bin_mse") < mse
    assert score("bin_f1") > f1
