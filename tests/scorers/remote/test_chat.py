"""`RemoteTRMScorer` with models that read a chat, and with other parts of a trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs
from support.scoring_server import ScoringServer

from me2sdk import Trace
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.scorers import RemoteTRMScorer

QUESTION: list[dict[str, object]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "What is 17 times 3?"},
]
TRACES = [
    Trace.from_text("<think>17 * 3 = 51.</think>It is 51."),
    Trace.from_text("It is 51."),
    Trace.from_text("<think>51</think>It is 51, of course."),
]
READ = ["17 * 3 = 51.\n\nIt is 51.", "It is 51.", "51\n\nIt is 51, of course."]


def chat(answer: str) -> list[dict[str, object]]:
    return [*QUESTION, {"role": "assistant", "content": answer}]


def test_vllm_is_sent_messages() -> None:
    with ScoringServer(score=lambda chats: [len(one[-1]["content"]) / 7 for one in chats]) as server:
        scorer = RemoteTRMScorer(server.url, api="vllm", model="rm", template="chat")
        assert scorer.score(QUESTION, TRACES) == [len(answer) / 7 for answer in READ]
        assert (scorer.template, scorer.reads) == ("chat", "both")
    assert {path for path, _ in server.requests} == {"/classify"}
    bodies = sorted(
        (body for _, body in server.requests), key=lambda body: READ.index(body["messages"][-1]["content"])
    )
    assert bodies == [{"model": "rm", "messages": chat(answer), "use_activation": False} for answer in READ]


@needs("transformers", "torch")
def test_sglang_is_sent_the_tokens_of_the_chat(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from me2sdk.testing import tiny_reward_model

    tokenizer = AutoTokenizer.from_pretrained(tiny_reward_model(tmp_path / "model"))
    tokenizer.chat_template = (
        "{{ bos_token }}{% for message in messages %}"
        "{{ message['role'] }}: {{ message['content'] }}<eos>{% endfor %}"
    )
    tokenizer.save_pretrained(tmp_path / "model")
    with ScoringServer(score=lambda rows: [len(ids) / 7 for ids in rows]) as server:
        scorer = RemoteTRMScorer(server.url, tokenizer=str(tmp_path / "model"), batch_size=2)
        assert scorer.template == "chat"
        scores = scorer.score(QUESTION, TRACES)
    expected = [tokenizer.apply_chat_template(chat(answer), return_dict=False) for answer in READ]
    assert scores == [len(ids) / 7 for ids in expected]
    sent = [body["input"] for _, body in server.requests]
    assert sorted(map(len, sent)) == [1, 2]
    assert sorted(ids for batch in sent for ids in batch) == sorted(expected)


@pytest.mark.parametrize("api", ["sglang", "vllm", "tei"])
def test_the_part_that_is_asked_for_is_sent(api: Any) -> None:
    with ScoringServer(score=lambda texts: [len(text) / 7 for text in texts]) as server:
        for reads, answers in (("response", ["It is 51."] * 2), ("both", READ[:2])):
            scorer = RemoteTRMScorer(server.url, api=api, reads=reads)  # type: ignore[arg-type]
            assert scorer.score("Q", TRACES[:2]) == [len(f"Q\n{answer}") / 7 for answer in answers]
        with pytest.raises(InvalidTraceError, match="Trace 0 has no response"):
            RemoteTRMScorer(server.url, api=api, reads="response").score("Q", [Trace(reasoning="51")])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api": "sglang", "template": "chat"}, "pass tokenizer="),
        ({"api": "tei", "template": "chat"}, "cannot be sent chats"),
        ({"api": "tei", "tokenizer": "some/model"}, "cannot be sent chats"),
        ({"api": "vllm", "tokenizer": "some/model"}, "Leave it out"),
        ({"api": "sglang", "template": "plain", "tokenizer": "some/model"}, "Leave it out"),
        ({"template": "chatml"}, "template is"),
        ({"reads": "all"}, "reads is"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RemoteTRMScorer("http://localhost:1", **options)


@needs("transformers")
def test_a_tokenizer_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    scorer = RemoteTRMScorer("http://localhost:1", tokenizer=str(tmp_path))
    with pytest.raises(ConfigurationError, match=f"{tmp_path}.* could not be loaded"):
        scorer.score("Q", TRACES)


def test_a_tokenizer_needs_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigurationError, match=r"needs transformers .*me2sdk\[local\]"):
        RemoteTRMScorer("http://localhost:1", tokenizer="some/model").score("Q", TRACES)


def test_plain_text_for_a_model_that_is_not_known_is_a_guess_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        assert RemoteTRMScorer("http://localhost:1", model="some/guessed-rm").template == "plain"
    (record,) = caplog.records
    assert "some/guessed-rm" in record.getMessage()
    assert record.levelname == "WARNING"


def test_nothing_is_guessed_where_it_is_known_or_said(caplog: pytest.LogCaptureFixture) -> None:
    RemoteTRMScorer("http://localhost:1")
    RemoteTRMScorer("http://localhost:1", model="zzzhr97/TRM-8B")
    RemoteTRMScorer("http://localhost:1", model="some/other-rm", template="plain")
    RemoteTRMScorer("http://localhost:1", model="some/other-rm", api="vllm", template="chat")
    assert caplog.records == []
