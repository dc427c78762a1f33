"""How much would best-of-k help? Exact curves from one set of scored samples (here: made up)."""

import random

from me2sdk import best_of_n_curve, pass_at_k

rng = random.Random(0)
correct = [[rng.random() < 0.4 for _ in range(16)] for _ in range(200)]
scores = [[right + rng.gauss(0, 1.5) for right in row] for row in correct]  # a scorer that knows a little

curve = best_of_n_curve(scores, correct)
for k in (1, 2, 4, 8, 16):
    low, high = curve.low[k - 1], curve.high[k - 1]
    print(
        f"best of {k:2}: {curve.accuracy[k - 1]:.1%} ({low:.1%} to {high:.1%}); at best {pass_at_k(correct, k):.1%}"
    )
