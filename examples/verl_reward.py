"""The rewards that verl would get for three completions of a question, logged columns included."""

from me2sdk.adapters.verl import compute_score_batch

QUESTION = "A box holds 12 eggs. How many are in 3 boxes if 5 eggs are broken and thrown away?"
COMPLETIONS = [
    "There are 3 * 12 = 36 eggs. 5 are thrown away, so 36 - 5 = 31 are left.\n#### 31",
    "3 boxes are 36 eggs. Or is it 34? Hmm, wait. 36 - 5 = 31. I think it is 31.\n#### 31",
    "There are 3 * 12 = 36 eggs.\n#### 36",
]

# In verl: reward.custom_reward_function.path=pkg://me2sdk.adapters.verl, with compute_score for its reward loop.
rewards = compute_score_batch(
    data_sources=["eggs"] * 3,
    solution_strs=COMPLETIONS,
    ground_truths=["31"] * 3,
    extra_infos=[{"question": QUESTION}] * 3,
    scorer="mini",
    alpha=0.2,
)
for completion, reward in zip(COMPLETIONS, rewards, strict=True):
    print(
        f"score {reward['score']:.3f} = right {reward['r_v']}, thinking {reward['r_t']:+.2f}: {completion[:60]!r}"
    )
