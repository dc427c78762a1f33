"""Log-probabilities of models in this process: what a forward pass over the finished text gives, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from me2sdk import best_of_n
from me2sdk.adapters.litellm_provider import register, unregister
from me2sdk.llm import load_litellm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from support.tiny_policy import tiny_policy  # noqa: E402 - it imports torch

CHAT = [{"role": "user", "content": "12 * 13?"}]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register()
    yield
    unregister()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tiny_policy(tmp_path_factory.mktemp("policy"))
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
    (folder / "chat_template.jinja").write_text(template)
    return str(folder)


def complete(policy: str, **params: Any) -> list[Any]:
    return list(load_litellm().completion(f"transformers/{policy}", CHAT, max_retries=0, **params).choices)


def next_tokens(policy: str) -> Callable[[list[int]], Any]:
    """The model's distribution of the token that follows the beginning of an answer, by a forward pass."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(policy)
    model = transformers.AutoModelForCausalLM.from_pretrained(policy)
    prompt = tokenizer.apply_chat_template(
        CHAT, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )

    def of(answer: list[int]) -> Any:
        ids = torch.cat([prompt["input_ids"], torch.tensor([answer], dtype=torch.long)], 1)
        with torch.inference_mode():
            return model(ids).logits[0, -1].log_softmax(-1)

    return of


def written(policy: str, logprobs: Any) -> list[float]:
    return [entry.logprob for entry in logprobs.content]


@pytest.mark.parametrize(
    "sampling", [{"temperature": 0}, {"temperature": 1.5, "seed": 3, "top_k": 20}], ids=["greedy", "sampled"]
)
def test_they_are_those_of_the_model_whatever_the_temperature(policy: str, sampling: dict[str, Any]) -> None:
    (choice,) = complete(policy, max_tokens=12, logprobs=True, top_logprobs=3, **sampling)
    distribution = next_tokens(policy)
    answer: list[int] = []
    for entry in choice.logprobs.content:
        expected = distribution(answer)
        assert [one.logprob for one in entry.top_logprobs] == pytest.approx(
            expected.topk(3).values.tolist(), abs=1e-4
        )
        # A byte may have no text of its own, so the token is told by its log-probability.
        answer.append(int((expected - entry.logprob).abs().argmin()))
        assert float(expected[answer[-1]]) == pytest.approx(entry.logprob, abs=1e-4)
    text = transformers.AutoTokenizer.from_pretrained(policy).decode(answer, skip_special_tokens=True)
    assert text == choice.message.content


def test_answers_of_one_call_have_their_own(policy: str) -> None:
    choices = complete(policy, n=3, max_tokens=40, temperature=2.0, seed=1, logprobs=True)
    values = [written(policy, choice.logprobs) for choice in choices]
    assert len({tuple(one) for one in values}) == 3
    assert all(entry.top_logprobs == [] for choice in choices for entry in choice.logprobs.content)


def test_no_logprobs_unless_asked_for(policy: str) -> None:
    (choice,) = complete(policy, max_tokens=4, temperature=0)
    assert getattr(choice, "logprobs", None) is None


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"top_logprobs": 21}, "less than or equal to 20"), ({"stream": True}, "A stream has no logprobs")],
)
def test_what_cannot_be_had_is_refused(policy: str, params: dict[str, Any], reason: str) -> None:
    refused = load_litellm().exceptions.UnsupportedParamsError
    with pytest.raises(refused, match=reason):
        list(
            load_litellm().completion(
                f"transformers/{policy}", CHAT, max_tokens=2, max_retries=0, logprobs=True, **params
            )
        )


@pytest.mark.parametrize("scorer", ["confidence", "confidence:entropy"])
def test_confidence_chooses_among_their_answers(policy: str, scorer: str) -> None:
    result = best_of_n(
        "12 * 13?",
        model=f"transformers/{policy}",
        n=4,
        max_tokens=12,
        temperature=1.5,
        seed=1,
        scorer=scorer,
        select="best",
    )
    assert result.failures == ()
    finished = [one.score for one in result.candidates if not one.trace.truncated]
    assert finished == sorted(finished, reverse=True)
    assert len({one.score for one in result.candidates}) == 4
