"""Configs of training jobs: YAML files, checked by pydantic."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value

__all__ = ["LoraConfig", "load_config", "shipped_configs"]


class LoraConfig(Value):
    """Low-rank adapters beside frozen weights; the score head is always trained in full.

    Attributes:
        r: rank.
        alpha: scale; what an adapter adds is multiplied by ``alpha / r``.
        dropout: share of an adapter's inputs that is zeroed while training.
        targets: names of linear layers that get an adapter (["q_proj", "v_proj"]), or "all-linear".
        layers: numbers of the transformer blocks that get adapters, None for all. With only the upper ones,
            the backward pass skips those below the lowest.
    """

    r: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] | Literal["all-linear"] = "all-linear"
    layers: list[int] | None = None


_Config = TypeVar("_Config", bound=Value)


def shipped_configs(kind: str) -> list[str]:
    """Names of the configs of one kind ("data", "rm", "grpo") that come with the package."""
    folder = resources.files("me2sdk.train") / "configs" / kind
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def load_config(source: str | Path, kind: str, into: type[_Config], overrides: Sequence[str] = ()) -> _Config:
    """Read settings.

    Args:
        source: a YAML file, or the name of a shipped config of this kind ("paper").
        kind: the folder of shipped configs: "data", "rm" or "grpo".
        into: the model that the settings must fit.
        overrides: ``name=value`` with the value in YAML; dots reach into nested settings (``lora.r=8``).

    Returns:
        The checked settings. Paths in them are relative to the working directory.

    Raises:
        ConfigurationError: no such file or name, no YAML, or settings that do not fit; every problem is named.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigurationError('Reading a config needs PyYAML. Run: pip install "me2sdk[train]"') from None

    path = Path(source)
    if path.is_file():
        text = path.read_text("utf-8-sig")
    elif str(source) in shipped_configs(kind):
        text = (resources.files("me2sdk.train") / "configs" / kind / f"{source}.yaml").read_text("utf-8")
    else:
        raise ConfigurationError(
            f"There is no file {source}, and no shipped config of that name. "
            f"Shipped: {', '.join(shipped_configs(kind))}."
        )
    try:
        settings = yaml.safe_load(text) or {}
        if not isinstance(settings, dict):
            raise ConfigurationError(
                f"{source} must hold settings (name: value), not a {type(settings).__name__}."
            )
        for override in overrides:
            _override(settings, override, yaml.safe_load)
        return into.model_validate(settings)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigurationError(f"{source} cannot be used. {_problems(error, into)}") from None


def _override(settings: dict[str, Any], override: str, parse: Any) -> None:
    name, equals, value = override.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"{override!r} does not set anything. Write name=value.")
    *path, last = name.split(".")
    for part in path:
        inner = settings.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"{part!r} in {override!r} has no settings inside it.")
        settings = inner
    settings[last] = parse(value)


def _problems(error: ValidationError, into: type[Value]) -> str:
    problems = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"])) or "settings"
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            problems.append(f"{place}: unknown; there are {', '.join(into.model_fields)}")
        else:
            problems.append(f"{place}: {problem['msg']}")
    return "; ".join(problems) + "."
