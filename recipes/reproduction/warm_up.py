"""What both arms of GRPO start from: the policy after it has seen some worked solutions."""

from __future__ import annotations

import random
from typing import Any

from me2sdk.scorers.local import quiet_loading
from me2sdk.train._runs import LogFile, complete_checkpoint, find_model, no_deprecations
from me2sdk.train.grpo import GRPOConfig, make_word_problems
from me2sdk.train.grpo.data import prompt_row
from me2sdk.train.grpo.held_out import trainer_prompt
from recipes.reproduction.config import GSM8K
from recipes.reproduction.questions import read_rows
from recipes.reproduction.stages import Place

__all__ = ["start_of", "warm_up"]

_SEED = 99  # of the problems; GRPO draws its own with another
_SAVE = 10  # steps between two checkpoints


def start_of(place: Place) -> str:
    """Name or folder of the model that GRPO starts from."""
    if place.config.policy.warm_up.examples:
        return str(place.output / "warm_up")
    return str(place.config.grpo["model"])


def warm_up(place: Place) -> dict[str, Any]:
    """Train the policy on worked solutions, all of its weights; goes on from the last checkpoint."""
    settings = place.config.policy.warm_up
    if not settings.examples:
        return {"examples": 0}
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    folder = place.output / "warm_up"
    grpo = GRPOConfig.model_validate({**place.config.grpo, "output": str(folder)})
    if grpo.threads:
        torch.set_num_threads(grpo.threads)
    source = find_model(grpo.model)
    tokenizer = AutoTokenizer.from_pretrained(source)
    logs = LogFile(folder / "log.jsonl", place.on_progress)
    with no_deprecations(), quiet_loading():
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32),
            args=SFTConfig(
                str(folder / "checkpoints"),
                per_device_train_batch_size=settings.batch_size,
                num_train_epochs=settings.epochs,
                learning_rate=settings.learning_rate,
                warmup_steps=2,
                max_length=settings.max_length,
                logging_steps=1,
                save_steps=_SAVE,
                save_total_limit=1,
                report_to="none",
                disable_tqdm=True,
                bf16=False,
                use_cpu=not torch.cuda.is_available(),
                seed=place.config.seed,
            ),
            train_dataset=Dataset.from_list([_row(grpo, tokenizer, *one) for one in _solutions(place)]),
            processing_class=tokenizer,
            callbacks=[logs],
        )
        trainer.remove_callback(PrinterCallback)
        checkpoint = complete_checkpoint(folder / "checkpoints")
        with logs:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(folder))
    return {"examples": settings.examples, "steps": trainer.state.global_step}


def _solutions(place: Place) -> list[tuple[str, str]]:
    """Questions and solutions, in the form that GRPO's prompts ask for."""
    count = place.config.policy.warm_up.examples
    if place.config.policy.dataset == GSM8K:
        return [(row["question"], row["solution"]) for row in read_rows(place.questions("warm_up"))]
    rng = random.Random(place.config.seed)
    levels = place.config.grpo.get("problems", {}).get("levels")
    problems = make_word_problems(count, seed=_SEED, **({"levels": levels} if levels else {}))
    return [(problem.question, problem.solution(wordy=rng.random() < 0.5)) for problem in problems]


def _row(config: GRPOConfig, tokenizer: Any, question: str, solution: str) -> dict[str, Any]:
    """An example in the form of GRPO's prompts."""
    prompt = trainer_prompt(prompt_row(config, question, ""), tokenizer)["prompt"]
    said = [{"role": "assistant", "content": solution}] if tokenizer.chat_template else solution
    return {"prompt": prompt, "completion": said}
