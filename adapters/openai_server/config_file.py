"""The configuration of a server from a TOML file."""

from __future__ import annotations

import difflib
import inspect
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from me2sdk.adapters.openai_server.bodies import PARAMETERS
from me2sdk.adapters.openai_server.config import ServerConfig
from me2sdk.adapters.openai_server.settings import ModelConfig
from me2sdk.errors import ConfigurationError
from me2sdk.scorers import open_scorer

__all__ = ["first_error", "read_config"]

_ENVIRONMENT = "os.environ/"  # as in LiteLLM's own configuration
_SECRET = ("api_key", "ssl_keyfile_password")
_TABLES = ("models", "scorers")
_Made = TypeVar("_Made", bound=BaseModel)


def read_config(path: Path, changes: Mapping[str, Any]) -> ServerConfig:
    """The configuration that a file holds; see `ServerConfig.from_file`."""
    found = _read(path)
    _check_keys(path, "", found, ServerConfig.model_fields)
    settings = {name: _of_environment(path, name, value) for name, value in found.items() if name in _SECRET}
    settings |= {name: value for name, value in found.items() if name not in (*_SECRET, *_TABLES)}
    _complete(path, "", settings)
    settings["models"] = _table(path, found, "models", _model)
    settings["scorers"] = _table(path, found, "scorers", _scorer)
    for name in _TABLES:
        settings[name] |= changes.get(name) or {}
    settings["scorers"] = settings["scorers"] or {"mini": "mini"}
    if isinstance(settings.get("params"), dict):
        changes = {**changes, "params": {**settings["params"], **(changes.get("params") or {})}}
    settings |= {name: value for name, value in changes.items() if name not in _TABLES}
    return _made(path, "", ServerConfig, settings)


def first_error(error: ValidationError) -> str:
    """The first error of a configuration, in one line."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{field}: {said}." if field else f"{said}."


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The file {path} cannot be read: {error.strerror or error}. Check its name."
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigurationError(f"{path} is no TOML file: {error}.") from error


def _check_keys(path: Path, where: str, found: Mapping[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    in_params = {name: f"params.{name}" for name in PARAMETERS} if "params" in known else {}
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *in_params], n=1)
            nearest = in_params.get(near[0], near[0]) if near else ""
            advice = f"Did you mean {nearest}?" if near else f"Known are {', '.join(known)}."
            raise ConfigurationError(f"{path}: {where}{name} is not known. {advice}")


def _complete(path: Path, where: str, settings: dict[str, Any]) -> None:
    """Fill in what TOML cannot say: secrets of the environment, and None."""
    if isinstance(params := settings.get("params"), dict):
        settings["params"] = {
            name: _of_environment(path, f"{where}params.{name}", value) for name, value in params.items()
        }
    if settings.get("answer") == "none":
        settings["answer"] = None


def _of_environment(path: Path, where: str, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_ENVIRONMENT):
        return value
    name = value.removeprefix(_ENVIRONMENT)
    if name not in os.environ:
        raise ConfigurationError(f"{path}: {where} is {value}, and the variable {name} is not set.")
    return os.environ[name]


def _table(path: Path, found: Mapping[str, Any], kind: str, read: Any) -> dict[str, Any]:
    given = found.get(kind, {})
    if not isinstance(given, dict):
        raise ConfigurationError(f"{path}: {kind} is a table: [{kind}] with NAME = …, or [{kind}.NAME].")
    return {
        name: read(path, f"{kind}.{name}.", dict(item)) if isinstance(item, dict) else item
        for name, item in given.items()
    }


def _model(path: Path, where: str, item: dict[str, Any]) -> ModelConfig:
    _check_keys(path, where, item, ModelConfig.model_fields)
    _complete(path, where, item)
    return _made(path, where, ModelConfig, item)


def _scorer(path: Path, where: str, item: dict[str, Any]) -> Any:
    _check_keys(path, where, item, inspect.signature(open_scorer).parameters)
    if not isinstance(item.get("scorer"), str):
        raise ConfigurationError(f"{path}: {where}scorer says which scorer it is, and is missing.")
    try:
        return open_scorer(item.pop("scorer"), **item)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {where[:-1]}: {error}") from None


def _made(path: Path, where: str, kind: type[_Made], values: dict[str, Any]) -> _Made:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {where}{first_error(error)}") from None
