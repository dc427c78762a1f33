from __future__ import annotations

import pytest

from me2sdk.annotate import Annotation
from me2sdk.annotate.rules import problem, usable
from me2sdk.dag import AttachmentPool, DAGBuilder
from me2sdk.schema import Step


@pytest.fixture
def builder() -> DAGBuilder:
    """Main path 0, 1, 4, 5; the end of another branch is 3."""
    builder = DAGBuilder()
    for action, parents in [
        ("continue", ()),
        ("continue", ()),
        ("continue", ()),
        ("continue", ()),
        ("backtrack", (1,)),
        ("continue", ()),
    ]:
        builder.add(Step("x"), action, parents)
    assert builder.pool() == AttachmentPool((0, 1, 4, 5), (3,))
    return builder


@pytest.mark.parametrize(
    ("action", "parents", "attached"),
    [
        ("continue", (), (5,)),
        ("continue", (1,), (5,)),
        ("backtrack", (4,), (4,)),
        ("backtrack", (0, 1), (1,)),  # the latest that is valid
        ("backtrack", (1, 5, 99), (1,)),
        ("backtrack", (5,), None),
        ("backtrack", (2,), None),
        ("backtrack", (), None),
        ("merge", (3, 5), (3, 5)),
        ("merge", (3, 0), (0, 3)),
        ("merge", (3,), None),
        ("merge", (4, 5), None),
        ("merge", (3, 4, 5), None),
        ("merge", (3, 99), None),
        ("merge", (2, 5), None),
        ("stop", (5,), None),
    ],
)
def test_rules(
    builder: DAGBuilder, action: str, parents: tuple[int, ...], attached: tuple[int, ...] | None
) -> None:
    found = usable(Annotation(action, parents, "why"), builder, builder.pool())
    assert found == (None if attached is None else (action, attached, "why"))


def test_ids_outside_the_pool_are_refused(builder: DAGBuilder) -> None:
    pool = builder.pool(max_main=2, max_leaves=0)
    assert pool == AttachmentPool((0, 5), ())
    assert usable(Annotation("backtrack", (4,)), builder, pool) is None
    assert usable(Annotation("merge", (3, 5)), builder, pool) is None
    assert usable(Annotation("backtrack", (0,)), builder, pool) is not None


def test_a_problem_names_the_choices(builder: DAGBuilder) -> None:
    pool = builder.pool()
    assert "(0, 1, 4); it named 5" in problem(Annotation("backtrack", (5,)), pool)
    assert "branch end (3)" in problem(Annotation("merge", (4, 5)), pool)
    assert "it named no id" in problem(Annotation("merge"), pool)
    assert "no action" in problem(Annotation("x" * 100), pool)
    assert "impossible" in problem(Annotation("merge", (0, 5)), AttachmentPool((0, 5), ()))
