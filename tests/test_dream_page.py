"""The page that dreams in a browser: its JavaScript against TensorFlow."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from models.dream import DreamModel
from models.vae import build_vae
from tests.helpers import ROOT
from utils.agent.agent import Agent
from utils.agent.checkpoints import load_controller
from utils.dreams.noise import DreamNoise
from utils.figures.dream_page import page_weights
from utils.run.folder import RunFolder

STEPS = 50


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js: https://nodejs.org")
@pytest.mark.parametrize("name", ["carracing"])
def test_a_dream_of_the_page_is_that_of_tensorflow(name, tmp_path):
    run = RunFolder(ROOT / "pretrained" / name)
    config = run.read_config()
    agent, (parameters, _) = Agent(config, run), load_controller(config, run)
    with np.load(run.starts) as file:
        starts = file["mu"], file["logvar"]
    weights = page_weights(agent.vae, agent.rnn, agent.controller, parameters, starts)
    decode = build_vae(config.z_size).decode  # in float32
    for model, trained in (decode, agent.vae.decode), (agent.rnn, agent.rnn):  # rounded as the page's are
        model.set_weights([weight.astype(np.float16).astype(np.float32) for weight in trained.get_weights()])
    parameters = parameters.astype(np.float16).astype(np.float32)

    noise, z = DreamNoise(0), starts[0][0]
    uniform, normal = noise.draw(STEPS, config.z_size)
    given = {
        "arrays": {name: array.shape for name, array in weights.items()}, "num_mixture": config.rnn_num_mixture,
        "predicts": agent.spec.predicts, "inputs": list(agent.controller.inputs), "temperature": 1.3,
        "activations": agent.controller.activations, "z": z.tolist(), "uniform": uniform.tolist(),
        "normal": normal.tolist(),
    }  # fmt: skip
    (tmp_path / "dream.json").write_text(json.dumps(given))
    (tmp_path / "weights.bin").write_bytes(b"".join(array.tobytes() for array in weights.values()))
    command = ["node", ROOT / "tests/dream_page.mjs", tmp_path]
    dreamed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)

    model = DreamModel(agent.rnn, agent.spec.predicts)
    state = model.begin(z[None])
    for t, step in enumerate(dreamed["steps"]):
        features = agent.controller.features(z=state.z, h=state.h, c=state.c)
        action = agent.controller.act(parameters[None], features[None])[0]
        state, told, _ = model.step(state, action, np.float32(1.3), uniform[t][None], normal[t][None])
        picture = decode(state.z, training=False)
        for part, expected in (
            ("action", action), ("z", state.z), ("h", state.h), ("c", state.c), ("told", told), ("picture", picture),
        ):  # fmt: skip
            np.testing.assert_allclose(np.ravel(step[part]), np.ravel(expected), atol=1e-3, err_msg=f"{part} at {t}")
    print(dreamed["per_second"], "steps/s")
