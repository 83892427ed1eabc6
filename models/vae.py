"""V: the variational autoencoder, which encodes a frame as a latent vector z.

Paper, figure 22, and chapter, "Training the VAE": four strided convolutions down to 2x2x256, dense mu and logvar, and
four transposed convolutions back up to 64x64x3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

IMAGE_SHAPE = (64, 64, 3)


class VAE(NamedTuple):
    """Four Keras models that share their weights. Images are float32 (batch, 64, 64, 3) in [0, 1].

    vae: image to reconstruction, through a sampled z.
    encode_mu_logvar: image to mu and logvar, float32 (batch, z_size) each.
    encode: image to z, float32 (batch, z_size), a new sample at each call.
    decode: z to image.
    """

    vae: keras.Model
    encode_mu_logvar: keras.Model
    encode: keras.Model
    decode: keras.Model


def sample_z(mu: tf.Tensor, logvar: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """Draws z from the normal distribution of mu and logvar. Chapter, example 12-1.

    noise: standard normal. All float32 (..., z_size).
    """
    return mu + keras.ops.exp(0.5 * logvar) * noise


def kl_per_dimension(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """KL divergence from the standard normal, in nats: how much information each dimension of z has about each frame.

    All float32 (n, z_size).
    """
    return 0.5 * (np.square(mu) + np.exp(logvar) - logvar - 1)


@keras.saving.register_keras_serializable("world_models")
class Sampling(layers.Layer):
    """Draws a new z at each call, from mu and logvar, float32 (batch, z_size)."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        mu, logvar = inputs
        noise = keras.random.normal(keras.ops.shape(mu), dtype=mu.dtype, seed=self.seed_generator)
        return sample_z(mu, logvar, noise)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@tf.custom_gradient
def transposed_by_phases(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """A transposed convolution of stride 2, twice as fast as TensorFlow's where it makes few channels.

    Each of the four kinds of pixels (even and odd rows and columns) is a plain convolution by every second row and
    column of the kernel. Gradients are the usual ones.

    inputs: (batch, height, width, channels). kernel: (2 n, 2 n, filters, channels).
    Returns (batch, 2 height + 2 n - 2, 2 width + 2 n - 2, filters).
    """
    size, _, filters, channels = kernel.shape
    n = size // 2
    phases = tf.reshape(kernel, (n, 2, n, 2, filters, channels))[::-1, :, ::-1]
    plain = tf.reshape(tf.transpose(phases, (0, 2, 5, 1, 3, 4)), (n, n, channels, 4 * filters))
    around = [n - 1, n - 1]
    outputs = tf.nn.depth_to_space(tf.nn.conv2d(inputs, plain, 1, [[0, 0], around, around, [0, 0]]), 2)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=upstream, filter_sizes=kernel.shape, out_backprop=inputs, strides=[1, 2, 2, 1], padding="VALID"
        )
        return tf.nn.conv2d(upstream, kernel, 2, "VALID"), of_kernel

    return outputs, gradient


@keras.saving.register_keras_serializable("world_models")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras's, but faster where that is slow: of a picture of one pixel, as the matrix product that it is, four times,
    and where it makes few channels, by phases, twice.

    That is so without padding, which is Keras's default, with a stride of 2 and a bias.
    It has Keras's name too: files of weights name layers by their classes.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        height, width, filters, channels = self.kernel.shape
        if inputs.shape[1:3] == (1, 1):
            kernel = keras.ops.reshape(self.kernel, (height * width * filters, channels))
            product = tf.matmul(keras.ops.reshape(inputs, (-1, channels)), kernel, transpose_b=True)
            outputs = keras.ops.reshape(product, (-1, height, width, filters))
        elif filters < 8 and height % 2 == width % 2 == 0:
            outputs = transposed_by_phases(inputs, tf.identity(self.kernel))
        else:
            return super().call(inputs)
        return self.activation(outputs + self.bias)


def build_vae(z_size: int, precision: str = "float32", seed: int | None = None) -> VAE:
    """An untrained VAE.

    precision: "float32" or "bfloat16" (mixed: weights, mu, logvar and images stay in float32).
    seed: of the initial weights and of the draws of z.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    seeds = keras.random.SeedGenerator(seed)

    def layer(kind: type[layers.Layer], *args: Any, dtype: str = policy, **kwargs: Any) -> layers.Layer:
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
        x = layer(Conv2DTranspose, filters, kernel, strides=2, activation="relu", name=name)(x)
    x = layer(Conv2DTranspose, 3, 6, strides=2, name="decoder_conv_3")(x)
    reconstruction = layers.Activation("sigmoid", dtype="float32", name="reconstruction")(x)

    encode_mu_logvar = keras.Model(image, [mu, logvar], name="encode_mu_logvar")
    encode = keras.Model(image, z, name="encode")
    decode = keras.Model(latent, reconstruction, name="decode")
    vae = keras.Model(image, decode(z), name="vae")
    return VAE(vae, encode_mu_logvar, encode, decode)


def images_from_obs(obs: np.ndarray | tf.Tensor) -> tf.Tensor:
    """Observations, uint8 (batch, 64, 64, 3), to the images that V takes, float32 in [0, 1]."""
    return tf.cast(obs, tf.float32) / 255.0


def obs_from_images(images: np.ndarray | tf.Tensor) -> np.ndarray:
    """Images, float32 in [0, 1], to uint8 frames of the same shape."""
    return np.clip(np.asarray(images) * 255 + 0.5, 0, 255).astype(np.uint8)


def frozen_encoder(vae: VAE) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """A fast `encode_mu_logvar` with the present weights, for use inside a `tf.function`.

    It takes observations, uint8 (batch, 64, 64, 3), and returns mu and logvar, float32 (batch, z_size) each.

    Weights are cast once, not at each call. The first convolution divides by 255: whole numbers up to 255 are exact in
    bfloat16, their 255ths are not.
    """
    encoder = vae.encode_mu_logvar
    convolutions = [layer for layer in encoder.layers if isinstance(layer, layers.Conv2D)]
    dtype = convolutions[0].compute_dtype
    kernels = [tf.convert_to_tensor(layer.kernel) for layer in convolutions]
    kernels[0] = kernels[0] / 255.0
    kernels = [tf.cast(kernel, dtype) for kernel in kernels]
    biases = [tf.cast(layer.bias, dtype) for layer in convolutions]
    heads = [(tf.identity(layer.kernel), tf.identity(layer.bias)) for layer in map(encoder.get_layer, ("mu", "logvar"))]

    def encode_mu_logvar(obs: tf.Tensor) -> list[tf.Tensor]:
        x = tf.cast(obs, dtype)
        for layer, kernel, bias in zip(convolutions, kernels, biases):
            if dtype == "float32" and layer.output.shape[1] == 2:
                x = _convolved_by_pixels(x, kernel, layer.strides[0])
            else:
                x = tf.nn.conv2d(x, kernel, layer.strides, "VALID")
            x = tf.nn.relu(tf.nn.bias_add(x, bias))
        x = tf.cast(tf.reshape(x, (-1, heads[0][0].shape[0])), tf.float32)
        return [tf.matmul(x, kernel) + bias for kernel, bias in heads]

    return encode_mu_logvar


def _convolved_by_pixels(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """The convolution, each pixel as a matrix product. V's last one, in float32, is 1.4 times as fast as TensorFlow's,
    which sorts two megabytes of weights anew at each call."""
    size, _, channels, filters = kernel.shape
    weights = tf.reshape(kernel, (-1, filters))
    firsts = range(0, x.shape[1] - size + 1, stride)
    patches = [x[:, row : row + size, column : column + size] for row in firsts for column in firsts]
    pixels = [tf.reshape(patch, (-1, size * size * channels)) @ weights for patch in patches]
    return tf.reshape(tf.stack(pixels, axis=1), (-1, len(firsts), len(firsts), filters))


class FrameCodec:
    """V for NumPy arrays of any length: frames to mu and logvar, z to frames.

    frozen: encodes with the present weights, faster. Otherwise with those that V has at each call.
    """

    BATCH = 512  # frames at most that V takes at once

    def __init__(self, vae: VAE, frozen: bool = True):
        live = lambda obs: vae.encode_mu_logvar(images_from_obs(obs), training=False)  # noqa: E731
        spec = tf.TensorSpec((None, *IMAGE_SHAPE), tf.uint8)
        self._encode = tf.function(frozen_encoder(vae) if frozen else live, input_signature=[spec], autograph=False)
        self.z_size: int = vae.decode.input_shape[-1]
        spec = tf.TensorSpec((None, self.z_size), tf.float32)
        decode = lambda z: vae.decode(z, training=False)  # noqa: E731
        self._decode = tf.function(decode, input_signature=[spec], autograph=False)

    def encode(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (n, 64, 64, 3) to mu and logvar, float32 (n, z_size) each."""
        mu, logvar = zip(*(self._encode(tf.constant(batch)) for batch in self._batches(obs)))
        return np.concatenate(mu), np.concatenate(logvar)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """float32 (n, z_size) to uint8 (n, 64, 64, 3)."""
        return np.concatenate([obs_from_images(self._decode(tf.constant(batch))) for batch in self._batches(z)])

    def _batches(self, array: np.ndarray) -> list[np.ndarray]:
        """Splits `array` into batches of similar size."""
        return np.array_split(array, -(-len(array) // self.BATCH))


def vae_losses(
    images: tf.Tensor, reconstructions: tf.Tensor, mu: tf.Tensor, logvar: tf.Tensor, kl_tolerance: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Reconstruction and KL loss, scalars in nats, averaged over the batch. Training minimises their sum.

    images, reconstructions: float32 (batch, 64, 64, 3). Squared errors are summed over each image.
    mu, logvar: float32 (batch, z_size).
    kl_tolerance: KL below this many nats a dimension costs nothing, so that every dimension may carry something
        (original code).
    """
    reconstruction = tf.reduce_sum(tf.square(images - reconstructions), axis=(1, 2, 3))
    kl = -0.5 * tf.reduce_sum(1 + logvar - tf.square(mu) - tf.exp(logvar), axis=1)
    kl = tf.maximum(kl, kl_tolerance * mu.shape[1])
    return tf.reduce_mean(reconstruction), tf.reduce_mean(kl)
