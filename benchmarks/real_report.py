"""The tables of real_models.py, from the answers that it keeps."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from me2sdk.annotate.answers import own_words, read_annotation, read_window
from me2sdk.dag import AttachmentPool
from me2sdk.judge.decisions import read_decision
from me2sdk.judge.reading import read_grade, read_order
from me2sdk.judge.summaries import read_summaries
from me2sdk.prompts import FilledPrompt, read_filled
from me2sdk.verify.model_verifier import read_yes_or_no

__all__ = ["agreement_rows", "judging_rows", "misreadings", "problem_of", "reading_rows"]

Record = dict[str, Any]
_NOTE = re.compile(r"An earlier answer could not be used: [^\n]*\n\n")
_EXAMPLES, _SHOWN = 2, 400  # of each kind of misreading, and characters of each end of an answer
_JUDGED = ("macro_efficiency", "macro_effectiveness", "micro_efficiency", "micro_effectiveness", "aggregate")


class Asked(NamedTuple):
    """One prompt and the answers to it, in order.

    Attributes:
        model: who was asked.
        kind: the prompt.
        form: "markers" or "json".
        calls: the answers, each with what is wrong with it, or None.
    """

    model: str
    kind: str
    form: str
    calls: list[tuple[Record, str | None]]


def problem_of(call: Record) -> str | None:
    """What is wrong with an answer, or None where it can be used."""
    prompt = read_filled(call["messages"])
    if prompt is None:
        return "the prompt is not one of the SDK"
    message = {"role": "assistant", "content": call["answer"], "reasoning_content": call["thinking"]}
    cut = call["finish_reason"] == "length"
    said = own_words(message, call["finish_reason"])
    if prompt.new_steps:
        found = _annotations_problem(prompt, said)
    elif prompt.parts:
        missing = prompt.parts.keys() - read_summaries(said).keys()
        found = "a part has no sentence" if missing else None
    elif prompt.name == "verify":
        found = None if read_yes_or_no(said) is not None else "no clear decision"
    elif prompt.name == "score_points":
        found = None if read_grade(said.strip()) is not None else "no clear grade"
    elif prompt.name == "score_list":
        found = None if read_order(said.strip(), len(prompt.listed)) else "no order of all traces"
    else:
        decision = read_decision(message, call["finish_reason"])
        found = None if decision.choice else decision.problem
    return f"{found}, cut off" if found and cut and "cut off" not in found else found


def _annotations_problem(prompt: FilledPrompt, said: str) -> str | None:
    new = list(prompt.new_steps)
    if len(new) > 1:
        found = read_window(said)
        return None if set(new) <= found.keys() else f"{'no' if not found else 'not every'} step can be read"
    one = read_annotation(said)
    pool = AttachmentPool(tuple(prompt.steps("main path")), tuple(prompt.steps("branch ends")))
    if one is None:
        return "no action can be read"
    if one.action == "backtrack":
        return None if {*one.parents} & {*pool.main_path[:-1]} else "backtrack to a step that is not offered"
    if one.action == "merge":
        named = set(one.parents)
        valid = (
            named <= {*pool.main_path, *pool.leaves}
            and len(named) > 1
            and len(named & {*pool.main_path}) < 2
            and named & {*pool.leaves}
        )
        return None if valid else "merge of steps that cannot be merged"
    return None


def _asked(records: Sequence[Record]) -> Iterator[Asked]:
    """Each prompt once; a prompt that names what was wrong belongs to the one before it."""
    for record in records:
        task = record["task"]
        found: dict[str, Asked] = {}
        for number, call in enumerate(record["calls"]):
            prompt = read_filled(call["messages"])
            kind = prompt.name if prompt else "unknown"
            if task["kind"] == "annotate" and kind == "annotate_window":
                kind = f"{kind} {task['window']}"
            text, notes = _NOTE.subn("", str(call["messages"][0]["content"]))
            first = len(call["messages"]) == 1 and not notes
            # The same prompt from its start again is another question: a repeat in another order.
            key = text if not first else f"{number} {text}"
            known = next((one for name, one in reversed(found.items()) if name.endswith(text)), None)
            if first or known is None:
                known = found[key] = Asked(record["model"], kind, task["form"], [])
            known.calls.append((call, problem_of(call)))
        yield from found.values()


def reading_rows(records: Sequence[Record]) -> list[Record]:
    """By model, prompt and form: shares of prompts answered readably, with tokens and seconds."""
    groups: dict[tuple[str, str, str], list[Asked]] = defaultdict(list)
    for one in _asked(records):
        groups[one.model, one.kind, one.form].append(one)
    return [
        {
            "model": model,
            "prompt": kind,
            "form": form,
            "at once": _share(group, lambda one: one.calls[0][1] is None),
            "after asking again": _share(group, lambda one: one.calls[0][1] is not None and _ended(one)),
            "never": _share(group, lambda one: not _ended(one)),
            "tokens in": _mean([call["prompt_tokens"] for one in group for call, _ in one.calls]),
            "tokens out": _mean([call["completion_tokens"] for one in group for call, _ in one.calls]),
            "seconds": _mean([call["seconds"] for one in group for call, _ in one.calls]),
        }
        for (model, kind, form), group in sorted(groups.items())
    ]


def _ended(one: Asked) -> bool:
    return any(problem is None for _, problem in one.calls)


def _share(group: Sequence[Asked], holds: Callable[[Asked], bool]) -> str:
    return _interval([float(holds(one)) for one in group])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None


def misreadings(records: Sequence[Record]) -> list[Record]:
    """The kinds of answers that could not be used, with how often and the start and end of some."""
    groups: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for one in _asked(records):
        for call, problem in one.calls:
            if problem is not None:
                groups[one.model, one.kind, one.form, problem].append(str(call["answer"] or ""))
    return [
        {
            "model": model,
            "prompt": kind,
            "form": form,
            "problem": problem,
            "count": len(answers),
            "examples": [_ends(answer) for answer in dict.fromkeys(answers)][:_EXAMPLES],
        }
        for (model, kind, form, problem), answers in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def _ends(answer: str) -> str:
    return answer if len(answer) <= 2 * _SHOWN else f"{answer[:_SHOWN]} […] {answer[-_SHOWN:]}"


def judging_rows(records: Sequence[Record]) -> list[Record]:
    """By model, form and subject: position bias, ties and agreement with the side that is known to be better."""
    rows = []
    for model, form in sorted({(one["model"], one["task"]["form"]) for one in records}):
        done = [
            one
            for one in records
            if (one["model"], one["task"]["form"], one["task"]["kind"]) == (model, form, "judge")
            and "votes" in one["result"]
        ]
        for subject in (*_JUDGED, "verdict") if done else ():
            rows.append({"model": model, "form": form, "subject": subject, **_judged(done, subject)})
    return rows


def _judged(done: Sequence[Record], subject: str) -> Record:
    """A verdict holds only where all votes agree, so it has no order of its own."""
    first: list[float] = []  # 1 where both orders name the trace that is shown first, or both the other one
    ties: list[float] = []
    right: list[float] = []
    for record in done:
        result = record["result"]
        votes = {order: decision for about, order, decision, _ in result["votes"] if about == subject} or {
            "both": result["preference"]
        }
        for decision in votes.values():
            if decision == "failed":
                continue
            ties.append(float(decision == "tie"))
            if decision != "tie":
                right.append(float(decision == result["better"]))
        if {*votes.values()} <= {"a", "b"} and len(votes) == 2:
            first.append(float(len({*votes.values()}) == 2))
    return {
        "pairs": len(done),
        "follows the order": _interval(first),
        "ties": _interval(ties),
        "right where no tie": _interval(right),
    }


def agreement_rows(records: Sequence[Record]) -> list[Record]:
    """By model and form: share of steps with the same parents, between ways of asking and with the local rules."""
    by_way: dict[tuple[str, str], dict[tuple[int, str], list[Any]]] = defaultdict(dict)
    for one in records:
        task, result = one["task"], one["result"]
        if task["kind"] == "annotate" and "nodes" in result:
            way = by_way[one["model"], task["form"]]
            way[task["item"], f"window {task['window']}" if task["window"] > 1 else "one"] = result["nodes"]
            way[task["item"], "local"] = result["local"]
    rows = []
    for (model, form), found in sorted(by_way.items()):
        row: Record = {"model": model, "form": form, "traces": len({item for item, _ in found})}
        for a, b in (("one", "window 4"), ("one", "window 8"), ("one", "local"), ("window 4", "local")):
            same: list[float] = []
            for item in {item for item, _ in found}:
                if (item, a) in found and (item, b) in found:
                    both = list(zip(found[item, a], found[item, b], strict=True))[
                        2:
                    ]  # the first two are given
                    same += [float(x == y) for x, y in both]
            row[f"{a} / {b}"] = _interval(same)
        for way in ("one", "local"):
            steps = [node[0] for (_, name), nodes in found.items() if name == way for node in nodes[2:]]
            row[f"backtracks, {way}"] = _mean([float(action == "backtrack") for action in steps])
        rows.append(row)
    return rows


def _interval(values: Sequence[float]) -> str:
    """A share with Wilson's 95% interval, which holds for few values too, and their number."""
    if not values:
        return "-"
    count, share, z = len(values), sum(values) / len(values), 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"{share:.2f} [{max(0.0, middle - half):.2f}, {min(1.0, middle + half):.2f}] of {count}"
