"""The configuration of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from me2sdk.adapters._shared import by_name
from me2sdk.adapters.openai_server.settings import AnswerSettings, Count, ModelConfig, Seconds
from me2sdk.errors import ConfigurationError

__all__ = ["ServerConfig"]


class ServerConfig(AnswerSettings):
    """The configuration of a server. Frozen; limits are checked when it is made.

    The settings of `AnswerSettings`, and these:

    Attributes:
        models: the served models: a LiteLLM name, a list of names, or a mapping of the names that clients use to what
            `LLM` takes as a model, or to a `ModelConfig` with settings of its own. The first is the default. Without
            any, the server only scores.
        scorers: the scorers that requests may choose among, in the same forms: names as `open_scorer` takes them
            ("mini", the hub name or folder of a reward model, the URL of a server that speaks SGLang's protocol, …) or
            objects with ``score``. The first is the default. All of them are loaded at the start.
        cache: as in `LLM`.
        timeout: seconds per request. The answers by then are ranked; 504 if there are none.
        max_requests: requests that run at a time.
        max_waiting: requests that may wait; more are refused with 429.
        max_body: most bytes of a request's body. Bodies take at most ``(max_requests + max_waiting) * max_body`` bytes
            of memory.
        max_traces: most traces, documents or inputs per request.
        max_trace_characters: most characters per trace.
        keep_alive: seconds between the comments that a stream sends while candidates are sampled.
        api_key: the bearer token that ``/v1`` requires, or None for an open server.
        cors_origins: origins whose web pages may send requests, such as "https://chat.example.com"; "*" is every
            origin, and needs an ``api_key``.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        ssl_certfile: the certificate, in PEM, with which the server speaks HTTPS; this and the next three are
            uvicorn's own options.
        ssl_keyfile: its key, where that is in a file of its own.
        ssl_keyfile_password: the password of the key.
        ssl_ca_certs: certificates of which a client must have one, so that only known clients connect.
        grace: seconds in which running requests may finish after a signal to stop.
    """

    models: Annotated[dict[str, Any], BeforeValidator(by_name)] = Field(default={})
    scorers: Annotated[dict[str, Any], BeforeValidator(by_name)] = Field(
        default={"mini": "mini"}, min_length=1
    )
    cache: bool | str | Path | None = None
    timeout: Seconds = 300.0
    max_requests: Count = 64
    max_waiting: int = Field(default=256, ge=0)
    max_body: Count = 4 * 2**20
    max_traces: Count = 128
    max_trace_characters: Count = 1_000_000
    keep_alive: Seconds = 5.0
    api_key: SecretStr | None = None
    cors_origins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_keyfile_password: SecretStr | None = None
    ssl_ca_certs: Path | None = None
    grace: Seconds = 30.0

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> ServerConfig:
        """Read a configuration from a TOML file.

        Args:
            path: the file. Its keys are the settings; tables ``[models.NAME]`` and ``[scorers.NAME]`` name models and
                scorers. ``"os.environ/NAME"`` in ``params``, ``api_key`` and ``ssl_keyfile_password`` stands for an
                environment variable.
            **changes: settings that win over those of the file. Models, scorers and parameters are added to its own.

        Raises:
            ConfigurationError: the file cannot be read, holds a key that is not known (the message names the nearest
                that is), or a setting cannot work.
        """
        from me2sdk.adapters.openai_server.config_file import read_config

        return read_config(Path(path), changes)

    def of_model(self, name: str) -> AnswerSettings:
        """The settings of a served model: its own ones, and for the rest the server's.

        Args:
            name: the name that clients use.
        """
        model = self.models[name]
        if not isinstance(model, ModelConfig):
            return self
        own = model.own
        if "params" in own:
            own["params"] = {**self.params, **own["params"]}
        return self.model_copy(update=own)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value() if key is not None else "-"
        if not text.strip() or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the key is empty or holds characters that a header cannot carry")
        return key

    @model_validator(mode="after")
    def _check_models(self) -> ServerConfig:
        known = ", ".join(self.models) or "none"
        for name, model in self.models.items():
            settings = self.of_model(name)
            try:
                settings.check()
            except ConfigurationError as error:
                raise ConfigurationError(f"model {name}: {error}") from None
            if settings.escalate not in (None, *self.models):
                raise ConfigurationError(f"escalate is {settings.escalate!r}, and the models are {known}")
            if isinstance(model, ModelConfig) and model.scorer not in (None, *self.scorers):
                raise ConfigurationError(
                    f"model {name}: scorer is {model.scorer!r}, and the scorers are {', '.join(self.scorers)}"
                )
        if self.escalate not in (None, *self.models):
            raise ConfigurationError(f"escalate is {self.escalate!r}, and the models are {known}")
        return self

    @model_validator(mode="after")
    def _check_doors(self) -> ServerConfig:
        if "*" in self.cors_origins and self.api_key is None:
            raise ConfigurationError(
                "cors_origins lets every web page spend on this account; name the origins, or set api_key"
            )
        if self.ssl_certfile is None and (self.ssl_keyfile or self.ssl_keyfile_password or self.ssl_ca_certs):
            raise ConfigurationError("the other ssl options need ssl_certfile")
        return self
