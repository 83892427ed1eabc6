"""A run as one HTML page in one file: settings, timings, scores and every figure."""

import base64
import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from utils.environments import get_spec
from utils.figures.catalogue import FIGURES
from utils.run import config as configuration
from utils.run.config import Config
from utils.run.folder import RunFolder, command
from utils.run.steps import Step
from utils.run.summaries import IN_WORDS, num_episodes, of_controller, of_rnn, of_vae
from utils.system.files import atomic_write
from utils.system.progress import duration

_TEMPERATURES = "12-19"  # the one figure of the chapter that study_dream.py draws
_TITLES = {
    Step.ROLLOUTS: "1. Random rollouts",
    Step.VAE: "2. V learns to see",
    Step.SERIES: "3. Every frame becomes z",
    Step.RNN: "4. M learns to predict",
    Step.CONTROLLER: "5. C learns to act",
}
_TEXTS = {
    Step.ROLLOUTS: "{episodes} episodes of at most {config.max_frames} steps{how}. The score does not matter: they "
    "should show much of the world.",
    Step.VAE: "A variational autoencoder encodes each frame of 64 x 64 x 3 numbers as z, {config.z_size} numbers, and "
    "decodes it again. It learned from all episodes but the held-out {config.held_out_fraction:.0%}, for "
    "{config.vae_num_epoch:g} epochs.",
    Step.SERIES: "V encoded every frame as the mean and variance of its z. Frames are not needed any more.",
    Step.RNN: "An LSTM of {config.rnn_size} units reads z, the action and the last {predicts}. It predicts the next z, "
    "as a mixture of {config.rnn_num_mixture} normal distributions for each number, and the {predicts}. "
    "{config.rnn_num_steps} iterations of {config.rnn_batch_size} sequences.",
    Step.CONTROLLER: "{layers} from {inputs} to the action, evolved by CMA-ES: {config.population} candidates "
    "a generation. The score of each is the mean of {lived} {where}.",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.2em; border-bottom: 1px solid #ddd }
figure { margin: 1.5em 0 } img { max-width: 100%; height: auto } figcaption { color: #555 }
table { border-collapse: collapse } td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
nav { margin: 1em 0 } summary { cursor: pointer; color: #0072b2 }
"""


def save_report(run: RunFolder) -> None:
    """Shows the steps that are done, with the figures that exist."""
    config = run.read_config()
    sections = {
        title: [f"<p>{escape(_text(run, config, step))}</p>", *_pictures(run, step), _settings(config, step)]
        for step, title in _TITLES.items() if _done(run, step)
    }  # fmt: skip
    sections |= {"The dream": _dreams(run), "The agent": _film(run), "The chapter's figures": [_chapter(run)]}
    sections = {title: parts for title, parts in sections.items() if parts}
    title = f"{escape(run.path.name)}: a world model of {escape(config.env_name)}"
    body = [f"<h1>{title}</h1>", _links(sections), _overview(run, config), *_pictures(run, None)]
    for name, parts in sections.items():
        body += [f'<h2 id="{_anchor(name)}">{escape(name)}</h2>', *parts]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    with atomic_write(run.report) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _anchor(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")


def _links(titles: Iterable[str]) -> str:
    links = (f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in titles)
    return f"<nav>{' | '.join(links)}</nav>"


def _done(run: RunFolder, step: Step) -> bool:
    made = {
        Step.ROLLOUTS: run.rollout(0), Step.VAE: run.vae_weights, Step.SERIES: run.starts, Step.RNN: run.rnn_weights,
        Step.CONTROLLER: run.controller / "log.csv",
    }  # fmt: skip
    return made[step].exists()


def _overview(run: RunFolder, config: Config) -> str:
    """Timings and results, a row a step."""
    timings, rows = run.timings(), []
    for step in Step:
        if not _done(run, step):
            rows.append((step.script, "", "not done yet"))
            continue
        seconds = timings.get(step)
        rows.append((step.script, duration(seconds) if seconds is not None else "", _result(run, config, step)))
    cells = "".join(
        f'<tr><td>{escape(script)}</td><td class="number">{time}</td><td>{escape(result)}</td></tr>'
        for script, time, result in rows
    )
    total = f'<tr><td>in all</td><td class="number">{duration(sum(timings.values()))}</td><td></td></tr>'
    return (
        f'<table><tr><th>step</th><th class="number">time</th><th>result</th></tr>{cells}{total}</table>'
        + _scores(run)
        + ('<p><a href="dream.html">The dream, to act in</a></p>' if run.dream_page.exists() else "")
        + _settings(config, None)
    )


def _result(run: RunFolder, config: Config, step: Step) -> str:
    if step in (Step.ROLLOUTS, Step.SERIES):
        paths = (run.rollout_paths if step == Step.ROLLOUTS else run.series_paths)(config)
        count = sum(path.exists() for path in paths)
        return f"{count or 'no'} episodes" if count in (0, len(paths)) else f"{count} of {len(paths)} episodes"
    if not (run.step_folder(step) / "log.csv").exists():  # a shipped agent
        return ""
    rows = run.log(step)
    if step == Step.VAE:
        return of_vae(rows[-1])
    if step == Step.RNN:
        return of_rnn(rows[-1], get_spec(config.env_name).predicts)
    evaluated = [row for row in rows if row["evaluation_mean"] is not None]
    if not evaluated:
        return f"{len(rows)} generations"
    return f"{len(rows)} generations; {of_controller(rows, config.controller_eval_episode)}"


def _scores(run: RunFolder) -> str:
    """The scores that `render_agent.py --json` wrote into the run folder."""
    lines = []
    for path in sorted(run.path.glob("*score*.json")):
        report = json.loads(path.read_text())
        names = {"agent": f"the agent, {report['controller']},", "random": "a random policy"}
        for who, name in names.items():
            if who in report:
                score = report[who]
                lines.append(
                    f"<li>{escape(name)} in {escape(report['environment'])}: "
                    f"<b>{score['mean']:.0f} +- {score['std']:.0f}</b>, from {score['min']:.0f} to {score['max']:.0f}, "
                    f"{len(score['episodes'])} episodes from seed {score['episodes'][0]['seed']} on</li>"
                )
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _text(run: RunFolder, config: Config, step: Step) -> str:
    how = f", explored by the policy “{config.exploration_policy}”"
    if config.previous_run:
        how = how if config.rollout_policy == "explore" else ", played by its controller"
        how = f": the first ones from {config.previous_run}, the others{how.removeprefix(',')}"
    where = "in the real environment"
    if config.controller_environment == "dream":
        where = f"dreamed by M at temperature {config.controller_temperature:g}"
    hidden = config.controller_hidden
    layers = f"Two layers ({hidden} tanh units between them)" if hidden else "One linear layer"
    return _TEXTS[step].format(
        config=config, how=how, episodes=config.num_episodes, predicts=IN_WORDS[get_spec(config.env_name).predicts],
        lived=num_episodes(config), inputs=" and ".join(config.controller_inputs), where=where,
        layers=layers,
    )  # fmt: skip


def _settings(config: Config, step: Step | None) -> str:
    names = configuration.keys(step, fixed=True) + configuration.keys(step, fixed=False)
    rows = "".join(f"<tr><td>{name}</td><td>{escape(str(getattr(config, name)))}</td></tr>" for name in names)
    return f"<details><summary>settings</summary><table>{rows}</table></details>" if names else ""


def _dreams(run: RunFolder) -> list[str]:
    """The results of `study_dream.py`."""
    table = {
        "quality": (
            "Windows of held-out episodes, and M's dreams from the same beginning.",
            "Curves by step: how far dreams and simple guesses lie from what was real.",
        ),
        "driven": ("The same for episodes that C played.", "Curves by step, as before."),
        "ends": (
            "What M expects of the end, and what followed, in held-out episodes.",
            "Panels: P(done) in the last steps before a death, how often deaths follow it, and the lengths of lives.",
        ),
        "settings": (
            "Scores of controllers that learned with other settings of step 5.",
            "A pair of dots with error bars for each setting: in the dream and outside.",
        ),
        "temperatures": (
            "Scores in dreams of several temperatures and in the real environment.",
            "Two curves by temperature: in the dream and outside.",
        ),
        "iterations": (
            "Scores in the dream and in the real environment, run after run.",
            "Two curves, by run and by minute: in the dream and outside.",
        ),
    }
    return [
        _picture(path, caption, alt, _TEMPERATURES if name == "temperatures" else "")
        for name, (caption, alt) in table.items()
        if (path := run.path / "dream" / f"{name}.png").exists()
    ]


def _film(run: RunFolder) -> list[str]:
    """The newest film that browsers show as an image."""
    films = [path for path in run.path.glob("videos/*") if path.suffix in (".webp", ".gif")]
    if not films:
        return []
    newest = max(films, key=lambda path: path.stat().st_mtime)
    seen = "A moving picture of one episode, with bars for the actions and the reward below it."
    return [_picture(newest, "The agent, what V sees, and its reconstruction.", seen)]


def _chapter(run: RunFolder) -> str:
    """The chapter's figures, a row each, with the command and the file."""
    rows = [
        (figure.chapter, command("-m", "utils.figures", run.path, name), run.figures / f"{name}.png")
        for name, figure in FIGURES.items() if figure.chapter
    ]  # fmt: skip
    study = command("study_dream.py", "temperatures", run.path, "--train")
    rows.append((_TEMPERATURES, study, run.path / "dream" / "temperatures.png"))
    rows.sort(key=lambda row: int(re.findall(r"12-(\d+)", row[0])[0]))
    cells = "".join(
        f"<tr><td>{number}</td><td><code>{escape(call)}</code></td>"
        f"<td>{escape(str(path))}{'' if path.exists() else ', not drawn yet'}</td></tr>"
        for number, call, path in rows
    )
    head = "<tr><th>figure</th><th>command</th><th>file</th></tr>"
    return f"<table>{head}{cells}</table>"


def _pictures(run: RunFolder, step: Step | None) -> list[str]:
    """The figures of a step that exist."""
    of_step = {name: figure for name, figure in FIGURES.items() if figure.step == step}
    return [
        _picture(run.figures / f"{name}.png", figure.caption, figure.alt, figure.chapter)
        for name, figure in of_step.items()
    ]


def _picture(path: Path, caption: str, alt: str, number: str = "") -> str:
    """alt: what is to be seen. number: of the figure in the chapter."""
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    kind = path.suffix.removeprefix(".")
    shown = f"<b>Figure {escape(number)}</b> {escape(caption)}" if number else escape(caption)
    return (
        f'<figure><img src="data:image/{kind};base64,{data}" alt="{escape(alt)}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )
