"""How ``me2 serve`` is told to choose; what the server makes of it is in ``tests/adapters/test_openai_server.py``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs

pytestmark = needs("starlette")
Me2 = Callable[..., Any]
CHOICE = ("select", "answer", "stop", "min_confidence", "escalate")


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations of servers that would have been started."""
    from me2sdk.adapters import openai_server

    started: list[Any] = []
    monkeypatch.setattr(openai_server, "serve", lambda config, **options: started.append(config))
    return started


def test_agreement_decides_unless_told_otherwise(me2: Me2, configs: list[Any]) -> None:
    assert me2("serve", "openai/test").code == 0
    assert [getattr(configs[0], name) for name in CHOICE] == ["auto", "auto", None, None, None]


def test_options_say_how_to_choose(me2: Me2, configs: list[Any]) -> None:
    models = ["--model", "weak=openai/weak", "--model", "strong=openai/strong"]
    told = ["--select", "vote", "--answer", r"#### (\d+)", "--min-confidence", "0.7", "--escalate", "strong"]
    assert me2("serve", *models, *told, "--stop", "0.95").code == 0
    assert me2("serve", *models, "--stop", "sure").code == 0
    assert me2("serve", *models, "--answer", "none").code == 0
    assert [getattr(configs[0], name) for name in CHOICE] == ["vote", r"#### (\d+)", 0.95, 0.7, "strong"]
    assert (configs[1].stop, configs[2].answer) == ("sure", None)


def test_options_win_over_a_file_and_what_is_not_given_does_not(
    me2: Me2, configs: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "server.toml"
    path.write_text('n = 2\nanswer = "text"\nport = 9\nparams = {top_p = 0.5}\nmodels = {a = "openai/a"}\n')
    given = [
        "--config",
        str(path),
        "-n",
        "8",
        "--answer",
        "auto",
        "--temperature",
        "0.7",
        "--model",
        "b=openai/b",
    ]
    assert me2("serve", *given).code == 0
    assert me2("serve", "--config", str(path)).code == 0
    told, plain = configs
    assert (told.n, told.answer, told.port, list(told.models)) == (8, "auto", 9, ["a", "b"])
    assert told.params == {"top_p": 0.5, "temperature": 0.7}
    assert (plain.n, plain.answer, plain.port, list(plain.scorers)) == (2, "text", 9, ["mini"])
    path.write_text("max_tracez = 3")
    wrong = me2("serve", "--config", str(path))
    assert (wrong.code, "Did you mean max_traces?" in wrong.err) == (2, True)


def test_pages_and_certificates(me2: Me2, configs: list[Any]) -> None:
    origins = ["--cors-origin", "https://a.example", "--cors-origin", "https://b.example"]
    assert me2("serve", *origins, "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem").code == 0
    assert configs[0].cors_origins == ("https://a.example", "https://b.example")
    assert [str(configs[0].ssl_certfile), str(configs[0].ssl_keyfile)] == ["cert.pem", "key.pem"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stop", "END"], "--stop is a chance such as 0.95, or sure; it is 'END'."),
        (["--stop", "0.2"], "at least 0.5"),
        (["--answer", "nothing"], "There is no answer='nothing'"),
        (["--min-confidence", "2"], "above 0 and at most 1; it is 2.0."),
        (["--escalate", "openai/strong"], "the models are openai/test."),
        (["--select", "best", "--stop", "sure"], "counts votes"),
        (["--cors-origin", "*"], "set api_key"),
    ],
)
def test_what_cannot_work_is_one_line(me2: Me2, configs: list[Any], arguments: list[str], said: str) -> None:
    done = me2("serve", "openai/test", *arguments)
    assert (done.code, said in done.err, done.err.count("\n")) == (2, True, 1)
    assert ".." not in done.err
    assert not configs
