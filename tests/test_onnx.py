"""V, M and C for other languages: a dream through ONNX Runtime alone is TensorFlow's."""

import json

import numpy as np
import pytest

from models.dream import DreamModel
from tests.helpers import ROOT, call_here
from utils.agent.agent import Agent
from utils.agent.checkpoints import load_controller
from utils.dreams.noise import DreamNoise
from utils.run.folder import RunFolder

TEMPERATURE = 0.9


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxruntime", reason="an optional extra: pip install '.[onnx]'")
    folder = tmp_path_factory.mktemp("onnx") / "carracing"
    done = call_here("utils.run.export", ROOT / "pretrained/carracing", "--onnx", folder)
    assert done.returncode == 0, done.stderr
    for name in "encode", "decode", "memory", "controller":
        assert f"{name}.onnx" in done.stdout
    return folder


def test_a_dream_through_onnx_runtime_is_that_of_tensorflow(exported):
    import onnxruntime

    told = json.loads((exported / "agent.json").read_text())
    decode, memory, act = (
        onnxruntime.InferenceSession(exported / f"{name}.onnx") for name in ("decode", "memory", "controller")
    )
    run = RunFolder(ROOT / "pretrained/carracing")
    exact = {"vae_precision": "float32", "rnn_precision": "float32"}
    config = run.read_config().model_copy(update=exact)
    agent, (parameters, _) = Agent(config, run), load_controller(config, run)
    z = np.array(told["starts"]["mu"][:1], np.float32)
    h = c = np.zeros((1, told["rnn_size"]), np.float32)
    before = np.zeros((1, 1), np.float32)
    model, uniforms, normals = DreamModel(agent.rnn, "reward"), *DreamNoise(0).draw(30, told["z_size"])
    state = model.begin(z)
    for uniform, normal in zip(uniforms, normals):
        (action,) = act.run(["action"], {"z": z, "h": h})
        # As docs/onnx.md has it.
        names = ["next_h", "next_c", "logpi", "mu", "logvar", "reward"]
        step = {"z": z, "action": action, "reward_before": before, "h": h, "c": c}
        h, c, logpi, mu, logvar, before = memory.run(names, step)
        weights = np.exp(logpi / TEMPERATURE)
        sums = np.cumsum(weights, axis=-1)
        chosen = (uniform[..., None] * sums[..., -1:] >= sums[..., :-1]).sum(axis=-1)[..., None]
        mu, logvar = (np.take_along_axis(part, chosen, axis=-1)[..., 0] for part in (mu, logvar))
        z = (mu + np.exp(logvar / 2) * np.sqrt(TEMPERATURE) * normal).astype(np.float32)

        theirs = agent.controller.act(parameters[None], agent.controller.features(z=state.z, h=state.h)[None])[0]
        state, reward, _ = model.step(state, theirs, TEMPERATURE, uniform[None], normal[None])
        for ours, expected in ((action, theirs), (z, state.z), (h, state.h), (c, state.c), (before[:, 0], reward)):
            np.testing.assert_allclose(ours, expected, atol=1e-3)
    image = decode.run(["image"], {"z": z})[0]
    np.testing.assert_allclose(image, agent.vae.decode(state.z, training=False), atol=1e-3)


def test_a_graph_that_differs_is_refused(exported):
    from utils.agent.onnx_files import check
    from utils.system.errors import UsageError

    z = np.zeros((1, 32), np.float32)
    with pytest.raises(UsageError, match=r"image differs from TensorFlow's by 0\.\d+"):
        check(exported / "decode.onnx", {"z": z}, {"image": np.zeros((1, 64, 64, 3), np.float32)})
