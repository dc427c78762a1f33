"""Configuration files, models with settings of their own, CORS and TLS: a real server before real upstreams."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.fake_provider import OpenAIServer, error
from support.needs import needs
from support.served import BAD, GOOD, QUESTION, Upstream, asked, complaint, post, served

from me2sdk import Budget
from me2sdk.adapters.openai_server import ModelConfig, ServerConfig, serving
from me2sdk.errors import ConfigurationError

ORIGIN = "https://chat.example.com"


def written(folder: Path, text: str) -> Path:
    path = folder / "server.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_upstreams_scorers_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_KEY", "sk-second")
    with OpenAIServer(GOOD) as first, OpenAIServer(BAD) as second:
        path = written(
            tmp_path,
            f"""
            n = 2
            port = 0
            answer = "none"
            [params]
            api_base = "{first.url}"
            api_key = "sk-first"
            temperature = 0.5
            [models]
            plain = "openai/one"
            [models.other]
            model = "openai/two"
            n = 3
            max_n = 3
            scorer = "longest"
            allow_params = ["top_k"]
            params = {{ api_base = "{second.url}", api_key = "os.environ/SECOND_KEY" }}
            [scorers]
            mini = "mini"
            longest = "longest"
            """,
        )
        with serving(ServerConfig.from_file(path)) as url, asked(url) as client:
            assert [model.id for model in client.models.list()] == ["plain", "other"]
            plain = client.chat.completions.create(model="plain", messages=QUESTION)
            other = client.chat.completions.create(model="other", messages=QUESTION, extra_body={"top_k": 3})
            refused = post(
                url, "chat/completions", {"model": "plain", "messages": QUESTION, "best_of": 4, "top_k": 3}
            )
            too_many = post(url, "chat/completions", {"model": "other", "messages": QUESTION, "best_of": 4})
    assert (plain.choices[0].message.content, plain.me2["n"], plain.me2["scorer"]) == (GOOD, 2, "mini")
    assert (other.choices[0].message.content, other.me2["n"], other.me2["scorer"]) == (BAD, 3, "longest")
    assert {request.key for request in first.requests} == {"sk-first"}
    assert {request.key for request in second.requests} == {"sk-second"}
    assert {request.body["model"] for request in first.requests} == {"one"}
    assert {request.body["temperature"] for request in (*first.requests, *second.requests)} == {0.5}
    assert complaint(refused)["param"] == "top_k"
    assert complaint(too_many)["code"] == "n_too_large"


def test_what_is_said_beside_a_file_wins_or_is_added(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        n = 2
        budget = { tokens = 100 }
        params = { temperature = 0.5, top_p = 0.9 }
        [scorers.short]
        scorer = "shortest"
        [models]
        a = "openai/a"
        """,
    )
    config = ServerConfig.from_file(path, n=3, models={"b": "openai/b"}, params={"temperature": 1.0})
    assert (config.n, list(config.models), config.params) == (
        3,
        ["a", "b"],
        {"temperature": 1.0, "top_p": 0.9},
    )
    assert (list(config.scorers), config.budget and config.budget.tokens) == (["short"], 100)
    assert list(ServerConfig.from_file(written(tmp_path, "n = 2")).scorers) == ["mini"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_tracez = 3", "max_tracez is not known. Did you mean max_traces?"),
        ("[models.m]\nmodel = 'x'\nscorers = 'mini'", "models.m.scorers is not known. Did you mean scorer?"),
        ("[models.m]\nmodel = 'x'\ntemprature = 1", "Did you mean params.temperature?"),
        ("[scorers.s]\nscorer = 'mini'\nquantisation = 'nf4'", "Did you mean quantization?"),
        ("zzz = 1", "Known are n, max_n,"),
        ("[models.m]\nn = 2", "models.m.model: Field required"),
        ("[models.m]\nmodel = 'x'\nn = 0", "models.m.n: Input should be greater"),
        ("[models.m]\nmodel = 'x'\nn = 100", "model m: n is 100, more than max_n"),
        ("[models.m]\nmodel = 'x'\nescalate = 'y'", "escalate is 'y', and the models are m"),
        ("[models.m]\nmodel = 'x'\nscorer = 'y'", "model m: scorer is 'y', and the scorers are mini"),
        ("[models.m]\nmodel = 'x'\nallow_params = ['api_base']", "may not come from clients"),
        ("[scorers.s]\nquantization = 'nf4'", "scorers.s.scorer says which"),
        ("[scorers.s]\nscorer = 'mini'\nquantization = 'nf4'", "scorers.s: "),
        ("models = 'x'", "models is a table"),
        ("api_key = 'os.environ/ME2_NOT_SET'", "the variable ME2_NOT_SET is not set"),
        ("[models.m]\nmodel='x'\nparams = {api_key = 'os.environ/ME2_NOT_SET'}", "models.m.params.api_key is"),
        ("budget = { eur = 3 }", "a budget has usd and tokens"),
        ("n = ", "is no TOML file"),
        ("ssl_keyfile = 'key.pem'", "need ssl_certfile"),
        ("cors_origins = ['*']", "set api_key"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_say(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=r"server\.toml") as caught:
        ServerConfig.from_file(path)
    assert said in str(caught.value)
    with pytest.raises(ConfigurationError, match="Check its name"):
        ServerConfig.from_file(tmp_path / "missing.toml")


def test_limits_of_a_model_are_its_own() -> None:
    upstream = Upstream()
    upstream.behave = lambda request: error(500) if request.body["model"] == "b" else GOOD
    models = {
        "a": "openai/a",
        "b": ModelConfig(model="openai/b", max_retries=1),
        "poor": ModelConfig(model="openai/c", budget=Budget(tokens=20)),
    }
    with upstream, served(upstream, models=models, n=1) as url:
        assert post(url, "chat/completions", {"messages": QUESTION}).status_code == 200
        assert post(url, "chat/completions", {"model": "b", "messages": QUESTION}).status_code == 502
        asked_for = [request.body["model"] for request in upstream.requests]
        poor = {"model": "poor", "messages": QUESTION, "max_tokens": 15}
        statuses = [post(url, "chat/completions", poor).status_code for _ in range(3)]
    assert asked_for == ["a", "b", "b"]
    assert statuses[-1] == 429
    assert [request.body["model"] for request in upstream.requests].count("c") == statuses.count(200) < 3


def test_a_stronger_model_is_asked_at_its_own_upstream() -> None:
    with (
        OpenAIServer(lambda request: f"The answer is {request.number}.") as weak,
        OpenAIServer(GOOD) as strong,
    ):
        params = {"api_base": strong.url, "api_key": "sk-strong"}
        models = {
            "weak": ModelConfig(model="openai/weak", escalate="strong", min_confidence=0.99),
            "strong": ModelConfig(model="openai/strong", params=params),
        }
        with served(weak, models=models, n=3) as url:
            answer = post(url, "chat/completions", {"model": "weak", "messages": QUESTION}).json()
    assert answer["me2"]["escalated"] is True
    assert {request.key for request in strong.requests} == {"sk-strong"}
    assert {request.body["model"] for request in strong.requests} == {"strong"}


# Web pages


def preflight(url: str, origin: str) -> httpx.Response:
    wanted = "authorization,content-type,x-me2-n,x-stainless-os"
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": wanted,
    }
    return httpx.options(f"{url}/v1/chat/completions", headers=headers)


def test_pages_of_named_origins_may_ask_and_see_how_sure_the_choice_is() -> None:
    with Upstream() as upstream, served(upstream, cors_origins=[ORIGIN], api_key="k") as url:
        allowed, refused = preflight(url, ORIGIN), preflight(url, "https://elsewhere.example")
        answer = post(
            url,
            "chat/completions",
            {"messages": QUESTION},
            headers={"Origin": ORIGIN, "Authorization": "Bearer k"},
        )
        denied = post(url, "chat/completions", {"messages": QUESTION}, headers={"Origin": ORIGIN})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "x-me2-n" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in refused.headers
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-me2-confidence" in answer.headers["access-control-expose-headers"]
    # A page may read why it was refused.
    assert (denied.status_code, denied.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_no_page_may_ask_unless_the_operator_says_so() -> None:
    with Upstream() as upstream, served(upstream) as url:
        answer = preflight(url, ORIGIN)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (405, False)


# HTTPS


def certificate(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me2sdk test")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    )
    return paths


@needs("cryptography")
def test_https_with_the_operators_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, b"open sesame")
    settings = {"ssl_certfile": cert, "ssl_keyfile": key, "ssl_keyfile_password": "open sesame"}
    with Upstream() as upstream, served(upstream, **settings) as url:
        trust = ssl.create_default_context(cafile=str(cert))
        answer = httpx.post(f"{url}/v1/chat/completions", json={"messages": QUESTION}, verify=trust)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{url}/healthz")
    assert url.startswith("https://")
    assert answer.json()["choices"][0]["message"]["content"] == GOOD


@needs("cryptography")
def test_only_clients_with_a_known_certificate_connect(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with served(None, ssl_certfile=cert, ssl_keyfile=key, ssl_ca_certs=cert) as url:
        trust = ssl.create_default_context(cafile=str(cert))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/healthz", verify=trust)
        trust.load_cert_chain(cert, key)
        assert httpx.get(f"{url}/healthz", verify=trust).status_code == 200


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_certificate_that_cannot_be_used(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "cert.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="Check the ssl options"), served(None, ssl_certfile=path):
        raise AssertionError("it started")


def test_settings_of_a_model_are_the_servers_but_for_its_own() -> None:
    config = ServerConfig(
        models={"a": "openai/a", "b": ModelConfig(model="openai/b", n=2, params={"top_p": 0.5})},
        n=4,
        params={"temperature": 0.3},
    )
    assert config.of_model("a") is config
    own: Any = config.of_model("b")
    assert (own.n, own.select, own.params) == (2, "auto", {"temperature": 0.3, "top_p": 0.5})
