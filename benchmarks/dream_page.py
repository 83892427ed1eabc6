"""How fast does RUN/dream.html dream, and would ONNX Runtime Web do better?

    python -m benchmarks.dream_page pretrained/carracing --onnxruntime node_modules/onnxruntime-web/dist
    python -m benchmarks.dream_page pretrained/carracing --film docs/dream_page.webp

Chromium, headless and on one core without a GPU, shows the page: steps and pictures a second as a person would see
them, with no limit but the screen's 60 a second, and milliseconds for a step and its picture alone. Then the same work
through ONNX Runtime Web, of `npm install onnxruntime-web`, and graphs of `python -m utils.run.export --onnx`. Sizes are
of all that a page has to hold, weights in half precision, in base64 as in a page that needs no network. Needs Chromium,
its driver and selenium. --film measures nothing: it records how C acts, how a person takes over, and hot dreams.
"""

import contextlib
import functools
import http.server
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.report import announce, command, store, with_store
from utils.run import cli
from utils.system.errors import UsageError
from utils.system.files import user_path

PAGE = Path(__file__).parents[1] / "utils/figures/page"
ONNX_PAGE = Path(__file__).with_name("onnx_page.html")
ONNX_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
SHOWN_SECONDS, STEPS, REPEATS = 10, 100, 5
BASE64 = 4 / 3
WINDOW, STEPS_PER_FRAME, MILLISECONDS_PER_FRAME = (920, 830), 3, 60
# Who acts in the film, at which temperature, for how many frames. An empty key: C acts.
SCENES = (
    ("", 1.0, 60),
    ("ArrowRight", 1.0, 12),
    ("ArrowLeft", 1.0, 24),
    ("ArrowUp", 1.0, 14),
    ("m", 1.0, 20),
    ("", 2.5, 50),
)
ACT = """
const [key, temperature, steps, first] = arguments, slider = document.getElementById("temperature");
slider.value = temperature;
slider.dispatchEvent(new Event("input"));
if (first) {
  for (const other of ["ArrowRight", "ArrowLeft", "ArrowUp"]) dispatchEvent(new KeyboardEvent("keyup", { key: other }));
  if (key) document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}
for (let t = 0; t < steps; t++) document.getElementById("single").click();
"""

ARITHMETIC = """
const { controller, decoder, dream, memory } = world, steps = arguments[0];
document.getElementById("single").click(); // pauses the page's own dream
const begin = performance.now();
for (let t = 0; t < steps; t++) {
  const noise = { uniform: memory_noise(Math.random), normal: memory_noise(gauss) };
  dream.step(controller.act(dream), 1, noise);
  decoder.decode(dream.z);
}
return (performance.now() - begin) / steps;
function memory_noise(draw) { return Float32Array.from({ length: memory.zSize }, draw); }
function gauss() { return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()); }
"""


def main() -> None:
    parser = with_store(command("dream_page", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder with a trained controller")
    parser.add_argument("--onnxruntime", type=user_path, metavar="DIST", help="ONNX Runtime Web's folder dist")
    parser.add_argument("--film", type=user_path, metavar="FILE", help="record the page, as .webp")
    arguments = parser.parse_args()
    if not arguments.film:
        announce(arguments)
    with tempfile.TemporaryDirectory() as folder:
        unneeded = shutil.ignore_patterns("rollouts", "episode_*.npz", "videos", "figures")
        run = Path(shutil.copytree(arguments.run, Path(folder) / arguments.run.resolve().name, ignore=unneeded))
        _command("utils.figures", run, "dream_page")
        if arguments.film:
            _film(run / "dream.html", arguments.film)
            return
        rows = {"plain modules": _plain(run / "dream.html")}
        print(rows, flush=True)
        if arguments.onnxruntime:
            _command("utils.run.export", run, "--onnx", Path(folder) / "onnx")
            rows["ONNX Runtime Web"] = _through_onnx(Path(folder) / "onnx", arguments.onnxruntime, run / "dream.html")
            print(rows["ONNX Runtime Web"])
    store(arguments, "dream_page", {"agent": arguments.run.resolve().name, "rows": rows})


def _command(module: str, *arguments: Any) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, cwd=PAGE.parents[2])


def _plain(page: Path) -> dict[str, float]:
    modules = list(PAGE.glob("[tw]*.mjs"))  # tensors, world_model: what a runtime would replace
    free = page.with_name("free.html")
    free.write_text(re.sub('"stepsPerSecond": [0-9]+', '"stepsPerSecond": 1000', page.read_text()))
    with chromium() as browser:
        browser.get(free.as_uri())
        steps = lambda: int(browser.execute_script("return document.body.dataset.steps"))  # noqa: E731
        while steps() < 50:  # compiled by now
            time.sleep(0.1)
        begun, first = time.perf_counter(), steps()
        time.sleep(SHOWN_SECONDS)
        shown = (steps() - first) / (time.perf_counter() - begun)
        taken = [browser.execute_script(ARITHMETIC, STEPS) for _ in range(REPEATS)]
    return {
        "shown_per_second": round(shown, 1),
        "milliseconds_of_a_step_and_its_picture": round(statistics.median(taken), 2),
        "lines_of_arithmetic": sum(len(path.read_text().splitlines()) for path in modules),
        "page_megabytes": round(page.stat().st_size / 1e6, 1),
    }


def _through_onnx(folder: Path, dist: Path, page: Path) -> dict[str, float]:
    for name in ONNX_FILES:
        if not (dist / name).exists():
            raise UsageError(f"{dist} has no {name}; it should be node_modules/onnxruntime-web/dist")
        shutil.copyfile(dist / name, folder / name)
    shutil.copyfile(ONNX_PAGE, folder / "index.html")
    with _served(folder) as address, chromium() as browser:
        browser.set_script_timeout(120)
        browser.get(address)
        while not browser.execute_script("return document.body?.dataset.ready"):
            time.sleep(0.1)
        script = "const done = arguments[1]; measure(arguments[0]).then(done)"
        browser.execute_async_script(script, STEPS)  # warm
        taken = [browser.execute_async_script(script, STEPS) for _ in range(REPEATS)]
    runtime = sum((folder / name).stat().st_size for name in ONNX_FILES)
    return {
        "milliseconds_of_a_step_and_its_picture": round(statistics.median(taken), 2),
        "lines_of_arithmetic": len(ONNX_PAGE.read_text().splitlines()),
        "page_megabytes": round(page.stat().st_size / 1e6 + runtime * BASE64 / 1e6, 1),
    }


def _film(page: Path, film: Path) -> None:
    frames = []
    with chromium() as browser:
        browser.set_window_size(*WINDOW)
        browser.get(page.as_uri())
        browser.execute_script("document.getElementById('single').click(); document.getElementById('restart').click()")
        for key, temperature, count in SCENES:
            for frame in range(count):
                browser.execute_script(ACT, key, temperature, STEPS_PER_FRAME, frame == 0)
                frames.append(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"))
    frames[0].save(
        film, save_all=True, append_images=frames[1:], duration=MILLISECONDS_PER_FRAME, loop=0, quality=45, method=6
    )
    print(f"{film}: {film.stat().st_size / 1e6:.1f} MB")


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()


@contextlib.contextmanager
def chromium(one_core: bool = True) -> Iterator[Any]:
    """Chromium, headless and without a GPU, through its driver. Raises `UsageError` if one of them is missing."""
    try:
        from selenium import webdriver
    except ImportError:
        raise UsageError("a browser needs selenium: pip install -c constraints.txt -e '.[test]'") from None
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and driver):
        raise UsageError("Chromium and its driver are needed on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in "headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run":
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    before = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {min(before)})  # the processes that it starts inherit it
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    os.sched_setaffinity(0, before)
    try:
        yield browser
    finally:
        browser.quit()


if __name__ == "__main__":
    cli.call(main)
