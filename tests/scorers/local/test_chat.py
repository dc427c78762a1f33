"""`TRMScorer` with models that read a chat template, and how it finds out which they read."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Trace
from me2sdk.scorers import TRMScorer

torch = pytest.importorskip("torch", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")

from me2sdk.scorers.local.packed import PackedModel  # noqa: E402
from me2sdk.scorers.local.reward_model import RewardModel  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402

# As Llama 3: a special token first, and trimmed contents.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<{{ message['role'] }}>\n{{ message['content'] | trim }}<eos>\n"
    "{% endfor %}{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
QUESTION = "What is 17 times 3?"
CHAT: list[dict[str, object]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": QUESTION},
]
TRACES = [
    Trace.from_text("<think>17 * 3 = 51.</think>It is 51."),
    Trace.from_text("It is 51. " * 20),
    Trace(reasoning="Ünïcödé 思考 🤔"),
]
READ = ["17 * 3 = 51.\n\nIt is 51.", ("It is 51. " * 20).strip(), "Ünïcödé 思考 🤔"]


def write(path: Path, template: str | None = TEMPLATE, architecture: Any = "llama") -> Path:
    """A tiny reward model whose tokenizer has a chat template."""
    tiny_reward_model(path, architecture=architecture)
    if template is not None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "llama")


def conversation(question: Any, answer: str) -> list[dict[str, Any]]:
    asked = [{"role": "user", "content": question}] if isinstance(question, str) else question
    return [*asked, {"role": "assistant", "content": answer}]


def by_hand(path: Path, question: Any, answers: list[str]) -> list[float]:
    """The scores of whole chats, one at a time, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    found = []
    for answer in answers:
        inputs = tokenizer.apply_chat_template(
            conversation(question, answer), return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            found.append(float(model(**inputs).logits))
    return found


@pytest.mark.parametrize("way", ["packed", "padded"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("question", [QUESTION, CHAT], ids=["text", "messages"])
def test_scores_are_those_of_whole_chats_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, way: str, question: Any
) -> None:
    if way == "padded":
        monkeypatch.setattr(PackedModel, "of", lambda *args: None)
    path = write(tmp_path / "model", architecture=architecture)
    scorer = TRMScorer(str(path), template="chat")
    expected = by_hand(path, question, READ)
    assert scorer.score(question, TRACES) == pytest.approx(expected, abs=1e-4)
    # The question is kept by now.
    assert scorer.score(question, TRACES[::-1]) == pytest.approx(expected[::-1], abs=1e-4)
    plain = TRMScorer(str(path), template="plain").score(question, TRACES)
    assert all(abs(a - b) > 0.01 for a, b in zip(plain, expected, strict=True))


def watched(scorer: TRMScorer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int]]]:
    """What the model behind ``scorer`` is fed: the tokens of each text, and those shared with others."""
    fed: list[tuple[list[int], list[int]]] = []
    scores = PackedModel.scores

    def watch(self: PackedModel, rows: list[list[int]], shared: list[list[int]]) -> Any:
        fed.extend(zip(rows, shared, strict=True))
        return scores(self, rows, shared)

    monkeypatch.setattr(PackedModel, "scores", watch)
    scorer.load()
    return fed


def test_all_that_precedes_the_answer_is_shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = TRMScorer(str(folder), template="chat")
    fed = watched(scorer, monkeypatch)
    scorer.score(CHAT, TRACES)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    before = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert [shared for _, shared in fed] == [before] * 3
    whole = [
        tokenizer.apply_chat_template(
            conversation(CHAT, text), return_dict=False, add_generation_prompt=False
        )
        for text in READ
    ]
    assert sorted(row for row, _ in fed) == sorted(whole)


def test_a_long_answer_loses_its_middle_and_keeps_the_end_of_its_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(folder), template="chat", max_tokens=100)
    fed = watched(scorer, monkeypatch)
    scores = scorer.score(QUESTION, ["y" * 300])
    ((row, _),) = fed
    text = transformers.AutoTokenizer.from_pretrained(folder).decode(row)
    assert (len(row), scores.truncated[0] > 200) == (100, True)
    assert text.startswith("<bos><user>")
    assert text.endswith("y<eos>\n")


def test_without_a_question_the_user_says_nothing(folder: Path) -> None:
    expected = by_hand(folder, "", ["It is 51."])
    assert TRMScorer(str(folder), template="chat").score(None, ["It is 51."]) == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("reads", ["reasoning", "response", "both"])
@pytest.mark.parametrize("template", ["plain", "chat"])
def test_the_part_that_is_asked_for_is_read(folder: Path, template: Any, reads: Any) -> None:
    text = {"reasoning": "17 * 3 = 51.", "response": "It is 51.", "both": READ[0]}[reads]
    scorer = TRMScorer(str(folder), template=template, reads=reads)
    bare = TRMScorer(str(folder), template=template, reads="reasoning")
    expected = bare.score(QUESTION, [Trace(reasoning=text)])
    assert scorer.score(QUESTION, TRACES[:1]) == pytest.approx(expected, abs=1e-4)


def test_of_a_chat_all_is_read_and_of_plain_text_the_reasoning(folder: Path) -> None:
    assert TRMScorer(str(folder), template="chat").load().reads == "both"
    assert TRMScorer(str(folder), template="plain").load().reads == "reasoning"
    assert TRMScorer("mini").load().template == "plain"


def test_a_trace_without_a_response_is_named(folder: Path) -> None:
    with pytest.raises(InvalidTraceError, match="Trace 2 has no response"):
        TRMScorer(str(folder), template="plain", reads="response").score(QUESTION, TRACES)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "guess" in record.getMessage()]


def test_a_template_that_is_guessed_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(write(tmp_path / "some-reward-model"))
    assert TRMScorer(path).load().template == "chat"
    assert TRMScorer(path).load().template == "chat"
    (warning,) = warnings(caplog)
    assert path in warning
    assert caplog.records[-1].levelno == logging.WARNING


def test_nothing_is_guessed_where_it_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bare = write(tmp_path / "bare", template=None)
    paper = write(tmp_path / "TRM-8B")
    trained = write(tmp_path / "trained" / "merged")
    for name in ("report.json", "settings.json"):
        (trained.parent / name).write_text("{}")
    said = write(tmp_path / "said")
    config = json.loads((said / "config.json").read_text())
    (said / "config.json").write_text(json.dumps({**config, "me2_template": "plain"}))
    for path in (bare, paper, trained, said):
        assert TRMScorer(str(path)).load().template == "plain"
        assert TRMScorer(str(path), template="plain").load().template == "plain"
    assert TRMScorer(str(paper), template="chat").load().template == "chat"
    assert warnings(caplog) == []


def test_a_model_without_a_chat_template_reads_no_chat(tmp_path: Path) -> None:
    path = write(tmp_path / "model", template=None)
    with pytest.raises(ConfigurationError, match="has no chat template"):
        TRMScorer(str(path), template="chat").load()


def test_a_question_that_the_template_refuses_is_an_error_of_that_question(tmp_path: Path) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    scorer = TRMScorer(str(write(tmp_path / "model", strict + TEMPLATE)), template="chat")
    with pytest.raises(ScoringError, match="system, user: System role not supported"):
        scorer.score(CHAT, ["It is 51."])
    assert len(scorer.score(QUESTION, ["It is 51."])) == 1


def test_a_template_that_hides_the_answer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model", "{{ messages[0]['content'] }}")
    with pytest.raises(ConfigurationError, match="does not show what the assistant says"):
        TRMScorer(str(path), template="chat").score(QUESTION, ["It is 51."])


@pytest.mark.parametrize(
    "options",
    [
        {"reads": "all"},
        {"template": "chatml"},
        {"model": "mini", "reads": "both"},
        {"model": "mini", "template": "chat"},
    ],
)
def test_options_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"reads is None|template is|takes no options"):
        TRMScorer(**{"model": "some/model", **options})


@pytest.mark.parametrize("adapter", [False, True])
def test_what_is_trained_and_quantized_here_says_that_it_reads_plain_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, adapter: bool
) -> None:
    for package in ("trl", "peft", "datasets", "bitsandbytes"):
        pytest.importorskip(package, reason="needs the extra [train]")
    from me2sdk.train import (
        LoraConfig,
        Preference,
        RewardModelConfig,
        quantize_checkpoint,
        train_reward_model,
        write_preferences,
    )

    pair = Preference(question="2 + 2?", chosen=TRACES[0], rejected=TRACES[1])
    write_preferences(tmp_path / "pairs.jsonl", [pair] * 4)
    report = train_reward_model(
        RewardModelConfig(
            base=str(write(tmp_path / "base")),
            output=str(tmp_path / "trained"),
            train=[str(tmp_path / "pairs.jsonl")],
            validation=None,
            max_steps=1,
            lora=LoraConfig() if adapter else None,
            merged=adapter,
        )
    )
    whole = Path(report.output) / "merged" if adapter else Path(report.output)
    (Path(report.output) / "report.json").unlink()  # the config alone has to say it
    quantize_checkpoint(whole, tmp_path / "int8", quantization="int8", device="cpu")
    for path in (Path(report.output), whole, tmp_path / "int8"):
        assert json.loads((path / "config.json").read_text())["me2_template"] == "plain"
        assert TRMScorer(str(path)).load().template == "plain"
    assert warnings(caplog) == []


def test_readings_are_compared_by_me2_parity(folder: Path) -> None:
    from typer.testing import CliRunner

    from me2sdk.cli import app

    def verdict(*specs: str) -> str:
        done = CliRunner().invoke(app, ["parity", *(f"{folder},{spec}" for spec in specs), "--json"])
        found: str = json.loads(done.stdout)["verdict"]
        return found

    assert verdict("template=chat", "template=plain") == "different"
    # The bundled traces are reasoning and response at once.
    assert verdict("template=chat,reads=response", "template=chat,reads=reasoning") == "same"


def test_a_bare_reward_model_finds_out_by_itself(folder: Path) -> None:
    model = RewardModel(
        str(folder), quantization=None, device="cpu", dtype=None, max_tokens=None, batch_tokens=None,
        trust_remote_code=False, revision=None,
    )  # fmt: skip
    assert model.template == "chat"
    ((before, answer),) = model.parts([(QUESTION, "It is 51.")])
    assert (before, answer) == (f"<bos><user>\n{QUESTION}<eos>\n<assistant>\n", "It is 51.<eos>\n")
