"""How good the default choice is, how sure it says it is, and what stopping early saves, on answers of current models.

    python benchmarks/decision.py --data DIR [--champ WHEEL] [--cache DIR] [--quick]

DIR holds ``modern/`` and ``gsm8k/``; WHEEL is that of champ-dataset 1.0.0. Confidence is always that of a model that
was fitted on the other sets, and rewards are those of "mini" with weights that were fitted on the other sets. Intervals
are 95%, over questions. ``--quick`` takes 100 questions a set. With ``--cache`` groups and rewards are kept
there. Writes decision.json beside itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from report import save
from scipy.stats import beta, rankdata

from me2sdk import Candidate, Escalate, Trace
from me2sdk.sampling import Tally, decide, next_wave, tally
from me2sdk.scorers import Scorer, open_scorer
from me2sdk.scorers.mini import scorer as mini_scorer
from me2sdk.scorers.mini.scorer import bundled_weights
from me2sdk.train.evaluate.calibration import calibrate
from me2sdk.train.evaluate.estimates import estimate
from recipes.decision import SIZES, example, examples, fit
from recipes.mini_among import without_each
from recipes.modern import FREE_TEXT, SETS, SampledQuestion, read_free_text, read_set, subsets
from recipes.sources import read_champ, read_gsm8k_candidates

ONE_MODEL = ("MATH-500 x32", "GSM8K x32")
MOST = 900  # questions of one set
ALL = 0  # stands for all candidates
Floats = npt.NDArray[np.float64]


def percent(values: Sequence[float] | Floats, questions: Sequence[Any]) -> str:
    """The mean with its interval; all values of a question are drawn together."""
    found = estimate([float(value) for value in values], [str(one) for one in questions])
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def rescored(question: SampledQuestion, score: Callable[[int, Candidate], float | None]) -> SampledQuestion:
    candidates = tuple(
        one.model_copy(update={"score": score(place, one)}) for place, one in enumerate(question.candidates)
    )
    return SampledQuestion(
        question.question, candidates, question.groups, question.correct, question.models, question.source
    )


def picked(question: SampledQuestion, **how: Any) -> float:
    first = decide(question.candidates, question.groups, **how).candidates[0]
    place = next(i for i, one in enumerate(question.candidates) if one.index == first.index)
    return float(question.correct[place] >= 0.5)


def plain_vote(question: SampledQuestion) -> float:
    """A vote as most people write it: the most frequent answer, of equal ones the first, and its first candidate."""
    counts: dict[int, int] = defaultdict(int)
    first: dict[int, int] = {}
    for place, (one, group) in enumerate(zip(question.candidates, question.groups, strict=True)):
        if group is not None and not one.trace.truncated:
            counts[group] += 1
            first.setdefault(group, place)
    if not counts:
        return float(question.correct[0] >= 0.5)
    return float(
        question.correct[first[max(counts, key=lambda group: (counts[group], -first[group]))]] >= 0.5
    )


def parts(
    questions: Sequence[SampledQuestion], size: int, repeats: int
) -> Iterator[tuple[int, SampledQuestion]]:
    """Every question with ``size`` candidates, drawn ``repeats`` times, or with all of them; and its number."""
    for number, question in enumerate(questions):
        for got, part in subsets(question, (size,) if size else (), repeats, seed=1):
            if got == size or not size:
                yield number, part


def _apart(drawn: Iterable[tuple[int, SampledQuestion]]) -> tuple[list[int], list[SampledQuestion]]:
    """Numbers of questions, and the draws."""
    pairs = list(drawn)
    return [number for number, _ in pairs], [part for _, part in pairs]


WAYS: dict[str, Callable[[SampledQuestion], float]] = {
    "random": lambda part: float(np.mean([value >= 0.5 for value in part.correct])),
    "shortest": lambda part: float(
        part.correct[min(range(len(part.candidates)), key=lambda i: len(part.candidates[i].trace.reasoning))]
        >= 0.5
    ),
    "reward": lambda part: picked(part, select="best"),
    "plain vote": plain_vote,
    "vote": lambda part: picked(part, select="vote"),
    "weighted vote": lambda part: picked(part, select="weighted_vote"),
    "auto": lambda part: picked(part, select="auto"),
    "best possible": lambda part: float(max(part.correct) >= 0.5),
}


def choices(sets: dict[str, list[SampledQuestion]], repeats: int) -> list[dict[str, Any]]:
    """Accuracy of each way to choose; in brackets the interval of auto less vote."""
    rows = []
    for name, questions in sets.items():
        for size in (2, 4, 8, 16, ALL):
            drawn = list(parts(questions, size, repeats))
            if len(drawn) < 50:
                continue
            for mixed in (False, True):
                numbers, chosen = _apart(
                    (number, p) for number, p in drawn if not mixed or 0 < WAYS["random"](p) < 1
                )
                found = {way: [rule(part) for part in chosen] for way, rule in WAYS.items()}
                more = np.subtract(found["auto"], found["vote"])
                rows.append(
                    {
                        "set": name,
                        "n": size or "all",
                        "questions": "mixed" if mixed else "all",
                        "choices": len(chosen),
                        **{way: percent(values, numbers) for way, values in found.items()},
                        "auto - vote": percent(more, numbers),
                        "auto - plain vote": percent(
                            np.subtract(found["auto"], found["plain vote"]), numbers
                        ),
                    }
                )
        print(name, flush=True)
    return rows


def scorers(sets: dict[str, list[SampledQuestion]], repeats: int) -> list[dict[str, Any]]:
    """auto with other scorers than mini."""
    noise = random.Random(0)
    kinds: dict[str, Callable[[SampledQuestion], SampledQuestion]] = {
        "mini": lambda part: part,
        "noise": lambda part: rescored(part, lambda place, one: noise.random()),
        "mini upside down": lambda part: rescored(part, lambda place, one: -(one.score or 0.0)),
        "none": lambda part: rescored(part, lambda place, one: None),
    }
    rows = []
    for name, questions in sets.items():
        for size in (2, 4, 8, ALL):
            numbers, drawn = _apart(parts(questions, size, repeats))
            if len(drawn) < 50:
                continue
            row: dict[str, Any] = {
                "set": name,
                "n": size or "all",
                "random": percent([WAYS["random"](p) for p in drawn], numbers),
            }
            for kind, change in kinds.items():
                row[f"auto, {kind}"] = percent([WAYS["auto"](change(part)) for part in drawn], numbers)
            rows.append(row)
    return rows


def weightings(sets: dict[str, list[SampledQuestion]], repeats: int) -> list[dict[str, Any]]:
    """Ways to weight a vote by rewards that do not depend on their scale, and sigmoid, which does."""

    def ranks(scores: Floats) -> Floats:
        return np.asarray((rankdata(scores, "min") - 1) / len(scores))

    def standard(scores: Floats) -> Floats:
        return np.asarray((scores - scores.mean()) / (scores.std() or 1))

    rules: dict[str, Callable[[Floats], Floats]] = {
        "1 + share beaten / 2": lambda s: 1 + ranks(s) / 2,
        "vote, ties by reward": lambda s: 1 + 1e-6 * standard(s),
        "Borda (share beaten)": lambda s: ranks(s) + 1e-6,
        "sigmoid of standardised": lambda s: 1 / (1 + np.exp(-standard(s))),
        "softmax of standardised": lambda s: np.exp(standard(s)),
        "top half": lambda s: (ranks(s) >= 0.5) + 1e-6,
        "sigmoid of reward": lambda s: 1 / (1 + np.exp(-np.clip(s, -500, 500))),
    }
    hits: dict[str, list[float]] = defaultdict(list)
    for questions in sets.values():
        for size in (4, 8, ALL):
            found: dict[str, list[float]] = defaultdict(list)
            for _, part in parts(questions, size, repeats):
                scores = np.array([one.score for one in part.candidates], dtype=float)
                for rule, weigh in rules.items():
                    found[rule].append(picked(part, select="vote", weights=list(weigh(scores))))
            for rule, values in found.items():
                hits[rule].append(float(np.mean(values)))
    rows = [
        {"weight of a vote": rule, "right": f"{100 * np.mean(values):.2f}"} for rule, values in hits.items()
    ]
    return sorted(rows, key=lambda row: row["right"], reverse=True)


def calibration(
    sets: dict[str, list[SampledQuestion]], repeats: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Confidence of models that did not see the set, set by set, and all sets together in bins."""
    fitted = {name: examples(questions, repeats=repeats) for name, questions in sets.items()}
    rows: list[dict[str, Any]] = []
    pooled: list[tuple[float, bool]] = []
    for name, questions in sets.items():
        model = fit({other: fitted[other] for other in sets if other != name})
        for size in (2, 4, 8, 16, ALL):
            drawn = [(k, example(size, part, rewarded=True)) for k, part in parts(questions, size, repeats)]
            found = [(k, one) for k, one in drawn if one is not None]
            if len(found) < 50:
                continue
            said = [model.leader(one.features) for _, one in found]
            right = [one.right for _, one in found]
            if size != 2:
                pooled += zip(said, right, strict=True)
            rows.append({"set, not seen": name, "n": size or "all", **_calibrated(said, right)})
            rows[-1]["right"] = percent(right, [k for k, _ in found])
    together = calibrate("", "", [one for one, _ in pooled], [was for _, was in pooled])
    late = [row for row in rows if row["n"] != 2]
    last = {
        "confidence": "all, n of 4 and more",
        **_calibrated([one for one, _ in pooled], [was for _, was in pooled]),
        "mean ECE of a set": round(float(np.mean([row["ECE"] for row in late])), 3),
        "mean AUROC of a set": round(float(np.mean([row["AUROC"] for row in late])), 3),
    }
    table = [
        {
            "confidence": f"{one.low:.1f} to {one.high:.1f}",
            "choices": one.questions,
            "mean confidence": round(one.confidence, 3),
            "right": round(one.accuracy or 0.0, 3),
        }
        for one in together.bins
        if one.confidence is not None
    ]
    return rows, [*table, last]


def _calibrated(said: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    found = calibrate("", "", said, right)
    return {
        "choices": found.questions,
        "mean confidence": round(found.confidence or 0.0, 3),
        "right": round(found.accuracy or 0.0, 3),
        "ECE": round(found.ece or 0.0, 3),
        "AUROC": round(found.auroc or 0.0, 3),
    }


def beta_rule(votes: Tally, left: int) -> int:
    """One more, until the leader leads the second by chance .95, whatever is still to come."""
    return int(beta.sf(0.5, votes.leader + 1, votes.second + 1) < 0.95)


def stopping(sets: dict[str, list[SampledQuestion]], orders: int) -> list[dict[str, Any]]:
    """Samples used and accuracy, where candidates come in random orders."""
    rules: dict[str, Callable[[Tally, int], int]] = {
        **{f"stop={p}": functools.partial(next_wave, p) for p in (0.8, 0.9, 0.95, 0.99)},
        "stop=sure": functools.partial(next_wave, "sure"),
        "Beta rule .95": beta_rule,
    }
    rows = []
    for name in ONE_MODEL:
        questions = sets[name]
        for n in (32, 16, 8):
            draw = random.Random(n)
            lines = [(q, draw.sample(range(len(q.candidates)), n)) for q in questions for _ in range(orders)]
            asked = [question.question for question, _ in lines]
            full = [decide(part.candidates, part.groups) for q, line in lines if (part := q.part(line))]
            base = [right(q, one.candidates[0]) for (q, _), one in zip(lines, full, strict=True)]
            for rule, wave in rules.items():
                used, hits, changed = [], [], []
                for (question, line), whole, hit in zip(lines, full, base, strict=True):
                    count = stopped_at(question, line, wave)
                    used.append(count / n)
                    if count == n:
                        hits.append(hit)
                        changed.append(0.0)
                        continue
                    part = question.part(line[:count])
                    early = decide(part.candidates, part.groups).candidates[0]
                    hits.append(right(question, early))
                    changed.append(float(group(question, early) != group(question, whole.candidates[0])))
                rows.append(
                    {
                        "set": name,
                        "n": n,
                        "rule": rule,
                        "samples used, %": round(100 * statistics.fmean(used), 1),
                        "right": percent(hits, asked),
                        "points lost": percent(np.subtract(base, hits), asked),
                        "answer changed, %": round(100 * statistics.fmean(changed), 2),
                    }
                )
    return rows


def stopped_at(question: SampledQuestion, line: Sequence[int], wave: Callable[[Tally, int], int]) -> int:
    count = 0
    question = dataclasses.replace(question, rescore=None)  # votes alone decide
    while count < len(line):
        part = question.part(line[:count])
        more = wave(tally(part.candidates, part.groups), len(line) - count)
        if not more:
            break
        count += more
    return count


def place(question: SampledQuestion, chosen: Candidate) -> int:
    return next(i for i, one in enumerate(question.candidates) if one.index == chosen.index)


def right(question: SampledQuestion, chosen: Candidate) -> float:
    return float(question.correct[place(question, chosen)] >= 0.5)


def group(question: SampledQuestion, chosen: Candidate) -> int | None:
    return question.groups[place(question, chosen)]


def free_text(data: Path, scorers: Mapping[str, Scorer], cache: Path | None) -> list[dict[str, Any]]:
    """Mean grade of what is taken where most candidates hold no short answer."""
    rows = []
    for name in FREE_TEXT:
        questions = read_free_text(data, name, scorers[name], cache=cache)
        for size in (4, 8):
            grades: dict[str, list[float]] = defaultdict(list)
            numbers = []
            for number, part in parts(questions, size, 8 if len(questions) < 100 else 2):
                if 2 * sum(one.answer is not None for one in part.candidates) >= len(part.candidates):
                    continue
                numbers.append(number)
                graded = dict(zip((one.index for one in part.candidates), part.correct, strict=True))
                nothing: list[int | None] = [None] * len(part.candidates)
                grades["random"].append(statistics.fmean(part.correct))
                grades["first"].append(part.correct[0])
                ways: dict[str, tuple[Sequence[int | None], dict[str, Any]]] = {
                    "reward": (nothing, {"select": "best"}),
                    "vote among the few": (part.groups, {"select": "vote"}),
                    "nearest to the others": (nothing, {"compare": "similarity"}),
                }
                for way, (groups, how) in ways.items():
                    grades[way].append(graded[decide(part.candidates, groups, **how).candidates[0].index])
            rows.append(
                {
                    "set": name,
                    "n": size,
                    "choices": len(grades["random"]),
                    **{way: percent(values, numbers) for way, values in grades.items()},
                }
            )
    return rows


def old_sets(data: Path, champ: Path | None) -> list[dict[str, Any]]:
    """The older sets that the bundled scorer was measured on before."""
    from me2sdk.verify import group_answers

    mini = open_scorer("mini")
    found = {"GSM8K, 4 of GPT-3": read_gsm8k_candidates(data)}
    if champ is not None:
        found["CHAMP, 32 of 4 models"] = read_champ(champ)
    rows = []
    for name, sets in found.items():
        questions = []
        for one in sets:
            traces = [Trace.from_text(text, one.question) for text in one.traces]
            rewards = mini.score(one.question, traces)
            questions.append(
                SampledQuestion(
                    question=one.question,
                    candidates=tuple(
                        Candidate(index=i, trace=trace, answer=answer or None, score=reward)
                        for i, (trace, answer, reward) in enumerate(
                            zip(traces, one.answers, rewards, strict=True)
                        )
                    ),
                    groups=tuple(group_answers([answer or None for answer in one.answers])),
                    correct=tuple(map(float, one.correct)),
                    models=("",) * len(traces),
                    source=name,
                )
            )
        rows.append(
            {
                "set": name,
                "questions": len(questions),
                **{
                    way: percent([rule(one) for one in questions], range(len(questions)))
                    for way, rule in WAYS.items()
                },
            }
        )
    return rows


def escalation(sets: dict[str, list[SampledQuestion]]) -> list[dict[str, Any]]:
    """Eight answers of the weaker two thirds of the models, and below a confidence of .8 one of the best three."""
    rows = []
    for name in ("MATH level 5", "reasoning-gym", "MMLU-Pro"):
        skill: dict[str, list[float]] = defaultdict(list)
        for question in sets[name]:
            for model, good in zip(question.models, question.correct, strict=True):
                skill[model].append(good >= 0.5)
        order = sorted(
            (model for model in skill if len(skill[model]) > 30), key=lambda m: statistics.fmean(skill[m])
        )
        strong, weak = set(order[-3:]), set(order[: len(order) * 2 // 3])
        draw = random.Random(0)
        found: dict[str, list[float]] = defaultdict(list)
        said: list[tuple[float, float]] = []
        asked = 0
        for question in sets[name]:
            cheap = [i for i, model in enumerate(question.models) if model in weak]
            dear = [i for i, model in enumerate(question.models) if model in strong]
            if len(cheap) < 4 or not dear:
                continue
            part = question.part([*draw.sample(cheap, min(8, len(cheap))), draw.choice(dear)])
            alone = part.part(range(len(part.candidates) - 1))
            first = decide(alone.candidates, alone.groups)
            found["weaker alone"].append(right(part, first.candidates[0]))
            found["stronger alone"].append(float(part.correct[-1] >= 0.5))
            if first.confidence is not None and first.confidence >= Escalate("x").below:
                for way in ("joined", "one vote each"):
                    found[way].append(found["weaker alone"][-1])
                continue
            asked += 1
            for way, weight in (("joined", len(alone.candidates) / 2), ("one vote each", 1.0)):
                both = decide(part.candidates, part.groups, weights=[*[1.0] * len(alone.candidates), weight])
                found[way].append(right(part, both.candidates[0]))
                if way == "joined" and both.confidence is not None:
                    said.append((both.confidence, found[way][-1]))
        rows.append(
            {
                "set": name,
                "questions": len(found["joined"]),
                "stronger asked, %": round(100 * asked / len(found["joined"]), 1),
                **{way: percent(values, range(len(values))) for way, values in found.items()},
                "confidence after, right after": tuple(
                    round(float(np.mean(side)), 2) for side in zip(*said, strict=True)
                ),
            }
        )
    return rows


def timing(sets: dict[str, list[SampledQuestion]]) -> list[dict[str, Any]]:
    """Deciding alone: rewards and groups given."""
    text = "\n\n".join(
        one.trace.reasoning for question in sets["GSM8K and MATH, long"] for one in question.candidates
    )
    rows = []
    for count, length in ((8, 4000), (64, 1000), (64, 4000), (8, 40_000), (8, 80_000)):
        candidates = [
            Candidate(
                index=i,
                trace=Trace(reasoning=text[i * length : (i + 1) * length]),
                answer=str(i % 5),
                score=float(i),
            )
            for i in range(count)
        ]
        groups = [i % 5 for i in range(count)]
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            decide(candidates, groups)
            seconds.append(time.perf_counter() - started)
        rows.append(
            {
                "candidates": count,
                "characters each": length,
                "ms, median": round(1000 * statistics.median(seconds), 1),
                "ms, lowest to highest": f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds modern/ and gsm8k/")
    parser.add_argument("--champ", type=Path, help="wheel of champ-dataset 1.0.0")
    parser.add_argument("--cache", type=Path, help="folder that keeps groups and rewards")
    parser.add_argument("--quick", action="store_true", help="100 questions a set")
    options = parser.parse_args()
    most, repeats = (100, 1) if options.quick else (MOST, 2)
    # Parts of a question are scored again and again; all that was read is kept.
    mini_scorer._read_short = functools.lru_cache(maxsize=None)(mini_scorer._read)
    unseen = without_each(options.data, bundled_weights(), options.cache)
    sets = {name: read_set(options.data, name, unseen[name], most=most, cache=options.cache) for name in SETS}
    chosen = choices(sets, repeats)
    by_set, bins = calibration(sets, repeats)
    save(
        "decision",
        chosen,
        f"the default choice, on current models; confidence of models that did not see the set; fitted on n of {SIZES}",
        scorers=scorers(sets, repeats),
        weightings=weightings(sets, repeats),
        calibration=by_set,
        bins=bins,
        stopping=stopping(sets, 1 if options.quick else 6),
        escalation=escalation(sets),
        free_text=free_text(options.data, unseen, options.cache),
        old_sets=old_sets(options.data, options.champ),
        timing=timing(sets),
    )


if __name__ == "__main__":
    main()
