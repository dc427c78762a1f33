from __future__ import annotations

import pytest

from me2sdk.llm import redaction


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-abcSECRET123. Find yours at …",
        "Incorrect API key provided: SECRET12345.",
        "Authorization: Bearer SECRETSECRET",
        "{'x-api-key': 'SECRETSECRET'}",
        '{"api_key": "SECRETSECRET"}',
        "http://user:SECRET@host/v1 refused",
        "GET http://host/v1?key=SECRETSECRET&n=1",
        "AIzaSySECRETSECRETSECRETSECRETSECRET",
        "gsk_SECRETSECRET hf_SECRETSECRET",
    ],
)
def test_what_looks_like_a_key_is_hidden(text: str) -> None:
    assert "SECRET" not in redaction.redact(text)
    assert "[hidden]" in redaction.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens, max_tokens: 5000 is too large",
        "task-specific risk-averse desk-top",
        "Unterminated string starting at: line 1 column 26 (char 25)",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert redaction.redact(text, {"x", "EMPTY"}) == text


def test_known_keys_are_hidden_in_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "from the environment")
    text = redaction.redact("a+b/c=d, a%2Bb%2Fc%3Dd, from the environment", {"a+b/c=d"})
    assert text == "[hidden], [hidden], [hidden]"


def test_long_text_is_cut_after_hiding() -> None:
    text = redaction.redact("x" * 995 + "secret-value" * 3, {"secret-value"})
    assert len(text) == 1001
    assert "secr" not in text


def test_names() -> None:
    secret = ["api_key", "aws_secret_access_key", "aws_session_token", "azure_ad_token", "token", "hf_token"]
    secret += [
        "azure_ad_token_provider",
        "vertex_credentials",
        "password",
        "x-api-key",
        "Authorization",
        "Cookie",
    ]
    plain = ["max_tokens", "stop_token", "model", "top_k", "prompt_cache_key", "api_base", "seed", "user"]
    params = {name: f"value of {name}" for name in [*secret, *plain]}
    assert sorted(redaction.without_secrets(params)) == sorted(plain)
    assert redaction.secret_values(params) == {f"value of {name}" for name in secret}
    nested = {
        "extra_headers": {"Authorization": "Bearer value", "X-Title": "t"},
        "tools": [{"password": "p"}],
    }
    assert redaction.without_secrets(nested) == {
        "extra_headers": {"X-Title": "t"},
        "tools": [{"password": "p"}],
    }
    assert redaction.secret_values(nested) == {"Bearer value", "value"}
