import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from models.controller import Controller
from models.dream import DreamModel, DreamState
from models.fast_step import FastStep, SingleStep, rounded
from models.imagination import Imagination
from models.mdn_rnn import MDNRNN, dropout_mask
from utils.agent.checkpoints import load_rnn
from utils.data.sequences import split_series
from utils.dreams.starts import Anywhere, Places, _memory
from utils.run import episodes
from utils.run.episodes import Series
from utils.run.folder import RunFolder

CAR = ("tanh", "half_tanh", "positive_tanh")

Z, RNN = 6, 12
IDLE, GAIN = -0.1, 0.5


def world(rnn, predicts, drawn):
    """M as an environment whose ends and rewards are drawn, or not."""
    return DreamModel(rnn, predicts, "drawn" if drawn else "threshold", (IDLE, GAIN) if drawn else None)


def in_numpy(rnn, predicts, drawn, weights, bias, start, uniform, normal, temperature, mask):
    """One episode in NumPy: the LSTM and the mixture by their definitions."""
    z, reward_or_done, score = start, 0.0, 0.0
    h, c = np.zeros(RNN), np.zeros(RNN)
    kernel, recurrent, b_lstm = (np.float64(weight) for weight in rnn.lstm.get_weights())
    head, b_head = (np.float64(weight) for weight in rnn.mdn.get_weights())
    for t in range(len(uniform)):
        raw = (np.concatenate([z, h]) if predicts == "reward" else np.concatenate([z, c, h])) @ weights + (
            bias if len(bias) else 0
        )
        action = np.tanh(raw)
        if predicts == "reward":
            action[1:] = (action[1] + 1) / 2, np.clip(action[2], 0, 1)
        gates = np.concatenate([z, action, [reward_or_done]]) @ kernel + h @ recurrent + b_lstm
        i, f, g, o = np.split(gates, 4)
        c = special.expit(f) * c + special.expit(i) * np.tanh(g)
        h = special.expit(o) * np.tanh(c) * mask
        outputs = h @ head + b_head
        logpi, mu, logvar = outputs[:-1].reshape(3, Z, -1)
        cdf = np.cumsum(special.softmax(logpi / temperature, axis=-1), axis=-1)
        chosen = [np.searchsorted(row[:-1], u, side="right") for row, u in zip(cdf, uniform[t])]
        rows = np.arange(Z), chosen
        z = mu[rows] + np.exp(logvar[rows] / 2) * np.sqrt(temperature) * normal[t]
        if predicts == "reward":
            reward_or_done = outputs[-1]
            score += reward_or_done
            if drawn:  # so many gains, and one more with the probability of what is left
                gains, left = divmod(outputs[-1] - IDLE, GAIN)
                reward_or_done = IDLE + GAIN * max(gains + (uniform[t].sum() % 1 >= 1 - left / GAIN), 0)
        else:
            score += 1
            odds = np.exp(outputs[-1]) / 10  # ends weigh ten times as much in training
            if uniform[t].sum() % 1 < odds / (1 + odds) if drawn else outputs[-1] > 0:
                return score, t + 1
    return score, len(uniform)


@pytest.mark.parametrize("stretch", [5, 50])
@pytest.mark.parametrize(("predicts", "drawn"), [("reward", False), ("reward", True), ("done", False), ("done", True)])
@pytest.mark.parametrize("dropout", [0, 0.3])
def test_a_compiled_rollout_is_the_dream_step_by_step(predicts, drawn, stretch, dropout, monkeypatch):
    monkeypatch.setattr("models.imagination.STRETCH", stretch)
    monkeypatch.setattr("models.imagination.BLOCK", 4)  # the batch shrinks, and is filled up with ended dreams
    rng = np.random.default_rng(0)
    activations, inputs, bias = (CAR, ("z", "h"), True) if predicts == "reward" else (("tanh",), ("z", "c", "h"), False)
    rnn = MDNRNN(Z, len(activations), RNN, 4, seed=0)
    for weight in rnn.weights:
        weight.assign_add(rng.normal(0, 0.3, weight.shape))
    candidates, episodes, steps, temperature = 3, 4, 12, 0.8
    controller = Controller({name: Z if name == "z" else RNN for name in inputs}, activations, bias)
    parameters = rng.normal(0, 1, (candidates, controller.num_parameters)).astype(np.float32)
    start, uniform = rng.normal(0, 1, (episodes, Z)), rng.random((steps, episodes, Z))
    normal = rng.normal(0, 1, (steps, episodes, Z))
    imagination = Imagination(world(rnn, predicts, drawn), controller)
    masks = dropout_mask(rng.random((episodes, RNN)).astype(np.float32), dropout).numpy()
    mask = masks if dropout else None
    begin = DreamState(start, *(np.zeros((episodes, *size)) for size in ((RNN,), (RNN,), ())))
    scores, lengths = imagination.imagine(parameters, begin, uniform, normal, temperature, mask)
    for k in range(candidates):
        weights, biases = controller.linear_part(parameters[k])
        weights = np.concatenate(list(weights.values()))
        for e in range(episodes):
            noise = uniform[:, e], normal[:, e], temperature, masks[e]
            expected = in_numpy(rnn, predicts, drawn, weights, biases, start[e], *noise)
            assert (scores[k, e], lengths[k, e]) == (pytest.approx(expected[0], abs=1e-3), expected[1])
    if predicts == "done":
        assert 1 < lengths.min() < lengths.max() <= steps


def test_the_fast_step_is_the_plain_one():
    model, controller, state, arguments = one_step("float32", 64)
    mask = dropout_mask(np.random.default_rng(2).random((64, RNN), np.float32), 0.3)
    plain, fast = (step(state, *arguments, mask)[0] for step in (model.step, FastStep(model, controller)))
    assert np.mean(plain.h == 0) == pytest.approx(0.3, abs=0.05)
    for expected, ours in zip(plain, fast, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_in_bfloat16_the_fast_step_is_near_the_plain_one_and_the_errors_cancel():
    model, controller, state, arguments = one_step("bfloat16", 64)
    plain, fast = (step(state, *arguments)[0] for step in (model.step, FastStep(model, controller)))
    error = np.asarray(fast.h - plain.h)
    assert 1e-5 < np.abs(error).max() < 0.05
    assert np.abs(error.mean()) < 1e-3
    assert fast.h.dtype == fast.z.dtype == fast.reward_or_done.dtype == "float32"


@pytest.mark.parametrize(("predicts", "drawn"), [("reward", False), ("reward", True), ("done", False), ("done", True)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_single_step_is_the_fast_one(precision, predicts, drawn):
    model, controller, state, (actions, temperature, *noise) = one_step(precision, 8, predicts, drawn)
    fast = FastStep(model, controller)
    mask = dropout_mask(np.random.default_rng(2).random((8, RNN), np.float32), 0.3).numpy()
    expected, rewards, done = fast(state, actions, temperature, *noise, mask)
    single, tolerance, near = SingleStep(fast).detailed, 1e-4 if precision == "float32" else 0.02, []
    for k in range(8):
        row = slice(k, k + 1)
        one = DreamState(*(part[row] for part in state))
        ours, our_rewards, our_done, _ = single(one, actions[row], temperature, *(part[row] for part in (*noise, mask)))
        for graph, array in zip([*expected, rewards], [*ours, our_rewards], strict=True):
            near.append(np.abs(array - graph[row]).ravel() < tolerance)
            assert (array.dtype, array.shape) == (np.float32, graph[row].shape)
        assert our_done == done[k]
    assert np.mean(np.concatenate(near)) > (
        0.99 if precision == "float32" else 0.95
    )  # a component may differ by a hair


def test_the_details_of_a_step_are_those_of_the_mixture():
    model, controller, state, (actions, temperature, *noise) = one_step("float32", 8)
    fast = FastStep(model, controller)
    *told, details = fast.detailed(state, actions, temperature, *noise)
    for part, expected in zip(tf.nest.flatten(told), tf.nest.flatten(fast(state, actions, temperature, *noise))):
        np.testing.assert_allclose(part, expected, atol=1e-5)
    prediction = model.predict(state, actions)
    weights = np.exp(prediction.mixture.at(temperature).logpi)
    entropy = -(weights * np.log(weights)).sum(axis=-1).mean(axis=-1)
    assert 0.1 < entropy.min() < entropy.max() < np.log(5)
    np.testing.assert_allclose(details.entropy, entropy, atol=1e-4)
    np.testing.assert_allclose(details.reward_or_logit, prediction.reward_or_logit, atol=1e-4)
    first = [part[:1] for part in (actions, *noise)]
    *_, single = SingleStep(fast).detailed(DreamState(*(part[:1] for part in state)), first[0], temperature, *first[1:])
    np.testing.assert_allclose(single.entropy, entropy[:1], atol=1e-4)


def one_step(precision, batch, predicts="reward", drawn=False):
    """A dream of an M with large weights, and the arguments of its next step."""
    rng = np.random.default_rng(1)
    rnn = MDNRNN(Z, 3, RNN, 5, precision, seed=0)
    for weight in rnn.weights:
        weight.assign_add(rng.normal(0, 0.3, weight.shape))
    state = DreamState(*(rng.normal(0, 1, (batch, *size)).astype(np.float32) for size in ((Z,), (RNN,), (RNN,), ())))
    actions, normal = (rng.normal(0, 1, (batch, size)).astype(np.float32) for size in (3, Z))
    controller = Controller({"z": Z, "h": RNN}, CAR, bias=True)
    noise = rng.random((batch, Z), np.float32), normal
    return world(rnn, predicts, drawn), controller, state, (actions, np.float32(0.7), *noise)


def test_rewards_that_are_drawn_are_gains_and_mean_what_m_predicts():
    rng, predicted = np.random.default_rng(0), np.repeat(np.float32([-0.3, IDLE, 0.0, 0.3, 1.4]), 20000)
    model = world(MDNRNN(Z, 3, RNN, 5, seed=0), "reward", drawn=True)
    uniform = rng.random((len(predicted), Z), np.float32)
    state, rewards, _ = model.arrive(None, None, None, tf.constant(predicted), uniform)
    np.testing.assert_array_equal(rewards, predicted)
    gains = (state.reward_or_done.numpy() - IDLE) / GAIN
    np.testing.assert_allclose(gains, gains.round(), atol=1e-5)
    means = state.reward_or_done.numpy().reshape(5, -1).mean(axis=1)
    np.testing.assert_allclose(means, [IDLE, IDLE, 0, 0.3, 1.4], atol=0.01)  # no reward is below that of no gain


def test_rounded_weights_keep_the_products_nearer_than_weights_rounded_each_to_its_nearest():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(0, 1, (2000, 10)) @ rng.normal(0, 1, (10, 40)) + 0.5).astype(np.float32)
    weights, bias = rng.normal(0, 1, (40, 30)).astype(np.float32), rng.normal(0, 1, 30).astype(np.float32)
    ours, our_bias = rounded(weights, bias, vectors, tf.bfloat16)
    nearest = tf.cast(tf.cast(weights, tf.bfloat16), tf.float32).numpy()
    np.testing.assert_array_equal(ours, tf.cast(tf.cast(ours, tf.bfloat16), tf.float32))
    np.testing.assert_allclose(ours, weights, atol=0.05)
    expected = vectors @ weights + bias
    error, nearest_error = vectors @ ours + our_bias - expected, vectors @ nearest + bias - expected
    assert np.std(error) < 0.5 * np.std(nearest_error)
    assert np.abs(error.mean(axis=0)).max() < 0.05 * np.abs(nearest_error.mean(axis=0)).max()


def test_a_dream_that_starts_anywhere_remembers_what_m_has_read(trained):
    run = RunFolder(trained / "tiny")
    config = run.read_config()
    rnn, starts = load_rnn(config, run), Anywhere(load_rnn(config, run), Places(config, run))
    inputs = [np.random.default_rng(n).normal(0, 1, (n, rnn.input_size)).astype(np.float32) for n in (7, 0, 3)]
    h, c = _memory(rnn, inputs)
    for row, read in ((0, inputs[0]), (2, inputs[2])):
        np.testing.assert_allclose(h[row], rnn.hidden(read[None])[0, -1], atol=1e-2)  # perhaps in bfloat16
    assert not np.any(h[1])
    assert not np.any(c[1])
    series = [episodes.load(path, Series) for path in split_series(config, run)[0]]
    mu = np.concatenate([one.mu for one in series])
    for seed in range(20):
        state = starts.sample(np.random.default_rng(seed))
        near = np.abs(mu - state.z).max(axis=1).argmin()
        assert np.abs(mu[near] - state.z).max() < 6
        assert (state.h.shape, state.c.shape) == ((config.rnn_size,), (config.rnn_size,))
    assert sum(np.any(starts.sample(np.random.default_rng(seed)).h) for seed in range(20)) > 15
