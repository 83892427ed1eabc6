import numpy as np
import pytest
import tensorflow as tf

from models.controller import Controller
from models.mdn_rnn import MDNRNN
from models.vae import build_vae, images_from_obs
from models.world_model import WorldModel

CAR = ("tanh", "half_tanh", "positive_tanh")


def test_parameter_counts_of_the_chapter_and_the_paper():
    assert Controller({"z": 32, "h": 256}, CAR, bias=True).num_parameters == 867
    assert Controller({"z": 64, "c": 512, "h": 512}, ("tanh",), bias=False).num_parameters == 1088
    assert Controller({"z": 32}, CAR, bias=True, hidden=40).num_parameters == 32 * 40 + 40 + 40 * 3 + 3


@pytest.mark.parametrize("bias", [True, False])
def test_hidden_units_stand_between_inputs_and_actions(bias):
    rng = np.random.default_rng(1)
    controller = Controller({"z": 4, "h": 6}, CAR, bias, hidden=5)
    parameters = rng.normal(0, 0.5, (3, controller.num_parameters)).astype(np.float32)
    features = rng.normal(0, 1, (3, 2, 10)).astype(np.float32)
    actions = controller.act(tf.constant(parameters), tf.constant(features)).numpy()
    for candidate, read in zip(range(3), features):
        p, ends = parameters[candidate], np.cumsum([50, 5 * bias, 15, 3 * bias])
        w1, b1, w2, b2 = np.split(p, ends)[:4]
        raw = np.tanh(read @ w1.reshape(10, 5) + (b1 if bias else 0)) @ w2.reshape(5, 3) + (b2 if bias else 0)
        np.testing.assert_allclose(actions[candidate, :, 0], np.tanh(raw[:, 0]), atol=1e-5)
    weights, biases = controller.linear_part(parameters[0] * 1e-2)
    small = controller.act(parameters[:1] * 1e-2, tf.constant(features[:1])).numpy()[0, :, 0]
    close = features[0] @ np.concatenate([weights["z"], weights["h"]]) + (biases if bias else 0)
    np.testing.assert_allclose(small, close[:, 0], atol=1e-6)


def test_each_row_acts_by_its_own_parameters():
    rng = np.random.default_rng(0)
    parameters, features = rng.normal(0, 1, (4, 33)).astype(np.float32), rng.normal(0, 1, (4, 10)).astype(np.float32)
    controller = Controller({"z": 4, "h": 6}, CAR, bias=True)
    actions = controller.act(parameters, tf.constant(features[:, None])).numpy()[:, 0]
    for row in range(4):
        raw = np.tanh(features[row] @ parameters[row, :30].reshape(10, 3) + parameters[row, 30:])
        expected = [raw[0], (raw[1] + 1) / 2, np.clip(raw[2], 0, 1)]
        np.testing.assert_allclose(actions[row], expected, atol=1e-5)
    weights, biases = controller.linear_part(parameters[1])
    raw = features[1] @ np.concatenate([weights["z"], weights["h"]]) + biases
    np.testing.assert_allclose(actions[1, 0], np.tanh(raw[0]), atol=1e-5)
    unbiased = Controller({"z": 4, "h": 6}, CAR, bias=False)
    without = unbiased.act(parameters[:, :30], tf.constant(features[:, None]))[:, 0]
    at_rest = unbiased.act(np.zeros((4, 30), np.float32), tf.constant(features[:, None]))[:, 0]
    np.testing.assert_array_equal(controller.clip(np.full(3, -2, np.float32)), controller.lowest_action)
    np.testing.assert_array_equal(controller.lowest_action, [-1, 0, 0])
    assert without.shape == (4, 3)
    np.testing.assert_array_equal(at_rest[0], [0, 0.5, 0])


@pytest.fixture(scope="module")
def networks():
    return build_vae(6, seed=0), MDNRNN(6, 3, 12, 3, seed=0)


def controller(inputs=("z", "h")) -> Controller:
    return Controller({name: 6 if name == "z" else 12 for name in inputs}, CAR, True)


def make(networks, num_envs: int, inputs=("z", "h"), sample=False) -> WorldModel:
    return WorldModel(*networks, controller(inputs), sample, num_envs)


def test_acting_is_encoding_then_controlling_then_remembering(networks):
    vae, rnn = networks
    rng = np.random.default_rng(1)
    num_envs, c_of_run = 3, controller(("z", "c", "h"))
    model = make(networks, num_envs, inputs=("z", "c", "h"), sample=True)
    parameters = rng.normal(0, 0.5, (num_envs, c_of_run.num_parameters)).astype(np.float32)
    for env_index in range(num_envs):
        model.begin(env_index, parameters[env_index])
    h, c = np.zeros((2, num_envs, 12), np.float32)
    reward_or_done = np.zeros(num_envs, np.float32)
    sequence = []
    for _ in range(4):
        obs = rng.integers(0, 256, (num_envs, 64, 64, 3), np.uint8)
        noise = rng.normal(0, 1, (num_envs, 6)).astype(np.float32)
        actions = model.act(obs, reward_or_done, noise)

        mu, logvar = vae.encode_mu_logvar(images_from_obs(obs))
        z = mu + np.exp(0.5 * np.asarray(logvar)) * noise
        features = tf.constant(np.concatenate([z, c, h], 1), tf.float32)
        np.testing.assert_allclose(actions, c_of_run.act(parameters, features[:, None])[:, 0], atol=1e-4)
        np.testing.assert_allclose(model.z, z, atol=1e-4)
        h, c = rnn.step(tf.constant(np.concatenate([z, actions, reward_or_done[:, None]], 1), tf.float32), h, c)
        h, c = np.asarray(h), np.asarray(c)
        sequence.append(np.concatenate([z, actions, reward_or_done[:, None]], 1))
        reward_or_done = rng.normal(0, 1, num_envs).astype(np.float32)
    assert np.isfinite(np.stack(sequence)).all()


def test_environments_do_not_touch_each_other_and_a_new_episode_forgets(networks):
    rng = np.random.default_rng(2)
    parameters = rng.normal(0, 1, (2, controller().num_parameters)).astype(np.float32)
    obs = rng.integers(0, 256, (8, 2, 64, 64, 3), np.uint8)
    still = np.zeros((2, 6), np.float32)
    reward_or_done = np.float32([1.0, -0.1])

    def play(steps, restart=None):
        model = make(networks, 2)
        model.begin(0, parameters[0])
        model.begin(1, parameters[1])
        actions = []
        for t in steps:
            if t == restart:
                model.begin(0, parameters[0])
            actions.append(model.act(obs[t], reward_or_done, still))
        return np.stack(actions)

    whole, restarted, fresh = play(range(8)), play(range(8), restart=4), play(range(4, 8))
    np.testing.assert_array_equal(whole[:, 1], restarted[:, 1])
    np.testing.assert_array_equal(restarted[4:, 0], fresh[:, 0])
    assert not np.allclose(whole[4:, 0], restarted[4:, 0])


def test_those_who_rest_are_left_out_and_the_others_act_as_before(networks):
    rng = np.random.default_rng(3)
    parameters = rng.normal(0, 1, (3, controller().num_parameters)).astype(np.float32)
    obs = rng.integers(0, 256, (5, 3, 64, 64, 3), np.uint8)
    still, reward_or_done = np.zeros((3, 6), np.float32), np.float32([1.0, -0.1, 2.0])

    def play(rests):
        model = make(networks, 3)
        for env_index in range(3):
            model.begin(env_index, parameters[env_index])
        actions = []
        for t in range(5):
            if rests and t == 2:
                model.rest(1)
            if t == 4:
                model.begin(1, parameters[1])
            actions.append(model.act(obs[t], reward_or_done, still))
        return np.stack(actions)

    all_awake, one_rests = play(False), play(True)
    np.testing.assert_allclose(one_rests[:, [0, 2]], all_awake[:, [0, 2]], atol=1e-5)
    assert (one_rests[2:4, 1] == 0).all()
    assert all_awake[2:4, 1].any()
    np.testing.assert_allclose(one_rests[4, 1], all_awake[4, 1], atol=1e-5)
