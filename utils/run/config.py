"""The configuration of a run: one flat YAML, `extends`, `key=value` overrides, one typed schema.

`config/carracing.yaml` explains every key. There are no defaults here: a file says everything, or extends
one that does.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from models.controller import Controller
from utils.environments import get_spec
from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import user_path


def _stages(value: object) -> object:
    """A whole number, or one for each stretch of generations by the generation that it begins with."""
    stages = value if isinstance(value, dict) else {1: value}
    if any(type(number) is not int or number < 1 for stage in stages.items() for number in stage):
        raise ValueError("should be a whole number of at least 1, or some of them: {1: 4, 50: 16}")
    if 1 not in stages:
        raise ValueError("should say how many there are from generation 1 on")
    return value


def _setting(step: int, fixed: bool = True, **bounds):
    """A key used first by `step`. A fixed one may not change any more once that step has begun."""
    return Field(json_schema_extra={"step": step, "fixed": fixed}, **bounds)


# `~` is the home folder: nobody's shell expands it in a YAML, or behind `key=`.
_FolderName = Annotated[str, AfterValidator(os.path.expanduser)]


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    exp_name: str = _setting(0, fixed=False, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    runs_folder: _FolderName = _setting(0, fixed=False, min_length=1)
    env_name: str = _setting(0)
    seed: int = _setting(0, ge=0, lt=2**31)
    previous_run: _FolderName | None = _setting(0)
    checkpoint_seconds: float = _setting(0, fixed=False, gt=0)

    # Step 1
    parallel_processes: int = _setting(1, fixed=False, ge=1, le=4096)
    max_trials: int = _setting(1, fixed=False, ge=1)
    max_frames: int = _setting(1, ge=2, le=65535)
    exploration_policy: str = _setting(1)
    rollout_policy: Literal["explore", "controller"] = _setting(1)
    rollout_noise: float = _setting(1, ge=0, le=2)
    held_out_fraction: float = _setting(1, gt=0, le=0.5)

    # Step 2
    z_size: int = _setting(2, ge=1, le=1024)
    vae_batch_size: int = _setting(2, ge=1)
    vae_num_epoch: float = _setting(2, fixed=False, ge=0)
    vae_learning_rate: float = _setting(2, gt=0, le=1)
    vae_learning_rate_decay: float = _setting(2, gt=0, le=1)
    vae_kl_tolerance: float = _setting(2, ge=0)
    vae_precision: Literal["auto", "float32", "bfloat16"] = _setting(2)
    vae_shuffle_frames: int = _setting(2, ge=1000)

    # Step 4
    rnn_size: int = _setting(4, ge=1, le=8192)
    rnn_num_mixture: int = _setting(4, ge=1, le=100)
    rnn_max_seq_len: int = _setting(4, ge=1)
    rnn_batch_size: int = _setting(4, ge=1)
    rnn_num_steps: int = _setting(4, fixed=False, ge=0)
    rnn_learning_rate: float = _setting(4, gt=0, le=1)
    rnn_learning_rate_decay: float = _setting(4, gt=0, le=1)
    rnn_grad_clip: float = _setting(4, gt=0)
    rnn_precision: Literal["auto", "float32", "bfloat16"] = _setting(4)

    # Step 5
    controller_environment: Literal["real", "dream"] = _setting(5)
    controller_temperature: float = _setting(5, gt=0)
    controller_inputs: list[Literal["z", "h", "c"]] = _setting(5, min_length=1)
    controller_bias: bool = _setting(5)
    controller_latent: Literal["sample", "mean"] = _setting(5)
    controller_num_worker: int = _setting(5, ge=1)
    controller_num_worker_trial: int = _setting(5, ge=1)
    controller_num_episode: Annotated[int | dict[int, int], PlainValidator(_stages)] = _setting(5, fixed=False)
    controller_max_frames: int = _setting(5, ge=1)
    controller_patience: int = _setting(5, ge=0)
    controller_num_lane: int = _setting(5, ge=1, le=1024)
    controller_num_generation: int = _setting(5, fixed=False, ge=1)
    controller_sigma_init: float = _setting(5, gt=0)
    controller_diagonal: bool = _setting(5)
    controller_eval_steps: int = _setting(5, fixed=False, ge=1)
    controller_eval_episode: int = _setting(5, fixed=False, ge=1)

    @model_validator(mode="after")
    def _agree(self):
        spec = get_spec(self.env_name)
        if self.exploration_policy not in spec.explorations:
            known = ", ".join(spec.explorations)
            raise UsageError(f"exploration_policy: {self.exploration_policy!r} is none of {known} of {self.env_name}")
        if self.rollout_policy == "controller" and not self.previous_run:
            raise UsageError("rollout_policy: controller: whose? set previous_run to a run folder with a trained one")
        if self.population < 4:
            raise UsageError(
                f"controller_num_worker x controller_num_worker_trial is {self.population}: "
                "CMA-ES needs a population of at least 4"
            )
        if self.vae_batch_size > self.vae_shuffle_frames:
            raise UsageError(f"vae_batch_size {self.vae_batch_size} is more than vae_shuffle_frames holds")
        if self.controller_patience and spec.idle_reward is None:
            raise UsageError(f"controller_patience: an episode of {self.env_name} never comes to nothing; set it to 0")
        if self.controller_patience and self.controller_environment == "dream":
            raise UsageError("controller_patience: dreams have none; set it to 0 or controller_environment to real")
        if len(set(self.controller_inputs)) != len(self.controller_inputs):
            raise UsageError(f"controller_inputs: {self.controller_inputs} names an input twice")
        return self

    @property
    def draw_seed(self) -> int:
        """The seed of all draws that this run learns by, in [0, 2**31).

        A run that goes on from another has draws of its own, named by both runs: under the same seed it would meet the
        same tracks, the same noise and the same perturbations of C in the same order once more.
        """
        if self.previous_run is None:
            return self.seed
        return seeding.integer(self.seed, f"{Path(self.previous_run).absolute().name} to {self.exp_name}")

    @property
    def population(self) -> int:
        return self.controller_num_worker * self.controller_num_worker_trial

    @property
    def controller(self) -> Controller:
        """C of this run, without its parameters."""
        sizes = {"z": self.z_size, "h": self.rnn_size, "c": self.rnn_size}
        inputs = {name: sizes[name] for name in self.controller_inputs}
        return Controller(inputs, get_spec(self.env_name).activations, self.controller_bias)

    @property
    def episode_stages(self) -> dict[int, int]:
        """`controller_num_episode` by the generation, counted from 1, that it begins with, the first one first."""
        stages = self.controller_num_episode
        return dict(sorted(stages.items())) if isinstance(stages, dict) else {1: stages}

    @property
    def num_episodes(self) -> int:
        """Rollouts that step 1 collects."""
        return self.parallel_processes * self.max_trials


def keys(step: int, fixed: bool) -> list[str]:
    """The keys of `step`: those its work depends on and that may not change under it, or the others."""
    extras = {name: field.json_schema_extra for name, field in Config.model_fields.items()}
    return [name for name, extra in extras.items() if extra["step"] == step and extra["fixed"] == fixed]


_WORDS = frozenset(name for name, field in Config.model_fields.items() if field.annotation in (str, str | None))
_NULL, _STRING = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 in the two points where people meet 1.1: `1e-4` is a number, a repeated key is an error. A key that
    takes words takes them as they stand: `exp_name: 2024-06-01` is no date."""

    def construct_mapping(self, node, deep=False):
        for key, value in node.value:
            absent = value.tag == _NULL and key.value == "previous_run"
            if key.value in _WORDS and isinstance(value, yaml.ScalarNode) and not absent:
                value.tag = _STRING
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UsageError(f"{node.start_mark.name}: {key} is given twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)
_Loader.yaml_implicit_resolvers = {  # integers first: the pattern above matches them as well
    first: sorted(resolvers, key=lambda resolver: resolver[0].endswith(":float"))
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Quotes each string that `_Loader` would take for something else."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _parse(text: str, source: str):
    try:
        loader = _Loader(text)
        loader.name = source
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{source}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None


def _read(path: Path, seen: tuple[Path, ...] = ()) -> tuple[dict, dict]:
    """The settings of a file over those it extends, and which file each came from."""
    if path.resolve() in seen:
        raise UsageError(f"{path}: extends itself")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read the configuration {path}: {reason}") from None
    content = _parse(text, str(path))
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected lines of `key: value`")
    for key in content:
        if not isinstance(key, str):
            raise UsageError(f"{path}: {key!r}: unknown key; keys are words")
    settings, sources = {}, {}
    base = content.pop("extends", None)
    if base is not None:
        settings, sources = _read(path.parent / user_path(str(base)), (*seen, path.resolve()))
    settings.update(content)
    sources.update(dict.fromkeys(content, str(path)))
    return settings, sources


def load(path: str | Path, overrides: list[str] = ()) -> Config:
    """Reads `path`, applies `key=value` overrides and validates the whole.

    Raises `UsageError` with a line for each thing that is wrong.
    """
    path = user_path(path)
    settings, sources = _read(path)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"{override!r}: overrides look like key=value, for example rnn_num_steps=500")
        words = key in _WORDS and not (key == "previous_run" and _parse(value, override) is None)
        settings[key] = value if words else _parse(value, override)
        sources[key] = "command line"
    try:
        return Config(**settings)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(e, sources, path) for e in error.errors())) from None
    except UsageError as error:
        named = [sources[word] for word in re.findall(r"\w+", str(error)) if word in sources]
        source = "command line" if "command line" in named else next(iter(named), path)
        raise UsageError(f"{source}: {error}") from None


def _explain(error: dict, sources: dict, path) -> str:
    key = str(error["loc"][0])
    where = f"{sources.get(key, path)}: {key}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, Config.model_fields, n=1)
        return f"{where}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    if error["type"] == "missing":
        return f"{where}: missing; add it, or begin the file with `extends: carracing.yaml`"
    message = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{where}: is {error['input']!r}, {message}"


def dump(config: Config) -> str:
    return yaml.dump(config.model_dump(), Dumper=_Dumper, sort_keys=False, default_flow_style=None)
