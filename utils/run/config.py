"""The configuration of a run: one flat YAML, `key=value` overrides, one typed schema.

`config/carracing.yaml` explains every key. There are no defaults here: a file has all keys, or extends one that has.
Keys that came later are an exception: older run folders lack them, and their default is what was done then.
"""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.controller import Controller
from utils.environments import get_spec
from utils.run import agreement, yaml_file
from utils.run.stages import Stages, sorted_stages
from utils.run.steps import Step
from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import user_path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _setting(step: Step | None, fixed: bool = True, **bounds: Any) -> Any:
    """A key that `step` is the first to use (None: all steps). A fixed one may not change once that step has begun."""
    return Field(json_schema_extra={"step": step, "fixed": fixed}, **bounds)


# No shell expands `~` in a YAML file, or behind `key=`.
_FolderName = Annotated[str, AfterValidator(os.path.expanduser)]


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    exp_name: str = _setting(None, fixed=False, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    runs_folder: _FolderName = _setting(None, fixed=False, min_length=1)
    env_name: str = _setting(None)
    seed: int = _setting(None, ge=0, lt=2**31)
    previous_run: _FolderName | None = _setting(None)
    checkpoint_seconds: float = _setting(None, fixed=False, gt=0)

    # Step 1
    parallel_processes: int = _setting(Step.ROLLOUTS, fixed=False, ge=1, le=4096)
    max_trials: int = _setting(Step.ROLLOUTS, fixed=False, ge=0)
    max_frames: int = _setting(Step.ROLLOUTS, ge=2, le=65535)
    exploration_policy: str = _setting(Step.ROLLOUTS)
    rollout_policy: Literal["explore", "controller"] = _setting(Step.ROLLOUTS)
    rollout_noise: float = _setting(Step.ROLLOUTS, ge=0, le=2)
    held_out_fraction: float = _setting(Step.ROLLOUTS, gt=0, le=0.5)

    # Step 2
    z_size: int = _setting(Step.VAE, ge=1, le=1024)
    vae_batch_size: int = _setting(Step.VAE, ge=1)
    vae_num_epoch: float = _setting(Step.VAE, fixed=False, ge=0)
    vae_learning_rate: float = _setting(Step.VAE, gt=0, le=1)
    vae_learning_rate_decay: float = _setting(Step.VAE, gt=0, le=1)
    vae_kl_tolerance: float = _setting(Step.VAE, ge=0)
    vae_precision: Literal["auto", "float32", "bfloat16"] = _setting(Step.VAE)
    vae_shuffle_frames: int = _setting(Step.VAE, ge=1000)

    # Step 3
    encoded_trials: int = _setting(Step.SERIES, fixed=False, ge=0, default=0)

    # Step 4
    rnn_start: Literal["previous", "random"] = _setting(Step.RNN, default="previous")
    rnn_size: int = _setting(Step.RNN, ge=1, le=8192)
    rnn_num_mixture: int = _setting(Step.RNN, ge=1, le=100)
    rnn_max_seq_len: Stages = _setting(Step.RNN)
    rnn_batch_size: int = _setting(Step.RNN, ge=1)
    rnn_num_steps: int = _setting(Step.RNN, fixed=False, ge=0)
    rnn_learning_rate: float = _setting(Step.RNN, gt=0, le=1)
    rnn_learning_rate_decay: float = _setting(Step.RNN, gt=0, le=1)
    rnn_dropout: float = _setting(Step.RNN, ge=0, lt=1, default=0.0)
    rnn_grad_clip: float = _setting(Step.RNN, gt=0)
    rnn_precision: Literal["auto", "float32", "bfloat16"] = _setting(Step.RNN)

    # Step 5
    controller_start: Literal["previous", "zero"] = _setting(Step.CONTROLLER, default="previous")
    controller_seed: int = _setting(Step.CONTROLLER, ge=0, lt=2**31, default=0)
    controller_environment: Literal["real", "dream"] = _setting(Step.CONTROLLER)
    controller_temperature: float = _setting(Step.CONTROLLER, gt=0)
    controller_dream_start: Literal["first", "anywhere"] = _setting(Step.CONTROLLER, default="first")
    controller_dream_end: Literal["threshold", "drawn"] = _setting(Step.CONTROLLER, default="threshold")
    controller_dream_reward: Literal["mean", "drawn"] = _setting(Step.CONTROLLER, default="mean")
    controller_dream_dropout: float = _setting(Step.CONTROLLER, ge=0, lt=1, default=0.0)
    controller_num_rnn: int = _setting(Step.CONTROLLER, ge=1, le=64, default=1)
    controller_judge_run: _FolderName | None = _setting(Step.CONTROLLER, default=None)
    controller_judge_episode: int = _setting(Step.CONTROLLER, ge=1, default=256)
    controller_inputs: list[Literal["z", "h", "c"]] = _setting(Step.CONTROLLER, min_length=1)
    controller_bias: bool = _setting(Step.CONTROLLER)
    controller_hidden: int = _setting(Step.CONTROLLER, ge=0, le=1024, default=0)
    controller_latent: Literal["sample", "mean"] = _setting(Step.CONTROLLER)
    controller_num_worker: int = _setting(Step.CONTROLLER, ge=1)
    controller_num_worker_trial: int = _setting(Step.CONTROLLER, ge=1)
    controller_gpu: bool = _setting(Step.CONTROLLER, fixed=False, default=False)
    controller_num_episode: Stages = _setting(Step.CONTROLLER, fixed=False)
    controller_hard_fraction: float = _setting(Step.CONTROLLER, ge=0, le=1, default=0.0)
    controller_screened_episode: int = _setting(Step.CONTROLLER, ge=16, default=1024)
    controller_max_frames: int = _setting(Step.CONTROLLER, ge=1)
    controller_patience: int = _setting(Step.CONTROLLER, ge=0)
    controller_num_lane: int = _setting(Step.CONTROLLER, ge=1, le=1024)
    controller_num_generation: int = _setting(Step.CONTROLLER, fixed=False, ge=1)
    controller_sigma_init: float = _setting(Step.CONTROLLER, gt=0)
    controller_diagonal: bool = _setting(Step.CONTROLLER)
    controller_eval_steps: int = _setting(Step.CONTROLLER, fixed=False, ge=1)
    controller_eval_episode: int = _setting(Step.CONTROLLER, fixed=False, ge=1)
    controller_num_mean: int = _setting(Step.CONTROLLER, fixed=False, ge=1, default=1)

    @model_validator(mode="after")
    def _agree(self) -> "Config":
        agreement.check(self)
        return self

    def hard_episodes(self, episodes: int) -> int:
        """How many of a candidate's `episodes` take place on hard tracks."""
        return round(episodes * self.controller_hard_fraction)

    @property
    def dream_rewards(self) -> tuple[float, float] | None:
        """The rewards that M reads in dreams, as `DreamModel` takes them."""
        return get_spec(self.env_name).rewards if self.controller_dream_reward == "drawn" else None

    @property
    def draw_seed(self) -> int:
        """The seed of all draws of this run, in [0, 2**31).

        A run that goes on from another one has its own draws, named by both runs. With the same seed it would repeat
        the tracks, the noise and the perturbations of C of that run.
        """
        if self.previous_run is None:
            return self.seed
        return seeding.integer(self.seed, f"{Path(self.previous_run).absolute().name} to {self.exp_name}")

    @property
    def evolution_seed(self) -> int:
        """The seed of C's population and of the episodes that it learns in, in [0, 2**31).

        Evaluations are of `draw_seed`: the same for each `controller_seed`.
        """
        if not self.controller_seed:
            return self.draw_seed
        return seeding.integer(self.draw_seed, f"controller {self.controller_seed}")

    @property
    def population(self) -> int:
        return self.controller_num_worker * self.controller_num_worker_trial

    @property
    def controller(self) -> Controller:
        """C of this run, without its parameters."""
        sizes = {"z": self.z_size, "h": self.rnn_size, "c": self.rnn_size}
        inputs = {str(name): sizes[name] for name in self.controller_inputs}
        return Controller(inputs, get_spec(self.env_name).activations, self.controller_bias, self.controller_hidden)

    @property
    def episode_stages(self) -> dict[int, int]:
        """`controller_num_episode` by the generation, counted from 1, from which on it applies. Sorted."""
        return sorted_stages(self.controller_num_episode)

    @property
    def row_stages(self) -> dict[int, int]:
        """`rnn_max_seq_len` by the iteration, counted from 1, from which on it applies. Sorted."""
        return sorted_stages(self.rnn_max_seq_len)

    @property
    def num_episodes(self) -> int:
        """Rollouts of step 1."""
        return self.parallel_processes * self.max_trials

    @property
    def num_encoded(self) -> int:
        """Episodes that step 3 plays, of which only the series is kept."""
        return self.parallel_processes * self.encoded_trials


def keys(step: Step | None, fixed: bool) -> list[str]:
    """The keys of `step`: the fixed ones, or the others."""
    wanted = {"step": step, "fixed": fixed}
    return [name for name, field in Config.model_fields.items() if field.json_schema_extra == wanted]


# Keys whose values are text as it stands.
_WORDS = frozenset(name for name, field in Config.model_fields.items() if field.annotation in (str, str | None))


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads `path` and applies `key=value` overrides.

    Raises `UsageError` with a line for each error.
    """
    path = user_path(path)
    settings, sources = yaml_file.read(path, _WORDS)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"{override!r}: overrides look like key=value, for example rnn_num_steps=500")
        is_text = key in _WORDS and not (key == "previous_run" and yaml_file.parse(value, override) is None)
        settings[key] = value if is_text else yaml_file.parse(value, override)
        sources[key] = "command line"
    try:
        return Config(**settings)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(e, sources, path) for e in error.errors())) from None
    except UsageError as error:
        named = [sources[word] for word in re.findall(r"\w+", str(error)) if word in sources]
        source = "command line" if "command line" in named else next(iter(named), path)
        raise UsageError(f"{source}: {error}") from None


def _explain(error: "ErrorDetails", sources: dict[str, str], path: Path) -> str:
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
    return yaml_file.dump(config.model_dump())
