"""The page that dreams in a browser: its JavaScript against TensorFlow, and itself in a browser."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dream_page import chromium
from models.mdn_rnn import end_probability
from models.vae import build_vae
from tests.helpers import ROOT, call_here
from utils.agent.agent import Agent
from utils.agent.checkpoints import dream_model
from utils.agent.controllers import load_controller
from utils.dreams.noise import DreamNoise, InitialLatents
from utils.figures.dream_page import page_weights
from utils.run.folder import RunFolder
from utils.system.errors import UsageError

STEPS, TEMPERATURE = 50, 1.3
# How far draws of z lie from M's mixture, on average over the steps that it makes at this temperature.
SPREAD = """
const [temperature, steps] = arguments, slider = document.getElementById("temperature");
slider.value = temperature;
slider.dispatchEvent(new Event("input"));
let sum = 0;
for (let t = 0; t < steps; t++) {
  document.getElementById("single").click();
  world.dream.z.forEach((z, dimension) => {
    sum += Math.min(...world.memory.mixture(dimension, temperature).map(({ mu }) => Math.abs(z - mu)));
  });
}
return sum / steps / world.dream.z.length;
"""

POINTER = """
document.querySelector("#touch button[data-key=left]").dispatchEvent(new PointerEvent(arguments[0]));
"""
MIXTURE = "return document.getElementById('mixture').toDataURL()"
COUNT_HIDDEN = """
window.hidden = { times: 0, steps: 0 };
document.addEventListener("visibilitychange", () => (hidden.times += document.hidden));
const { dream } = world, step = dream.step;
dream.step = (...given) => {
  hidden.steps += document.hidden;
  return step.apply(dream, given);
};
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
@pytest.mark.parametrize(
    ("name", "hidden", "rewards"),
    [("carracing", 0, "mean"), ("carracing", 0, "drawn"), ("carracing", 5, "mean"), ("doom", 0, "mean")],
)
def test_a_dream_of_the_page_is_that_of_tensorflow(name, hidden, rewards, tmp_path):
    run = RunFolder(ROOT / "pretrained" / name)
    config = run.read_config().model_copy(update={"controller_dream_reward": rewards})
    agent, (parameters, _) = Agent(config, run), load_controller(config, run)
    controller = dataclasses.replace(agent.controller, hidden=hidden)
    if hidden:  # no agent that ships has such a C
        parameters = np.random.default_rng(0).normal(0, 0.3, controller.num_parameters)
    weights = page_weights(agent.vae, agent.rnn, controller, parameters)
    decode = build_vae(config.z_size).decode  # in float32
    for model, trained in (decode, agent.vae.decode), (agent.rnn, agent.rnn):  # rounded as the page's are
        model.set_weights([weight.astype(np.float16).astype(np.float32) for weight in trained.get_weights()])
    parameters = parameters.astype(np.float16).astype(np.float32)

    model = dream_model(agent.rnn, config)
    noise, z = DreamNoise(0), InitialLatents(run, config.z_size).mu[0]
    uniform, normal = noise.draw(STEPS, config.z_size)
    given = {
        "arrays": {name: array.shape for name, array in weights.items()}, "num_mixture": config.rnn_num_mixture,
        "predicts": agent.spec.predicts, "inputs": list(controller.inputs), "temperature": TEMPERATURE,
        "activations": controller.activations, "z": z.tolist(), "uniform": uniform.tolist(),
        "normal": normal.tolist(), "end": model.end, "rewards": model.rewards,
    }  # fmt: skip
    (tmp_path / "dream.json").write_text(json.dumps(given))
    (tmp_path / "weights.bin").write_bytes(b"".join(array.tobytes() for array in weights.values()))
    command = ["node", ROOT / "tests/dream_page.mjs", tmp_path]
    dreamed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)

    state = model.begin(z[None])
    assert len(dreamed["steps"]) == STEPS
    for t, step in enumerate(dreamed["steps"]):
        features = controller.features(z=state.z, h=state.h, c=state.c)
        action = controller.act(parameters[None], features[None])[0]
        prediction = model.predict(state, action)
        state, told, _ = model.sample(prediction, np.float32(TEMPERATURE), uniform[t][None], normal[t][None])
        if agent.spec.predicts == "done":
            told = end_probability(prediction.reward_or_logit)
        picture = decode(state.z, training=False)
        for part, expected in (
            ("action", action), ("z", state.z), ("h", state.h), ("c", state.c), ("told", told), ("picture", picture),
        ):  # fmt: skip
            np.testing.assert_allclose(np.ravel(step[part]), np.ravel(expected), atol=1e-3, err_msg=f"{part} at {t}")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    run = Path(shutil.copytree(ROOT / "pretrained/carracing", tmp_path_factory.mktemp("page") / "carracing"))
    done = call_here("utils.figures", run, "dream_page")
    assert done.returncode == 0, done.stderr
    assert f"dream_page: {run / 'dream.html'}" in done.stdout
    return run / "dream.html"


@pytest.fixture
def browser():
    with contextlib.ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium(one_core=False))
        except UsageError as missing:
            pytest.skip(str(missing))
        browser.set_page_load_timeout(60)
        yield browser


def test_the_page_dreams_in_a_browser(page, browser, tmp_path):
    assert page.stat().st_size < 16_000_000
    browser.get(page.as_uri())
    body, bars = (browser.find_element("css selector", name) for name in ("body", "#bars"))

    def steps() -> int:
        return int(body.get_attribute("data-steps"))

    def until(condition, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)

    until(lambda: steps() > 20)
    assert body.get_attribute("data-hands") == "controller"

    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser).key_down(Keys.ARROW_LEFT).perform()
    until(lambda: "steer -1.00" in " ".join(bars.text.split()))
    ActionChains(browser).key_up(Keys.ARROW_LEFT).perform()
    until(lambda: "steer 0.00" in " ".join(bars.text.split()))
    assert body.get_attribute("data-hands") == "person"
    ActionChains(browser).send_keys("m").perform()
    until(lambda: body.get_attribute("data-hands") == "controller")
    colors = browser.execute_script(
        "const pixels = document.getElementById('picture').getContext('2d').getImageData(0, 0, 64, 64).data;"
        "return new Set(new Uint32Array(pixels.buffer)).size"
    )
    assert colors > 100

    # After the mouse was on the temperature, the arrow keys drive still.
    ActionChains(browser).click(browser.find_element("css selector", "#temperature")).perform()
    ActionChains(browser).key_down(Keys.ARROW_RIGHT).perform()
    until(lambda: "steer 1.00" in " ".join(bars.text.split()))
    ActionChains(browser).key_up(Keys.ARROW_RIGHT).perform()
    browser.execute_script(POINTER, "pointerdown")  # a finger
    until(lambda: "steer -1.00" in " ".join(bars.text.split()))
    browser.execute_script(POINTER, "pointerup")
    until(lambda: "steer 0.00" in " ".join(bars.text.split()))

    browser.execute_script(COUNT_HIDDEN)
    shown = browser.current_window_handle
    browser.switch_to.new_window("tab")
    time.sleep(0.5)
    browser.switch_to.window(shown)
    until(lambda: browser.execute_script("return !document.hidden"))
    assert browser.execute_script("return [hidden.times, hidden.steps]") == [1, 0]
    cool, hot = (browser.execute_script(SPREAD, temperature, 20) for temperature in (0.1, 3))
    assert hot > 3 * cool
    stopped = steps()
    time.sleep(0.3)
    assert steps() == stopped  # single steps pause it
    before = browser.execute_script(MIXTURE)
    dimension = browser.find_element("css selector", "#dimension")
    dimension.clear()
    dimension.send_keys("3")
    assert browser.execute_script(MIXTURE) != before

    browser.set_window_size(390, 844)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.save_screenshot(str(tmp_path / "page.png"))
    assert browser.get_log("browser") == []
