import numpy as np
import pytest
import tensorflow as tf

from models.controller import controller_actions, num_parameters
from models.mdn_rnn import MDNRNN
from models.vae import build_vae, images_from_obs
from models.world_model import WorldModel

CAR = ("tanh", "half_tanh", "positive_tanh")


def test_parameter_counts_of_the_chapter_and_the_paper():
    assert num_parameters(32 + 256, 3, bias=True) == 867
    assert num_parameters(64 + 512 + 512, 1, bias=False) == 1088


def test_each_row_acts_by_its_own_parameters():
    rng = np.random.default_rng(0)
    parameters, features = rng.normal(0, 1, (4, 33)).astype(np.float32), rng.normal(0, 1, (4, 10)).astype(np.float32)
    actions = np.asarray(controller_actions(parameters, tf.constant(features[:, None]), CAR, bias=True))[:, 0]
    for row in range(4):
        raw = np.tanh(features[row] @ parameters[row, :30].reshape(10, 3) + parameters[row, 30:])
        expected = [raw[0], (raw[1] + 1) / 2, np.clip(raw[2], 0, 1)]
        np.testing.assert_allclose(actions[row], expected, atol=1e-5)
    without = controller_actions(parameters[:, :30], tf.constant(features[:, None]), CAR, bias=False)[:, 0]
    at_rest = controller_actions(np.zeros((4, 30), np.float32), tf.constant(features[:, None]), CAR, bias=False)[:, 0]
    assert without.shape == (4, 3)
    np.testing.assert_array_equal(at_rest[0], [0, 0.5, 0])


@pytest.fixture(scope="module")
def networks():
    return build_vae(6, seed=0), MDNRNN(6, 3, 12, 3, seed=0)


def make(networks, num_envs: int, inputs=("z", "h"), sample=False) -> WorldModel:
    features = sum(6 if name == "z" else 12 for name in inputs)
    return WorldModel(*networks, CAR, inputs, True, sample, num_envs, num_parameters(features, 3, True))


def test_acting_is_encoding_then_controlling_then_remembering(networks):
    vae, rnn = networks
    rng = np.random.default_rng(1)
    num_envs, size = 3, num_parameters(30, 3, True)
    model = make(networks, num_envs, inputs=("z", "c", "h"), sample=True)
    parameters = rng.normal(0, 0.5, (num_envs, size)).astype(np.float32)
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
        np.testing.assert_allclose(
            actions, controller_actions(parameters, features[:, None], CAR, True)[:, 0], atol=1e-4
        )
        np.testing.assert_allclose(model.z, z, atol=1e-4)
        h, c = rnn.step(tf.constant(np.concatenate([z, actions, reward_or_done[:, None]], 1), tf.float32), h, c)
        h, c = np.asarray(h), np.asarray(c)
        sequence.append(np.concatenate([z, actions, reward_or_done[:, None]], 1))
        reward_or_done = rng.normal(0, 1, num_envs).astype(np.float32)
    assert np.isfinite(np.stack(sequence)).all()


def test_lanes_do_not_touch_each_other_and_a_new_episode_forgets(networks):
    rng = np.random.default_rng(2)
    size = num_parameters(18, 3, True)
    parameters = rng.normal(0, 1, (2, size)).astype(np.float32)
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
