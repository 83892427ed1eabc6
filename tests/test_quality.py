import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special, stats

from models.dream import Dream
from models.mdn_rnn import MDNRNN
from tests.conftest import call
from utils import episodes
from utils.agent import Agent
from utils.agent_file import load_unchosen
from utils.dreams import quality, recorded, temperatures
from utils.dreams.recorded import Recorded
from utils.episodes import Series
from utils.errors import UsageError
from utils.run_folder import RunFolder

Z = 6


@pytest.fixture
def forgetful():
    """M that predicts the same mixture and reward whatever happens."""
    rnn = MDNRNN(Z, 3, 12, 4, seed=0)
    rnn.mdn.kernel.assign(np.zeros(rnn.mdn.kernel.shape))
    rnn.mdn.bias.assign(np.random.default_rng(0).normal(0, 1, rnn.mdn.bias.shape))
    return rnn


def test_dreams_and_their_nll_are_those_of_a_known_mixture(forgetful):
    bias = forgetful.mdn.bias.numpy().astype(float)
    logpi, mu, logvar = bias[:-1].reshape(3, Z, 4)
    weights = special.softmax(logpi, axis=-1)
    n, length, rng = 200, 3, np.random.default_rng(1)
    real = rng.normal(0, 1, (n, length, Z)).astype(np.float32)
    dream = Dream(forgetful, "reward")
    beginning = dream.begin(np.zeros((n, Z), np.float32))

    def act(t, state):
        return np.zeros((len(state.z), 3), np.float32)

    z, predicted, nll = quality.dream_on(dream, beginning, act, real, 1.0, rng)
    assert z.shape == (n, quality.SAMPLES, length, Z)
    mean = (weights * mu).sum(axis=-1)
    std = np.sqrt((weights * (np.exp(logvar) + mu**2)).sum(axis=-1) - mean**2)
    draws = z[:, :, -1].reshape(-1, Z)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * std.max() / np.sqrt(len(draws)))
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.05)
    np.testing.assert_allclose(predicted, bias[-1], atol=1e-5)
    density = (weights * stats.norm.pdf(real[..., None], mu, np.exp(logvar / 2))).sum(axis=-1)
    np.testing.assert_allclose(nll, -np.log(density).mean(axis=-1), atol=1e-4)


def windows(real, dreamed, signal, predicted):
    n, steps = signal.shape
    return quality.Windows(
        real, dreamed, np.full_like(real, 0.1), signal, predicted, None, np.tile(np.arange(steps), (n, 1)),
        np.zeros(n), np.zeros(n),
    )  # fmt: skip


def test_the_table_tells_a_seer_from_one_who_says_that_nothing_changes():
    rng = np.random.default_rng(0)
    real = rng.normal(0, 1, (50, 16, Z)).cumsum(axis=1)
    signal = rng.normal(0, 1, (50, 15))
    knows = np.repeat(real[:, None], quality.SAMPLES, axis=1)
    unmoved = np.broadcast_to(knows[:, :, :1], knows.shape)
    right, lazy = (quality.table(windows(real, of, signal, signal)) for of in (knows, unmoved))
    assert [row["steps"] for row in right] == [1, 5, 15]  # as far as there are steps
    for good, bad in zip(right, lazy):
        steps = good["steps"]
        assert good["rmse"] == pytest.approx(0, abs=1e-6)
        assert bad["rmse"] == pytest.approx(bad["rmse_unchanged"])
        assert bad["rmse_unchanged"] == pytest.approx(np.sqrt(steps), rel=0.2)  # a random walk's
        gaussian = stats.norm.entropy(scale=np.sqrt(np.square(real[:, steps] - real[:, 0]).mean(axis=0)))
        assert good["nll_unchanged"] == pytest.approx(gaussian.mean())
        assert good["nll"] == steps - 1
        assert good["rmse_perfect"] == pytest.approx(0.1)
        assert good["signal_true"] == good["signal_predicted"]
        assert good["signal_correlation"] == pytest.approx(1)


def test_windows_start_from_held_out_frames(trained):
    run = RunFolder(trained / "tiny")
    agent = Agent(run.read_config(), run)
    seen = quality.dream_windows(agent, recorded.held_out(agent.config, run), watched=3, length=8)
    n = len(seen.real)
    assert seen.real.shape == seen.spread.shape == (n, 9, Z)
    assert seen.dreamed.shape == (n, quality.SAMPLES, 9, Z)
    assert seen.signal.shape == seen.predicted.shape == seen.nll.shape == (n, 8)
    np.testing.assert_array_equal(seen.dreamed[:, :, 0], np.repeat(seen.real[:, None, 0], quality.SAMPLES, axis=1))
    _, held_out = episodes.split(run.series_paths(agent.config), agent.config.held_out_fraction)
    with np.load(held_out[-1]) as last:
        start = seen.start[-1]
        np.testing.assert_array_equal(seen.signal[-1], last["reward"][start : start + 8])
        deviation = (seen.real[-1] - last["mu"][start : start + 9]) / np.exp(last["logvar"][start : start + 9] / 2)
    assert 0.3 < deviation.std() < 3  # z is drawn, not mu
    with pytest.raises(UsageError, match="none of these 1 episodes has the 1004 steps"):
        quality.dream_windows(agent, recorded.held_out(agent.config, run), watched=3, length=1000)


def test_a_dream_of_another_v_is_not_held_against_reality(copy_of_trained):
    run = copy_of_trained() / "tiny"
    source = json.loads((run / "rnn" / "source.json").read_text())
    (run / "rnn" / "source.json").write_text(json.dumps(source | {"source": "of another V"}))
    refused = call("study_dream.py", "quality", str(run))
    assert refused.returncode == 2
    assert f"{run / 'rnn'} was made from other series than the run has now; delete it" in refused.stderr


def test_windows_of_what_the_controller_drives_now(evolved):
    run = RunFolder(evolved / "tiny")
    agent = Agent(run.read_config(), run)
    parameters, _ = load_unchosen(agent.config, run, agent.num_parameters)
    driven = recorded.driven(agent, parameters, 5)  # more than there are lanes
    again = recorded.driven(agent, parameters, 5)
    assert len(driven) == 5
    for (series, frames), (series_again, _) in zip(driven, again):
        np.testing.assert_array_equal(series.action, series_again.action)
        assert len(frames()) == len(series.mu) == len(series.reward) == agent.config.max_frames
    seen = quality.dream_windows(agent, driven, 1.0, parameters, watched=3, length=8)
    assert set(seen.episode) == {0, 1, 2, 3, 4}
    assert seen.acted.shape == seen.predicted.shape
    assert (seen.acted[:, 1:] != seen.predicted[:, 1:]).all()  # its own dream's z led it elsewhere
    assert np.corrcoef(seen.acted[:, 0], seen.predicted[:, 0])[0, 1] > 0.9  # from what was the same but for V's draw


def test_a_sweep_trains_in_the_dream_of_a_temperature_and_writes_the_table(copy_of_trained):
    run = copy_of_trained() / "tiny"
    asked = ("--train", "--episodes", "2", "--workers", "1", "--temperatures", "2", "controller_num_generation=1")
    done = call("study_dream.py", "temperatures", str(run), *asked)
    assert done.returncode == 0, done.stderr
    with open(run / "dream" / "temperatures.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (run / "dream" / "temperatures.png").stat().st_size > 10000
    beside = RunFolder(run.with_name("tiny_at_2"))
    assert beside.read_config().controller_temperature == 2
    cold, hot = temperatures.evaluate(beside, [0.5, 2.0], 2)
    assert {name: str(value) for name, value in hot.items()} == row
    assert cold["dream_mean"] != hot["dream_mean"]
    assert cold["real_mean"] == hot["real_mean"]


def test_an_end_in_a_window_is_foretold_as_a_chance():
    """M that expects the end at each step with a chance of 1 in 20, whatever happens."""
    chance, length, steps = 1 / 20, 5, 16
    rnn = MDNRNN(Z, 1, 12, 4, seed=0)
    rnn.mdn.kernel.assign(np.zeros(rnn.mdn.kernel.shape))
    rnn.mdn.bias.assign([*rnn.mdn.bias.numpy()[:-1], np.log(10 * chance / (1 - chance))])  # ends weigh tenfold
    rng = np.random.default_rng(0)
    mu, done = rng.normal(0, 1, (steps, Z)).astype(np.float32), np.arange(steps) == steps - 1
    action = np.zeros((steps, 1), np.float32)
    series = Series(mu, np.zeros_like(mu), action, np.ones(steps, np.float32), done)
    agent = SimpleNamespace(rnn=rnn, config=SimpleNamespace(seed=0), description=SimpleNamespace(predicts="done"))
    recorded = [Recorded(series, lambda: None)] * 3
    seen = quality.dream_windows(agent, recorded, watched=steps - 3, length=length)
    assert seen.start.tolist() == [steps - 3] * 3
    np.testing.assert_array_equal(seen.signal, [[0, 0, 1, 0, 0]] * 3)
    np.testing.assert_allclose(seen.predicted, [chance * (1 - chance) ** np.arange(length)] * 3, rtol=1e-4)
    assert np.isnan(seen.real[:, 3:]).all()
    assert np.isnan(seen.nll[:, 2:]).all()
    assert not np.isnan(seen.nll[:, :2]).any()
    assert not np.isnan([list(row.values())[:-1] for row in quality.table(seen)[:1]]).any()
