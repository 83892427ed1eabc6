from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special, stats

from models.dream import DreamModel
from models.mdn_rnn import MDNRNN
from tests.helpers import ROOT
from utils.agent.agent import Agent
from utils.agent.controllers import load_checked_controller
from utils.dreams import baselines, open_loop, quality_table, recorded
from utils.dreams.recorded import Recorded
from utils.run import config, episodes
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.system.errors import UsageError

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
    dream = DreamModel(forgetful, "reward")
    beginning = dream.begin(np.zeros((n, Z), np.float32))

    def act(t, state):
        return np.zeros((len(state.z), 3), np.float32)

    z, predicted, nll = open_loop.imagine_windows(dream, beginning, act, real, 1.0, rng)
    assert z.shape == (n, open_loop.SAMPLES, length, Z)
    mean = (weights * mu).sum(axis=-1)
    std = np.sqrt((weights * (np.exp(logvar) + mu**2)).sum(axis=-1) - mean**2)
    draws = z[:, :, -1].reshape(-1, Z)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * std.max() / np.sqrt(len(draws)))
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.05)
    np.testing.assert_allclose(predicted, bias[-1], atol=1e-5)
    density = (weights * stats.norm.pdf(real[..., None], mu, np.exp(logvar / 2))).sum(axis=-1)
    np.testing.assert_allclose(nll, -np.log(density).mean(axis=-1), atol=1e-4)


def windows(real, dreamed, reward_or_done, predicted, last_mu=None):
    n, steps = reward_or_done.shape
    return open_loop.Windows(
        real, dreamed, np.full_like(real, 0.1), real[:, 0] if last_mu is None else last_mu, reward_or_done, predicted,
        None, np.tile(np.arange(steps), (n, 1)), np.zeros(n), np.zeros(n),
    )  # fmt: skip


def write_series(folder, mu, logvar):
    """Series of mu, (episodes, steps, z_size); returns their paths."""
    paths = [folder / f"episode_{i:05d}.npz" for i in range(len(mu))]
    for path, of_episode in zip(paths, mu):
        nothing = np.zeros(len(of_episode), np.float32)
        series = Series(
            np.float32(of_episode), np.full(of_episode.shape, logvar, np.float32), nothing[:, None], nothing,
            nothing > 0,
        )  # fmt: skip
        episodes.save(path, series)
    return paths


def test_the_table_tells_a_seer_from_one_who_says_that_nothing_changes(tmp_path):
    rng = np.random.default_rng(0)
    walks = rng.normal(0, 1, (50, 60, Z)).cumsum(axis=1)
    fitted = baselines.fit(write_series(tmp_path, walks, -3.0), open_loop.HORIZONS, 20)
    real = rng.normal(0, 1, (50, 16, Z)).cumsum(axis=1)
    reward_or_done = rng.normal(0, 1, (50, 15))
    knows = np.repeat(real[:, None], open_loop.SAMPLES, axis=1)
    unmoved = np.broadcast_to(knows[:, :, :1], knows.shape)
    last_mu = real[:, 0] + rng.normal(0, 1, (50, Z))
    right, lazy = (
        quality_table.table(windows(real, of, reward_or_done, reward_or_done, last_mu), fitted)
        for of in (knows, unmoved)
    )
    assert [row["steps"] for row in right] == [1, 5, 15]  # as far as there are steps
    for good, bad in zip(right, lazy):
        steps = good["steps"]
        assert good["rmse"] == pytest.approx(0, abs=1e-6)
        assert bad["rmse"] == pytest.approx(np.sqrt(steps), rel=0.2)  # a random walk's
        assert good["nll"] == steps - 1
        for name, known in ("persistence", real[:, 0]), ("regression", real[:, 0]), ("last_mu", last_mu):
            baseline, came = fitted[steps][name], real[:, steps]
            expected = -stats.norm.logpdf(came, baseline.mean(known), np.sqrt(baseline.variance)).mean()
            assert good[f"nll_{name}"] == bad[f"nll_{name}"] == pytest.approx(expected)
            assert good[f"rmse_{name}"] == pytest.approx(np.sqrt(np.square(came - baseline.mean(known)).mean()))
        assert good["rmse_perfect"] == pytest.approx(0.1)
        assert good["signal_true"] == good["signal_predicted"]
        assert good["signal_correlation"] == pytest.approx(1)


def test_baselines_are_the_least_squares_fits_of_what_v_draws(tmp_path):
    """Against `scipy.stats` and `numpy.linalg.lstsq`, on series without noise exactly, on noisy ones in many draws."""
    rng = np.random.default_rng(0)
    mixing = 0.9 * stats.ortho_group.rvs(3, random_state=0)
    mu = np.zeros((8, 60, 3))
    for t in range(1, 60):
        mu[:, t] = mu[:, t - 1] @ mixing + rng.normal(1, 1, (8, 3))
    first, horizon = 20, 5
    for logvar, tolerance, draws in (-60.0, 1e-4, 1), (0.5, 0.05, 400):
        paths = write_series(tmp_path, mu, logvar)
        fitted = baselines.fit(paths, (horizon, 50), first)
        assert list(fitted) == [horizon]  # no episode has 50 steps after the twentieth
        drawn = np.float32(mu[:, first:]) + np.exp(logvar / 2) * rng.standard_normal((draws, 8, 40, 3))
        x, y = drawn[:, :, :-horizon].reshape(-1, 3), drawn[:, :, horizon:].reshape(-1, 3)
        last_mu = np.repeat(mu[None, :, first:-horizon], draws, axis=0).reshape(-1, 3)
        design = np.c_[x, np.ones(len(x))]
        weights, residuals, *_ = np.linalg.lstsq(design, y)
        regression = fitted[horizon]["regression"]
        np.testing.assert_allclose(np.vstack([regression.weights, regression.bias]), weights, atol=tolerance)
        np.testing.assert_allclose(regression.variance, residuals / len(x), rtol=tolerance)
        lines = [stats.linregress(x[:, i], y[:, i]) for i in range(3)]
        of_each = np.stack([line.intercept + line.slope * x[:, i] for i, line in enumerate(lines)], axis=1)
        persistence = fitted[horizon]["persistence"]
        np.testing.assert_allclose(persistence.mean(x), of_each, atol=5 * tolerance)
        np.testing.assert_allclose(persistence.variance, np.square(y - of_each).mean(axis=0), rtol=tolerance)
        unchanged = fitted[horizon]["last_mu"]
        np.testing.assert_array_equal(unchanged.mean(last_mu), last_mu)
        np.testing.assert_allclose(unchanged.variance, np.square(y - last_mu).mean(axis=0), rtol=tolerance)
        expected = -stats.norm.logpdf(y, regression.mean(x), np.sqrt(regression.variance))
        np.testing.assert_allclose(regression.nll(x, y), expected)


def test_who_knows_nothing_does_not_beat_a_baseline_by_the_noise_of_v(tmp_path):
    """In dimensions that V does not use, dreams that are the prior are as good as anything, and so are the baselines.

    The last z unchanged would score sqrt(2) where the mean scores 1, and half of log(2) nats more.
    """
    rng = np.random.default_rng(0)
    fitted = baselines.fit(write_series(tmp_path, np.zeros((5, 40, Z)), 0.0), open_loop.HORIZONS, 20)
    n = 4000
    real, dreamed = rng.standard_normal((n, 6, Z)), rng.standard_normal((n, open_loop.SAMPLES, 6, Z))
    seen = windows(real, dreamed, np.zeros((n, 5)), np.zeros((n, 5)), np.zeros((n, Z)))
    seen.nll = -stats.norm.logpdf(real[:, 1:]).mean(axis=2)  # always the mean, with its spread
    for row in quality_table.table(seen, fitted):
        for name in baselines.NAMES:
            assert row[f"nll_{name}"] == pytest.approx(row["nll"], abs=0.001)
            assert row[f"rmse_{name}"] == pytest.approx(row["rmse"], abs=0.01)
        assert row["rmse"] == pytest.approx(1, abs=0.02)


def test_the_error_of_a_few_dreams_is_taken_off():
    """Dreams spread by 3 around the best prediction, which misses by 1: that is its error, whatever the number."""
    rng = np.random.default_rng(0)
    n = 3000
    best = rng.normal(0, 5, (n, 2, Z))
    real = best + rng.standard_normal(best.shape)
    dreamed = best[:, None] + 3 * rng.standard_normal((n, open_loop.SAMPLES, 2, Z))
    (row,) = quality_table.table(windows(real, dreamed, np.zeros((n, 1)), np.zeros((n, 1))))
    assert row["rmse"] == pytest.approx(1, abs=0.015)  # not sqrt(1 + 9 / 32), 1.13


def test_windows_start_from_held_out_frames(trained):
    run = RunFolder(trained / "tiny")
    agent = Agent(run.read_config(), run)
    seen = open_loop.dream_windows(agent, recorded.held_out(agent.config, run), burn_in=3, length=8)
    n = len(seen.real)
    assert seen.real.shape == seen.spread.shape == (n, 9, Z)
    assert seen.dreamed.shape == (n, open_loop.SAMPLES, 9, Z)
    assert seen.reward_or_done.shape == seen.predicted.shape == seen.nll.shape == (n, 8)
    assert seen.last_mu.shape == (n, Z)
    np.testing.assert_array_equal(seen.dreamed[:, :, 0], np.repeat(seen.real[:, None, 0], open_loop.SAMPLES, axis=1))
    _, held_out = episodes.split(run.series_paths(agent.config), agent.config.held_out_fraction)
    with np.load(held_out[-1]) as last:
        start = seen.start[-1]
        np.testing.assert_array_equal(seen.reward_or_done[-1], last["reward"][start : start + 8])
        np.testing.assert_array_equal(seen.last_mu[-1], last["mu"][start])
        deviation = (seen.real[-1] - last["mu"][start : start + 9]) / np.exp(last["logvar"][start : start + 9] / 2)
    assert 0.3 < deviation.std() < 3  # z is drawn, not mu
    with pytest.raises(UsageError, match="none of these 1 episodes has the 1004 steps"):
        open_loop.dream_windows(agent, recorded.held_out(agent.config, run), burn_in=3, length=1000)


def test_windows_of_what_the_controller_drives_now(evolved):
    run = RunFolder(evolved / "tiny")
    agent = Agent(run.read_config(), run)
    parameters, _ = load_checked_controller(agent.config, run)
    driven = recorded.driven(agent, parameters, 5)  # more than there are num_envs
    again = recorded.driven(agent, parameters, 5)
    assert len(driven) == 5
    for (series, frames), (series_again, _) in zip(driven, again):
        np.testing.assert_array_equal(series.action, series_again.action)
        assert len(frames()) == len(series.mu) == len(series.reward) == agent.config.max_frames
    seen = open_loop.dream_windows(agent, driven, 1.0, parameters, burn_in=3, length=8)
    assert set(seen.episode) == {0, 1, 2, 3, 4}
    assert seen.on_policy.shape == seen.predicted.shape
    assert (seen.on_policy[:, 1:] != seen.predicted[:, 1:]).all()  # its own dream's z led it elsewhere
    assert (
        np.corrcoef(seen.on_policy[:, 0], seen.predicted[:, 0])[0, 1] > 0.9
    )  # from what was the same but for V's draw


def test_an_end_in_a_window_is_predicted_as_a_probability(tmp_path):
    """M that expects the end at each step with a chance of 1 in 20, whatever happens."""
    chance, length, steps = 1 / 20, 5, 16
    rnn = MDNRNN(Z, 1, 12, 4, seed=0)
    rnn.mdn.kernel.assign(np.zeros(rnn.mdn.kernel.shape))
    rnn.mdn.bias.assign([*rnn.mdn.bias.numpy()[:-1], np.log(10 * chance / (1 - chance))])  # ends weigh tenfold
    rng = np.random.default_rng(0)
    mu, done = rng.normal(0, 1, (steps, Z)).astype(np.float32), np.arange(steps) == steps - 1
    action = np.zeros((steps, 1), np.float32)
    series = Series(mu, np.zeros_like(mu), action, np.ones(steps, np.float32), done)
    settings = config.load(ROOT / "config/doom_take_cover.yaml")
    agent = SimpleNamespace(rnn=rnn, config=settings, spec=SimpleNamespace(predicts="done"))
    recorded = [Recorded(series, lambda: None)] * 3
    seen = open_loop.dream_windows(agent, recorded, burn_in=steps - 3, length=length)
    assert seen.start.tolist() == [steps - 3] * 3
    np.testing.assert_array_equal(seen.reward_or_done, [[0, 0, 1, 0, 0]] * 3)
    np.testing.assert_allclose(seen.predicted, [chance * (1 - chance) ** np.arange(length)] * 3, rtol=1e-4)
    assert np.isnan(seen.real[:, 3:]).all()
    assert np.isnan(seen.nll[:, 2:]).all()
    assert not np.isnan(seen.nll[:, :2]).any()
    rows = quality_table.table(seen, baselines.fit(write_series(tmp_path, np.zeros((3, 40, Z)), 0.0), (1,), 0))
    assert not np.isnan([value for name, value in rows[0].items() if name != "signal_correlation"]).any()
    assert np.isnan([rows[1][name] for name in ("nll", "rmse", "nll_regression", "rmse_perfect")]).all()
