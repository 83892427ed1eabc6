import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from models.mdn_loss import MDNLoss
from models.mdn_rnn import LOGVAR_LIMIT, MDNRNN, Mixture, mixture_nll, sample_mixture
from tests.helpers import TINY
from utils.agent.checkpoints import build_rnn
from utils.data.sequences import Batch, SequenceSet
from utils.environments import get_spec
from utils.run import config, episodes
from utils.run.episodes import Series
from utils.training.train_rnn import DecayByTimeSteps, make_steps


@pytest.fixture(scope="module")
def model():
    return MDNRNN(32, 3, 256, 5, seed=0)


def mixture_of(logpi, mu, logvar) -> Mixture:
    arrays = [tf.constant(np.asarray(value), tf.float32) for value in (logpi, mu, logvar)]
    return Mixture(tf.nn.log_softmax(arrays[0], axis=-1), *arrays[1:])


def scipy_nll(logpi, mu, logvar, z):
    logpi = np.float64(logpi) - special.logsumexp(np.float64(logpi), axis=-1, keepdims=True)
    log_normal = stats.norm.logpdf(np.float64(z)[..., None], np.float64(mu), np.exp(0.5 * np.float64(logvar)))
    return -special.logsumexp(logpi + log_normal, axis=-1)


def test_sizes_of_carracing_and_doom(model):
    assert (model.input_size, model.output_size) == (36, 481)
    assert model(np.zeros((2, 7, 36), np.float32)).shape == (2, 7, 481)
    assert model.count_params() == 4 * 256 * (36 + 256 + 1) + 257 * 481
    doom = MDNRNN(64, 1, 512, 5)
    assert (doom.input_size, doom.output_size) == (66, 961)


def test_split_takes_every_output_once(model):
    outputs = tf.reshape(tf.range(2 * 481, dtype=tf.float32), (2, 1, 481)) / 100
    mixture, prediction = model.split(outputs)
    assert mixture.logpi.shape == mixture.mu.shape == mixture.logvar.shape == (2, 1, 32, 5)
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(mixture.logpi), axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(tf.reshape(mixture.mu, (2, -1)), outputs[:, 0, 160:320])
    np.testing.assert_array_equal(prediction, outputs[..., 480])


def test_nll_against_scipy():
    rng = np.random.default_rng(0)
    logpi, mu, logvar = rng.normal(0, 2, (3, 4, 6, 32, 5))
    z = rng.normal(0, 2, (4, 6, 32))
    ours = mixture_nll(mixture_of(logpi, mu, logvar), tf.constant(z, tf.float32))
    np.testing.assert_allclose(ours, scipy_nll(logpi, mu, logvar, z), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("logvar", [-LOGVAR_LIMIT, -8.0, 0.0, LOGVAR_LIMIT])
@pytest.mark.parametrize("distance", [0.0, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("spread", [0.0, 200.0])
def test_nll_at_extreme_values(logvar, distance, spread):
    logpi, mu, logvars = [0.0, -spread, spread], [0.0, 1.0, -1.0], [logvar] * 3
    ours = mixture_nll(mixture_of([logpi], [mu], [logvars]), tf.constant([distance]))
    np.testing.assert_allclose(ours, scipy_nll([logpi], [mu], [logvars], [distance]), rtol=1e-3, atol=1e-3)


def noise(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)


@pytest.mark.parametrize("predicts", ["reward", "done"])
def test_the_compiled_loss_and_its_gradient_are_those_of_the_definition(model, predicts):
    rng = np.random.default_rng(0)
    outputs = tf.constant(rng.normal(0, 1, (12, 481)), tf.float32)
    z = tf.constant(rng.normal(0, 2, (12, 32)), tf.float32)
    reward_or_done = np.float32(rng.random(12) < 0.3)
    next_weight, weight = (np.float32(rng.random(12) * (np.arange(12) < n)) for n in (9, 10))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        mixture, prediction = model.split(outputs)
        nll = tf.reduce_sum(tf.reduce_mean(mixture_nll(mixture, z), axis=-1) * next_weight)
        if predicts == "reward":
            loss = tf.reduce_sum(tf.square(prediction - reward_or_done) * weight)
        else:
            log_ends, log_others = tf.math.log_sigmoid(prediction), tf.math.log_sigmoid(-prediction)
            loss = -tf.reduce_sum((10 * reward_or_done * log_ends + (1 - reward_or_done) * log_others) * weight)
        total = nll + loss
    expected = tape.gradient(total, outputs)

    order = in_planes(model)
    ours = MDNLoss(model, predicts)(tf.gather(outputs, order, axis=1), z, next_weight, reward_or_done, weight)
    np.testing.assert_allclose(ours[0], nll, rtol=1e-5)
    np.testing.assert_allclose(ours[1], loss, rtol=1e-5)
    np.testing.assert_allclose(ours[2], tf.gather(expected, order, axis=1), rtol=1e-4, atol=1e-6)


def in_planes(model):
    """The numbers of the outputs in the order (part, mixture, z), then the prediction."""
    return np.append(np.arange(480).reshape(3, 32, 5).transpose(0, 2, 1), 480)


def test_planes_are_the_outputs_in_another_order(model):
    hidden = np.random.default_rng(0).normal(0, 1, (4, 256)).astype(np.float32)
    np.testing.assert_allclose(model.planes(hidden), tf.gather(model.mdn(hidden), in_planes(model), axis=1), atol=1e-5)


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_raw_outputs_of_any_size_give_a_finite_loss(model, size):
    outputs = tf.constant(np.random.default_rng(0).normal(0, size, (6, 481)), tf.float32)
    for result in MDNLoss(model, "done")(outputs, tf.zeros((6, 32)), tf.ones(6), tf.ones(6), tf.ones(6)):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_batch_worked_on_in_parts_moves_the_weights_as_in_one(dropout):
    c = config.load(TINY, ["rnn_precision=float32", "rnn_grad_clip=1e9", f"rnn_dropout={dropout}"])
    rng = np.random.default_rng(0)
    z, action, reward = (np.float32(rng.normal(0, 1, (5, 9, *size))) for size in ((c.z_size,), (3,), ()))
    batch = Batch(z, z - 2, action, reward, reward, np.float32(rng.random((5, 9)) > 0.2))
    moved = []
    for parts in (1, 3):
        rnn = build_rnn(c)
        train_step, losses, _ = make_steps(rnn, c, parts)
        before = losses(batch, tf.constant(0, tf.int64))
        after = train_step(batch, tf.constant(0, tf.int64))
        assert (float(after["loss"]) == pytest.approx(float(before["loss"]), rel=1e-5)) == (dropout == 0)
        moved.append([np.asarray(weight) for weight in rnn.trainable_variables])
    for one, three in zip(*moved, strict=True):
        np.testing.assert_allclose(three, one, atol=2e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_draws_have_the_mixtures_mean_and_variance_at_that_temperature(temperature):
    logpi, mu, logvar = np.log([0.6, 0.3, 0.1]), np.array([-2.0, 0.5, 3.0]), np.log([0.25, 1.0, 0.04])
    count = 200_000
    mixture = mixture_of(*(np.broadcast_to(value, (count, 1, 3)) for value in (logpi, mu, logvar)))
    draws = np.asarray(sample_mixture(mixture, temperature, *noise(0, count, 1)))[:, 0]
    weights = special.softmax(logpi / temperature)
    mean = weights @ mu
    variance = weights @ (np.exp(logvar) * temperature + mu**2) - mean**2
    assert draws.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / count))
    assert draws.var() == pytest.approx(variance, rel=0.02)

    def cdf(x):
        return stats.norm.cdf(x[:, None], mu, np.exp(0.5 * logvar) * np.sqrt(temperature)) @ weights

    assert stats.kstest(draws, cdf).pvalue > 1e-4


def test_a_cold_dream_takes_the_likeliest_mean():
    rng = np.random.default_rng(3)
    logpi, mu, logvar = rng.normal(0, 1, (3, 50, 4, 5))
    draws = sample_mixture(mixture_of(logpi, mu, logvar), 1e-6, *noise(0, 50, 4))
    likeliest = np.take_along_axis(mu, logpi.argmax(-1)[..., None], -1)[..., 0]
    np.testing.assert_allclose(draws, likeliest, atol=0.02)


def test_a_step_at_a_time_is_the_sequence(model):
    inputs = np.random.default_rng(0).normal(0, 1, (3, 6, 36)).astype(np.float32)
    h = c = tf.zeros((3, 256))
    outputs = []
    for t in range(6):
        h, c = model.step(inputs[:, t], h, c)
        outputs.append(model.mdn(h))
    np.testing.assert_allclose(np.stack(outputs, axis=1), model(inputs), atol=1e-5)


def test_each_step_is_in_one_row_of_an_epoch_behind_the_one_before_it(tmp_path):
    lengths = (40, 4, 13, 1, 22)
    paths = [tmp_path / f"{n}.npz" for n in range(5)]
    for episode, (path, length) in enumerate(zip(paths, lengths)):
        z = np.repeat(np.arange(length, dtype=np.float32)[:, None] + 100 * episode, 6, axis=1)
        episodes.save(path, Series(z, z + 0.5, z[:, :3], z[:, 0], np.arange(length) == length - 1))
    sequences = SequenceSet(paths, config.load(TINY, ["rnn_max_seq_len=10"]))
    assert sequences.stages == {1: 10}
    batches = sequences.batches(0, 4, seed=0)
    seen = [next(batches) for _ in range(6)]  # three epochs
    for batch in seen:
        step, action, before, after = batch.mu[..., 0], batch.action[..., 0], batch.before, batch.reward_or_done
        assert batch.mu.shape == (4, 10, 6)
        np.testing.assert_array_equal(batch.logvar[..., 0], step + 0.5)
        np.testing.assert_array_equal(action, step)
        np.testing.assert_array_equal(after, step)
        np.testing.assert_array_equal(batch.goes_on == 0, step % 100 == 0)
        np.testing.assert_array_equal(before, np.where(step % 100 == 0, 0, step - 1))
        np.testing.assert_array_equal(np.diff(step)[batch.goes_on[:, 1:] == 1], 1)
    epochs = [np.concatenate([batch.mu[..., 0].ravel() for batch in seen[k : k + 2]]) for k in (0, 2, 4)]
    for epoch in epochs:
        assert len(np.unique(epoch)) == 80
    assert not np.array_equal(epochs[0], epochs[1])
    again = next(sequences.batches(3, 4, seed=0))  # as after a kill
    np.testing.assert_array_equal(again.mu, seen[3].mu)
    np.testing.assert_array_equal(sequences.first(2).mu[..., 0].ravel(), np.arange(20))

    staged = SequenceSet(paths, config.load(TINY, ["rnn_max_seq_len={1: 5, 4: 10}"]))
    batches = staged.batches(0, 4, seed=0)
    shapes = [(batch := next(batches)).goes_on.shape for _ in range(6)]
    assert shapes == [(4, 5)] * 3 + [(4, 10)] * 3
    assert [staged.steps_in(n, 4) for n in range(6)] == [0, 20, 40, 60, 100, 140]
    np.testing.assert_array_equal(next(staged.batches(5, 4, seed=0)).mu, batch.mu)
    np.testing.assert_array_equal(staged.first(2).mu[..., 0].ravel(), np.arange(20))
    later = [next(staged.batches(n, 4, seed=0)).mu[..., 0].ravel() for n in (3, 4)]
    assert len(np.unique(np.concatenate(later))) == 80  # a stage begins with an epoch of its own


def test_the_learning_rate_falls_with_the_time_steps_that_m_has_read():
    def rates(*overrides) -> list[float]:
        schedule = DecayByTimeSteps(
            config.load(TINY, ["rnn_learning_rate=1e-3", "rnn_learning_rate_decay=0.5", *overrides])
        )
        return [float(schedule(step)) for step in range(7)]

    np.testing.assert_allclose(rates("rnn_max_seq_len=8"), 1e-3 * 0.5 ** np.arange(7), rtol=1e-6)
    staged = rates("rnn_max_seq_len={1: 2, 5: 4, 6: 8}")
    np.testing.assert_allclose(staged, 1e-3 * 0.5 ** np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2.5]), rtol=1e-6)


@pytest.mark.parametrize("env_name", ["WorldModels/CarRacing-v3", "WorldModels/TakeCover-v0"])
def test_losses_of_a_row_are_those_of_its_episodes_step_by_step(env_name):
    c = config.load(TINY, [f"env_name={env_name}", "exploration_policy=uniform"])
    predicts, rng, lengths = get_spec(env_name).predicts, np.random.default_rng(0), (7, 3)
    rnn = build_rnn(c)
    for weight in rnn.weights:
        weight.assign_add(rng.normal(0, 0.3, weight.shape))
    z, action = rng.normal(0, 1, (10, c.z_size)), rng.normal(0, 1, (10, get_spec(env_name).action_size))
    begins = [0, 7]
    reward_or_done = rng.normal(0, 1, 10) if predicts == "reward" else np.isin(np.arange(10), (6, 9))
    goes_on = ~np.isin(np.arange(10), begins)
    before = np.roll(reward_or_done, 1) * goes_on
    arrays = z, np.full_like(z, -60), action, before, reward_or_done, goes_on  # so sure of z that it is always mu
    _, losses, _ = make_steps(rnn, c)
    ours = losses(Batch(*(np.float32(array)[None] for array in arrays)), tf.constant(-1, tf.int64))

    of_z, of_signal = [], []
    for begin, length in zip(begins, lengths):
        rows = slice(begin, begin + length)
        inputs = np.concatenate([z[rows], action[rows], before[rows, None]], axis=1)
        mixture, prediction = rnn.split(rnn(np.float32(inputs)[None])[0])
        of_z += list(scipy_nll(*(np.asarray(part)[:-1] for part in mixture), z[rows][1:]).mean(axis=-1))
        p, truth = np.float64(prediction), np.float64(reward_or_done[rows])
        ends = -10 * truth * np.log(special.expit(p)) - (1 - truth) * np.log(special.expit(-p))
        of_signal += list((p - truth) ** 2 if predicts == "reward" else ends)
    assert (len(of_z), len(of_signal)) == (6 + 2, 7 + 3)
    assert float(ours["nll"]) == pytest.approx(np.mean(of_z), rel=1e-3)
    assert float(ours[predicts]) == pytest.approx(np.mean(of_signal), rel=1e-3)
    assert float(ours["loss"]) == pytest.approx(np.mean(of_z) + np.mean(of_signal), rel=1e-3)
