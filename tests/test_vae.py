import keras
import numpy as np
import pytest
import tensorflow as tf

from models.vae import Conv2DTranspose, build_vae, frozen_encoder, images_from_obs, vae_losses
from tests.helpers import TINY
from utils.run import config
from utils.training import train_vae
from utils.training.adam import Adam
from utils.training.train_vae import make_steps


@pytest.fixture(scope="module")
def vae():
    return build_vae(32, seed=0)


@pytest.fixture(scope="module")
def images():
    obs = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    return images_from_obs(obs)


def test_the_papers_network(vae):
    assert vae.vae.count_params() == 4_348_547
    convolutions = [layer for layer in vae.vae.layers if "encoder_conv" in layer.name]
    assert [layer.filters for layer in convolutions] == [32, 64, 128, 256]
    assert [layer.output.shape[1:] for layer in convolutions] == [(31, 31, 32), (14, 14, 64), (6, 6, 128), (2, 2, 256)]
    transposed = [layer for layer in vae.decode.layers if "decoder_conv" in layer.name]
    assert [(layer.filters, layer.kernel_size[0]) for layer in transposed] == [(128, 5), (64, 5), (32, 6), (3, 6)]


def test_shapes_and_ranges(vae, images):
    assert (images.dtype, float(tf.reduce_max(images))) == (tf.float32, 1.0)
    mu, logvar = vae.encode_mu_logvar(images)
    assert mu.shape == logvar.shape == vae.encode(images).shape == (5, 32)
    for made in (vae.vae(images), vae.decode(mu)):
        assert (made.shape, made.dtype) == ((5, 64, 64, 3), tf.float32)
        assert 0 <= float(tf.reduce_min(made)) <= float(tf.reduce_max(made)) <= 1


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_the_frozen_encoder_is_the_encoder(precision, tolerance):
    vae = build_vae(8, precision, seed=0)
    rng = np.random.default_rng(0)
    for weight in vae.encode_mu_logvar.weights:
        weight.assign_add(rng.normal(0, 0.02, weight.shape))
    obs = rng.integers(0, 256, (5, 64, 64, 3), np.uint8)
    expected = np.concatenate(vae.encode_mu_logvar(images_from_obs(obs)))
    encode = frozen_encoder(vae)
    np.testing.assert_allclose(np.concatenate(encode(obs)), expected, atol=tolerance * expected.std())
    vae.encode_mu_logvar.weights[0].assign_add(tf.ones((4, 4, 3, 32)))
    np.testing.assert_allclose(np.concatenate(encode(obs)), expected, atol=tolerance * expected.std())


@pytest.mark.parametrize(("size", "filters", "kernel"), [(1, 5, 3), (3, 5, 3), (3, 8, 6), (3, 5, 6), (4, 3, 4)])
def test_a_transposed_convolution_and_its_gradients_are_keras_s(size, filters, kernel):
    x = tf.random.stateless_normal((4, size, size, 6), seed=(0, 0))
    kinds = Conv2DTranspose, keras.layers.Conv2DTranspose
    layers = [kind(filters, kernel, strides=2, activation="relu") for kind in kinds]
    results = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in layers[0].get_weights()])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, *layer.trainable_weights])])
    for ours, keras_s in zip(*results):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-4)


def test_mu_and_logvar_stay_and_z_is_drawn_anew(vae, images):
    np.testing.assert_array_equal(vae.encode_mu_logvar(images)[0], vae.encode_mu_logvar(images)[0])
    assert np.abs(np.subtract(vae.encode(images), vae.encode(images))).min() > 0


def test_draws_of_z_follow_mu_and_logvar(vae, images):
    mu, logvar = vae.encode_mu_logvar(images)
    many = tf.repeat(images, 500, axis=0)
    draws = np.concatenate([np.reshape(vae.encode(many), (5, 500, 32)) for _ in range(4)], axis=1).swapaxes(0, 1)
    sigma = np.exp(0.5 * np.asarray(logvar))
    np.testing.assert_allclose((draws.mean(0) - mu) / sigma, 0, atol=5 / np.sqrt(2000))
    np.testing.assert_allclose(draws.std(0) / sigma, 1, atol=0.1)


def test_the_four_models_share_their_weights(vae, images):
    before = np.asarray(vae.decode(np.zeros((1, 32), np.float32)))
    bias = vae.vae.get_layer("decode").get_layer("decoder_conv_3").bias
    bias.assign_add([1.0, 0.0, 0.0])
    after = np.asarray(vae.decode(np.zeros((1, 32), np.float32)))
    bias.assign_sub([1.0, 0.0, 0.0])
    assert (after[..., 0] > before[..., 0]).all()
    np.testing.assert_array_equal(after[..., 1:], before[..., 1:])


def test_losses_against_numpy():
    rng = np.random.default_rng(1)
    images, made = rng.random((2, 3, 64, 64, 3), np.float32)
    mu, logvar = rng.normal(0, 1, (2, 3, 8)).astype(np.float32)
    reconstruction, kl = vae_losses(images, made, tf.constant(mu), tf.constant(logvar), kl_tolerance=0.0)
    np.testing.assert_allclose(reconstruction, ((images - made) ** 2).sum((1, 2, 3)).mean(), rtol=1e-5)
    expected = (0.5 * (np.exp(logvar) + mu**2 - 1 - logvar)).sum(1)
    np.testing.assert_allclose(kl, expected.mean(), rtol=1e-5)
    free = float(np.sort(expected)[1]) / 8  # the smallest of the three is below this tolerance
    _, kl = vae_losses(images, made, tf.constant(mu), tf.constant(logvar), kl_tolerance=free)
    np.testing.assert_allclose(kl, np.maximum(expected, free * 8).mean(), rtol=1e-5)


def test_a_saved_model_is_read_back_without_running_code(vae, images, tmp_path):
    vae.encode_mu_logvar.save(tmp_path / "encoder.keras")
    vae.vae.save(tmp_path / "vae.keras")
    encoder = keras.saving.load_model(tmp_path / "encoder.keras", safe_mode=True)
    np.testing.assert_array_equal(encoder(images)[0], vae.encode_mu_logvar(images)[0])
    assert keras.saving.load_model(tmp_path / "vae.keras", safe_mode=True).count_params() == 4_348_547


def test_bfloat16_agrees_with_float32(vae, images):
    half = build_vae(32, "bfloat16", seed=0)
    half.vae.set_weights(vae.vae.get_weights())
    mu, _ = half.encode_mu_logvar(images)
    assert mu.dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in half.vae.trainable_variables)
    np.testing.assert_allclose(mu, vae.encode_mu_logvar(images)[0], atol=0.02)


def test_the_same_seed_makes_the_same_network(images):
    first, second, other = (build_vae(4, seed=seed).encode_mu_logvar(images)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_parts_of_a_batch_and_adam_in_one_pass_change_nothing_but_the_last_digits():
    c, rng = config.load(TINY), np.random.default_rng(0)
    batches = rng.integers(0, 256, (4, 7, 64, 64, 3), np.uint8)
    noise = rng.standard_normal((7, c.z_size), np.float32)
    found = []
    for parts, kind in ((1, keras.optimizers.Adam), (1, Adam), (3, Adam)):
        vae = build_vae(c.z_size, seed=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train_vae, "Adam", kind)
            train_step, losses, optimizer = train_vae.make_steps(vae, c, parts)
        variables = [*vae.vae.trainable_variables, *optimizer.variables]
        before = [np.array(variable) for variable in variables]
        trained = [train_step(tf.constant(obs), tf.constant(step, tf.int64)) for step, obs in enumerate(batches)]
        of_batch = losses(batches[0], noise)
        moved = [np.array(variable) - old for variable, old in zip(variables, before)]
        figures = trained[-1] | {f"held_out_{name}": value for name, value in of_batch.items()}
        found.append(({name: float(value) for name, value in figures.items()}, moved))
    for figures, moved in found[1:]:
        assert figures == pytest.approx(found[0][0], rel=1e-5)
        for ours, keras_s in zip(moved, found[0][1], strict=True):
            assert np.abs(ours - keras_s).mean() <= 0.02 * np.abs(keras_s).mean()  # a unit of 0 may come out above it


def test_the_learning_rate_falls_as_configured():
    c = config.load(TINY, ["vae_learning_rate=0.01", "vae_learning_rate_decay=0.5"])
    train_step, _, optimizer = make_steps(build_vae(c.z_size, seed=0), c)
    obs = np.zeros((2, 64, 64, 3), np.uint8)
    for step in range(3):
        train_step(tf.constant(obs), tf.constant(step, tf.int64))
    assert float(optimizer.learning_rate) == pytest.approx(0.01 * 0.5**3)
