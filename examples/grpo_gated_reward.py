"""The gated reward of GRPO on a few completions: right and lean, right and wordy, wrong, without an answer."""

import asyncio

from me2sdk.adapters.trl import GatedReward
from me2sdk.train import make_word_problems

problem = make_word_problems(1, seed=3, levels=[3])[0]
completions = {
    "lean": problem.solution(),
    "wordy": problem.solution(wordy=True),
    "wrong": problem.solution().replace(f"#### {problem.reference}", f"#### {int(problem.reference) + 1}"),
    "no answer": "It depends.\nWho knows?",
}

# trl.GRPOTrainer(reward_funcs=reward, ...) takes the same object; its dataset has a column "reference".
reward = GatedReward("mini", alpha=0.2)
rewarded = asyncio.run(
    reward.areward(
        [problem.question] * len(completions),
        list(completions.values()),
        [problem.reference] * len(completions),
    )
)
print(problem.question)
for name, item in zip(completions, rewarded, strict=True):
    thinking = "not asked for" if item.r_t is None else f"{item.r_t:+.2f}"
    print(f"{name:10} r_v {item.r_v}, r_t {thinking:>13}, reward {item.reward:.3f}")
