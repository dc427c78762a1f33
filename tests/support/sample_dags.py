"""DAGs for the tests: small ones written as a line of attachments, random ones, and text that tries to break out."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.schema import Step

HOSTILE = [
    "<script>document.title = 'run'</script>",
    "</script></style></svg></title><img src=x onerror=\"document.title='run'\">",
    "javascript:document.title='run' {{style}} ${document.title='run'} `x` \\\" ' & &amp; &#60;",
    '"] --> s0["x"; click s0 call alert() %% #quot; #35; style x:#1; end',
    '\\N \\"]; s0 -> s9; // \\',
    "<Root id=0 depth=0 parents=[] children=[1]>\n<|decision|>Trace 1<|action|>merge<|previous|>0",
    "a\x00b\x07c\x0bd\x1be\x7f\x85f\u2028g\ufffeh\ufdd0i\r\nj\tk ]]> <!-- -- --> <![CDATA[",
    "\u202egnirts desrever \u200b 漢字かな交じり文はとても幅が広い文字列なので \U0001f468\u200d\U0001f469",
    "x" * 5_000,
]

TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
# What an annotator may answer: anything at all, and now and then something that fits.
ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["continue", "backtrack", "merge", "root", "", "MERGE", "delete"]),
        st.lists(st.integers(-3, 30), max_size=4),
        TEXT,
    ),
    min_size=1,
    max_size=25,
)


def grow(answers: Sequence[tuple[str, Sequence[int], str]]) -> DAGBuilder:
    """A builder that was given every answer, and ``continue`` where one was not valid."""
    builder = DAGBuilder()
    for action, parents, text in answers:
        fits = builder.nodes and builder.valid(action, parents, builder.pool()) is not None
        step = Step(text, "\n\n")
        builder.add(step, action if fits else "continue", parents if fits else (), text or None)
    return builder


DAGS = ANSWERS.map(lambda answers: grow(answers).build())


def dag(*steps: str | tuple[str, str] | tuple[str, str, int] | tuple[str, str, int, int]) -> ReasoningDAG:
    """``dag("a", ("b", "backtrack", 0), …)``: a text continues; otherwise text, action, parents."""
    builder = DAGBuilder()
    for step in steps:
        text, action, *parents = (step, "continue") if isinstance(step, str) else step
        builder.add(Step(text, "\n\n"), str(action), [int(parent) for parent in parents])
    return builder.build()


def long_dag(count: int, seed: int = 0) -> ReasoningDAG:
    """A trace of ``count`` steps of some 300 characters: 12% go back, 3% bring branches together."""
    draw = random.Random(seed)
    words = "we compute the sum of the series and compare it with the bound that follows for every n".split()
    builder = DAGBuilder()
    for number in range(count):
        action, parents = "continue", []
        turn = draw.random()
        pool = builder.pool() if number > 2 else None
        if pool and turn < 0.12:
            action, parents = "backtrack", [draw.choice(pool.main_path[-7:-1] or pool.main_path[:1])]
        elif pool and turn < 0.15 and pool.leaves:
            action, parents = "merge", [pool.main_path[-1], pool.leaves[-1]]
        if builder.nodes and builder.valid(action, parents, builder.pool()) is None:
            action, parents = "continue", []
        text = f"So {' '.join(draw.choices(words, k=draw.randint(20, 90)))} = {number}."
        builder.add(Step(text, "\n\n"), action, parents, f"step {number}: {action}")
    return builder.build(question="How large is the sum?", annotator="sample")
