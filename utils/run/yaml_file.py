"""YAML files of `key: value` lines, with `extends`, in the reading of YAML 1.2."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from utils.system.errors import UsageError
from utils.system.files import user_path

_NULL, _STRING = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """Differs from YAML 1.1 where people expect it: `1e-4` is a number, and a repeated key is an error.

    words: keys whose values are text as it stands: `exp_name: 2024-06-01` is no date.
    """

    def __init__(self, text: str, source: str, words: Collection[str]):
        super().__init__(text)
        self.name, self._words = source, words

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        for key, value in node.value:
            absent = value.tag == _NULL and key.value == "previous_run"
            if key.value in self._words and isinstance(value, yaml.ScalarNode) and not absent:
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
    """Quotes each string that `_Loader` would read as something else."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def parse(text: str, source: str, words: Collection[str] = ()) -> Any:
    """source: named in errors. Raises `UsageError`."""
    try:
        return _Loader(text, source, words).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{source}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None


def read(path: Path, words: Collection[str], seen: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a file and of those that it extends, and which file each came from."""
    if path.resolve() in seen:
        raise UsageError(f"{path}: extends itself")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read the configuration {path}: {reason}") from None
    content = parse(text, str(path), words)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected lines of `key: value`")
    for key in content:
        if not isinstance(key, str):
            raise UsageError(f"{path}: {key!r}: unknown key; keys are words")
    settings: dict[str, Any] = {}
    sources: dict[str, str] = {}
    base = content.pop("extends", None)
    if base is not None:
        settings, sources = read(path.parent / user_path(str(base)), words, (*seen, path.resolve()))
    settings.update(content)
    sources.update(dict.fromkeys(content, str(path)))
    return settings, sources


def dump(settings: dict[str, Any]) -> str:
    return yaml.dump(settings, Dumper=_Dumper, sort_keys=False, default_flow_style=None)
