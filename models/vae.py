"""V: the variational autoencoder that squeezes a picture into a latent vector z.

Paper, figure 22 and chapter, "Training the VAE": four strided convolutions down to 2x2x256, dense mu and
logvar, and four transposed convolutions back up to 64x64x3.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

IMAGE_SHAPE = (64, 64, 3)


class VAE(NamedTuple):
    """One set of weights seen four ways. Images are float32 (batch, 64, 64, 3) in [0, 1].

    vae: image to reconstruction, through a sampled z.
    encode_mu_logvar: image to mu and logvar, float32 (batch, z_size) each; the same for the same image.
    encode: image to z, float32 (batch, z_size), drawn anew at each call.
    decode: z to image.
    """

    vae: keras.Model
    encode_mu_logvar: keras.Model
    encode: keras.Model
    decode: keras.Model


def sample_z(mu, logvar, noise):
    """z from the normal distribution that mu and logvar get_spec and standard normal noise, all (..., z_size).
    Chapter, example 12-1."""
    return mu + keras.ops.exp(0.5 * logvar) * noise


def kl_per_dimension(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """What each dimension of z tells of each frame, in nats: its part of the KL divergence. All (n, z_size)."""
    return 0.5 * (np.square(mu) + np.exp(logvar) - logvar - 1)


@keras.saving.register_keras_serializable("world_models")
class Sampling(layers.Layer):
    """GenerationRng z anew at each call. Takes mu and logvar, (batch, z_size)."""

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        mu, logvar = inputs
        noise = keras.random.normal(keras.ops.shape(mu), dtype=mu.dtype, seed=self.seed_generator)
        return sample_z(mu, logvar, noise)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def build_vae(z_size: int, precision: str = "float32", seed: int | None = None) -> VAE:
    """An untrained VAE. precision: "float32" or "bfloat16" (mixed: float32 weights, mu, logvar and images).

    seed: of the initial weights and of the draws of z.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    seeds = keras.random.SeedGenerator(seed)

    def layer(kind, *args, dtype=policy, **kwargs):
        return kind(*args, dtype=dtype, kernel_initializer=keras.initializers.GlorotUniform(seed=seeds), **kwargs)

    image = keras.Input(IMAGE_SHAPE, name="image")
    x = image
    for filters in (32, 64, 128, 256):
        x = layer(layers.Conv2D, filters, 4, strides=2, activation="relu", name=f"encoder_conv_{filters}")(x)
    x = layers.Flatten(name="encoder_flatten", dtype=policy)(x)  # 2 x 2 x 256 = 1024
    mu = layer(layers.Dense, z_size, dtype="float32", name="mu")(x)
    logvar = layer(layers.Dense, z_size, dtype="float32", name="logvar")(x)
    z = Sampling(seed, name="z", dtype="float32")([mu, logvar])

    latent = keras.Input((z_size,), name="latent")
    x = layer(layers.Dense, 1024, name="decoder_dense")(latent)
    x = layers.Reshape((1, 1, 1024), name="decoder_reshape", dtype=policy)(x)
    for filters, kernel in ((128, 5), (64, 5), (32, 6)):
        name = f"decoder_conv_{filters}"
        x = layer(layers.Conv2DTranspose, filters, kernel, strides=2, activation="relu", name=name)(x)
    x = layer(layers.Conv2DTranspose, 3, 6, strides=2, name="decoder_conv_3")(x)
    reconstruction = layers.Activation("sigmoid", dtype="float32", name="reconstruction")(x)

    encode_mu_logvar = keras.Model(image, [mu, logvar], name="encode_mu_logvar")
    encode = keras.Model(image, z, name="encode")
    decode = keras.Model(latent, reconstruction, name="decode")
    vae = keras.Model(image, decode(z), name="vae")
    return VAE(vae, encode_mu_logvar, encode, decode)


def images_from_obs(obs) -> tf.Tensor:
    """uint8 (batch, 64, 64, 3) observations to the float32 images in [0, 1] that V takes."""
    return tf.cast(obs, tf.float32) / 255.0


def obs_from_images(images) -> np.ndarray:
    """float32 images in [0, 1] to uint8 pictures of the same shape."""
    return np.uint8(np.clip(np.asarray(images) * 255 + 0.5, 0, 255))


def frozen_encoder(vae: VAE):
    """`encode_mu_logvar` with the weights as they are now, for seeing fast: a function for use in a `tf.function`
    of observations, uint8 (batch, 64, 64, 3), to mu and logvar, float32 (batch, z_size) each.

    Weights are cast once, not at each call, and the division by 255 is the first convolution's: whole numbers up
    to 255 are exact in bfloat16, their 255ths are not.
    """
    encoder = vae.encode_mu_logvar
    convolutions = [layer for layer in encoder.layers if isinstance(layer, layers.Conv2D)]
    dtype = convolutions[0].compute_dtype
    kernels = [tf.convert_to_tensor(layer.kernel) for layer in convolutions]
    kernels[0] = kernels[0] / 255.0
    kernels = [tf.cast(kernel, dtype) for kernel in kernels]
    biases = [tf.cast(layer.bias, dtype) for layer in convolutions]
    heads = [(tf.identity(layer.kernel), tf.identity(layer.bias)) for layer in map(encoder.get_layer, ("mu", "logvar"))]

    def encode_mu_logvar(obs):
        x = tf.cast(obs, dtype)
        for layer, kernel, bias in zip(convolutions, kernels, biases):
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, layer.strides, "VALID"), bias))
        x = tf.cast(tf.reshape(x, (-1, heads[0][0].shape[0])), tf.float32)
        return [tf.matmul(x, kernel) + bias for kernel, bias in heads]

    return encode_mu_logvar


def vae_losses(images, reconstructions, mu, logvar, kl_tolerance: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Reconstruction and KL loss, scalars in nats, averaged over the batch. Their sum is what is minimised.

    images, reconstructions: float32 (batch, 64, 64, 3); squared errors are summed over each image.
    mu, logvar: float32 (batch, z_size). KL to the standard normal costs nothing below kl_tolerance a dimension,
    so that every dimension may carry something (original code).
    """
    reconstruction = tf.reduce_sum(tf.square(images - reconstructions), axis=(1, 2, 3))
    kl = -0.5 * tf.reduce_sum(1 + logvar - tf.square(mu) - tf.exp(logvar), axis=1)
    kl = tf.maximum(kl, kl_tolerance * mu.shape[1])
    return tf.reduce_mean(reconstruction), tf.reduce_mean(kl)
