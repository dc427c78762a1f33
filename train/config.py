"""Settings of training jobs: YAML files, checked by pydantic."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from me2sdk.errors import ConfigurationError

__all__ = ["Settings", "load_config", "shipped_configs"]


class Settings(BaseModel):
    """Base of all settings: frozen, and names that nobody reads are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Config = TypeVar("_Config", bound=Settings)


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


def _problems(error: ValidationError, into: type[BaseModel]) -> str:
    told = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"])) or "settings"
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            told.append(f"{place}: unknown; there are {', '.join(into.model_fields)}")
        else:
            told.append(f"{place}: {problem['msg']}")
    return "; ".join(told) + "."
