"""Write RESULTS.md from the JSON files that the benchmarks left beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bon_tables
from report import table

HERE = Path(__file__).resolve().parent
TITLES = {
    "demo": "The demo: which candidate is right",
    "decision": "The decision: which candidate is chosen, how sure that is, and when sampling may stop",
    "mini": "The bundled scorer",
    "pairs": "Scorers on preference pairs",
    "bon": "Best-of-N of scorers on real candidates",
    "confidence": "The generator's own confidence as a scorer",
    "probes": "Linear heads on frozen language models, judged on sets that they did not see",
    "tuned": "A small language model tuned to tell right from wrong traces",
    "reproduce_small": "The paper in small, on real data",
    "grpo": "GRPO with and without gated rewards",
    "best_of_n": "What best_of_n itself costs",
    "llm_door": "What the LLM door costs a call",
    "server": "What me2 serve adds to a proxy",
    "peers": "Side by side with its_hub, DSPy and optillm",
    "annotate": "The local annotator on ReasoningFlow's development traces",
    "real_models": "Whether answers of real models to the prompts can be read",
    "structure": "Whether the shape of a trace tells right from wrong",
    "dag_cost": "parse_dag: one step a call, and windows",
    "dag_long": "parse_dag: long traces",
    "dag_views": "Views and exports of a DAG",
    "judge_cost": "judge_pair and rank_traces: calls and wall time",
    "verify": "Checks of answers, and votes",
    "llm_calls": "Calls and tokens: defaults, savings, and what was estimated",
    "scorer_speed": "Speed of each scorer",
    "scorers": "Reward models in each precision, on a CPU",
    "scoring": "TRMScorer beside other ways to score the traces of a question, on a CPU",
    "gpu": "TRMScorer on a GPU, with the shapes of Llama-3.1-8B and random weights",
    "startup": "How long a user waits for the first thing, and the memory it takes",
}
NOTES = {
    "bon": "Up to four draws of a question share no candidate, and a scorer sees those of one draw alone. `vote` "
    "shares ties; `auto` is what `rerank` takes by default. Grades of trick questions lie between 0 and 1, all else is "
    "right or wrong; missing premise asks whether an answer says that a premise is missing. mini is measured on each "
    "set of current models with weights that were fitted on the others; the few weights of `auto` were fitted on them.",
    "grpo": "16 of the 32 steps that the command takes an arm, and one seed: differences in accuracy are "
    "noise. Curves: [grpo.png](grpo.png), all numbers in [grpo.csv](grpo.csv).",
    "reproduce_small": "The run: `python -m recipes.reproduce_small`; its settings and all numbers are in "
    "[reproduce_small.json](reproduce_small.json), the curves in [reproduce_small.png](reproduce_small.png).",
    "demo": "Candidates stand in the order of a hash, and so do questions where they are a part of a set.",
    "decision": "Rewards are of mini, fitted without the set. `plain vote` takes "
    "the first of tied answers, and its first candidate, so it profits where a set lists strong models "
    "first. Confidence is that of models that did not see the set.",
    "best_of_n": "`own` is what stands above bare LiteLLM calls in the same round, candidates scored included.",
    "server": "Both servers hand requests to LiteLLM under the same uvicorn; with n=8, one request of ours stands "
    "beside eight plain ones sent together. The ratio is the median of the rounds' ratios. Processor time is that of "
    "the server's process. The machine did other work meanwhile.",
    "peers": "Share of questions answered right, in %, with 95% intervals over questions. All ways get the same eight "
    "recorded candidates of a question from the same local server, and mini, where it is used, was fitted "
    "without the set. `a pattern` is a regular expression that fits how most answers of the set are written; "
    "its_hub and a vote by hand need one, DSPy gets what it finds in its answer field, me2sdk and optillm read "
    "answers by themselves. What the pattern does not find is a vote like any other in its_hub, which is where "
    "it falls behind the vote by hand (MMLU-Pro, reasoning-gym). With mini alone its_hub, optillm and me2sdk "
    "choose the same, since all candidates are scored side by side; DSPy shows its reward function one at a "
    "time. optillm's self_consistency takes five samples and compares whole texts; its bon asks the model for "
    "grades, and the server answers with mini's reward, a request a candidate. Judges by a language model, "
    "which its_hub and optillm have, are not compared. `above bare calls` is beside calls of openai that make "
    "as many requests; its_hub has a client of its own, which takes less time than openai's. Where answers take"
    " time, its_hub's BetaSelfConsistency is the quickest, since it asks for all at once and gives up the "
    "slowest; what it gave up a provider may bill. DSPy and optillm's self_consistency ask one after another. "
    "Much other work ran on the machine when times were taken: read them as orders of magnitude.",
    "annotate": "Rules were chosen on these traces, so the figures are optimistic. `returns` are those of the turns "
    "that the annotator finds on its own run, `right state` those of all turns where everything before is "
    "right.",
    "real_models": "Unfinished: 12 traces, and so far 6 pairs at most; no pair was judged by the larger model, and "
    "hardly anything was asked for in JSON. Seconds are those of two cores that served both models, 12 to 24 calls in "
    "flight. All that was said is in [real_models.jsonl.gz](real_models.jsonl.gz): unpack it as `--answers`, and the "
    "run goes on.",
    "confidence": "The first 152 of 160 drawn questions that were finished. mini was fitted on damaged human "
    "solutions of most of these questions, not on any sample.",
    "probes": "256 texts that all bases have read, some 130 pairs a fit: a first look. With 448 texts, within one "
    "model: SmolLM2-135M 52.8 [41.5, 63.8], Qwen2.5-Coder-0.5B 61.4 [50.0, 73.1], mini 80.3 [67.7, 92.3].",
    "tuned": "It is not shipped: it would have to beat mini by 3 points within one model.",
    "structure": "A figure above .5 says that right traces have less of the measure.",
    "dag_cost": "Tokens are estimated at 4 characters. The server always gives a usable answer; a real model adds "
    "retries.",
    "judge_cost": "`function` asks a model function instead of an HTTP server; `longest chain` is the least that "
    "latency allows.",
    "llm_calls": "Errors are those of the estimate against what was spent. `own ms a call` is wall time above the same "
    "requests sent bare through LiteLLM, one at a time, in the same round: parsing, views and prompts (for best_of_n, "
    "scoring eight answers), and the client, whose own share is under 'What the LLM door costs a call'. It is noisy.",
    "scoring": "SmolLM2-135M with a random head. `times_plain` and `share_of_floor` are medians of the rounds' ratios, "
    "`lowest` the worst round against plain. The floor is what the matrix products of the tokens take at least, shared "
    "ones counted once, at the rate that was measured in the same round. A single trace is the same work either way: "
    "its worst rounds, and those of `padded`, which is then the very call of `plain`, show the noise. In the growing "
    "table the rate falls for long traces, where attention is half of the operations: torch's attention on a CPU is "
    "slower than its matrix products.",
    "startup": "Above `python`, the imports that stand beside are those that cannot be avoided. Peaks of 35 MiB "
    "are that of the process which starts the others.",
    "scorer_speed": "What confidence takes is reading the log-probabilities; what judges and the remote scorer take is "
    "this side's share. Other work ran on the machine, so read speeds as orders of magnitude.",
    "scorers": "SmolLM2-135M with a random head: agreement and memory mean something, the scores do not. Other work "
    "ran on the machine, so read speeds as orders of magnitude.",
}


MORE = {
    "peers": {
        "Points above or below `best_of_n` as it is, paired by question": "against",
        "What each way takes": "cost",
    },
    "confidence": {"The questions with right and wrong samples alone": "mixed"},
    "annotate": {"Traces with known branches": "built"},
    "structure": {"One model at a time, over questions": "models"},
    "scoring": {
        "TRMScorer alone, growing": "growing",
        "`torch.compile` of the plain model, 2,048 tokens": "compiling",
    },
    "decision": {
        "Confidence, set by set": "calibration",
        "Confidence, all sets together": "bins",
        "auto with other scorers": "scorers",
        "Weights of a vote, mean over the sets and n of 4, 8 and all": "weightings",
        "Stopping early: share of the samples used, and what it costs": "stopping",
        "Eight answers of weaker models, and below a confidence of .8 one of the best three": "escalation",
        "Where most candidates hold no answer: mean grade of what is taken": "free_text",
        "Older sets": "old_sets",
        "Deciding, rewards and groups given": "timing",
    },
}
"""More tables of a report: title, and where the rows are."""


def mini(report: dict[str, Any]) -> str:
    """The figures of the bundled scorer: pairs, candidates, speed."""

    def shown(row: dict[str, Any]) -> dict[str, Any]:
        def text(value: Any) -> Any:
            if isinstance(value, dict):
                return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
            return round(value, 3) if isinstance(value, float) else value

        return {name: text(value) for name, value in row.items()}

    accuracy = report["accuracy"]
    return "\n\n".join(
        [
            "Pairs of unseen questions (ties count half, chance is .5; `shorter` takes the shorter side):",
            table([shown(row) for row in accuracy["pairs"]]),
            "Candidates, share of questions answered right:",
            table([shown(row) for row in accuracy["candidates"]]),
            f"Loading: {report['loading']['load_ms']} ms, {report['loading']['import_and_load_ms']} ms with imports.",
            table(report["speed"]),
        ]
    )


def reproduce_small(report: dict[str, Any]) -> str:
    """The tables and curves of a run of the recipe, and what it cannot show."""
    parts = []
    for one in report["tables"]:
        parts += [f"**{one['title']}.** {one['note']}", table(one["rows"])]
    limits = "\n".join(f"- {limit}" for limit in report["limits"])
    return "\n\n".join([*parts, f"What so small a run cannot show:\n\n{limits}"])


def bon(report: dict[str, Any]) -> str:
    """What choosing without a scorer gets, and what each scorer adds to it."""
    runs = [
        f"{name}{' ' + run['version'] if run['version'] else ''}: `{run['command']}` · {run['date']}"
        for name, run in report["runs"].items()
    ]
    return "\n\n".join(
        [
            "Share of questions answered right, in %; the second row of a set is over draws whose candidates differ:",
            table(bon_tables.baselines(report)),
            "Scorers, in % and points. Gains are paired, on the same draws. `pairs`: a right candidate before a wrong "
            "one of the same draw, chance is 50; `within a model`: the same among the answers of one model to one "
            "question; `with length`: rank correlation of reward and length in a draw, times 100, then that of right "
            "candidates alone; `cut, failed`: candidates that did not fit, and that were not scored.",
            table(bon_tables.scorers(report)),
            *runs,
        ]
    )


def main() -> None:
    parts = [
        "# Results",
        "Written by `python benchmarks/results.py` from the JSON files beside it; each benchmark writes its own. The "
        "machine is shared and noisy: compare figures of one table, not of two.",
    ]
    for name, title in TITLES.items():
        path = HERE / f"{name}.json"
        if not path.exists():
            continue
        report = json.loads(path.read_text("utf-8"))
        note = f"{report['note']}. " if "note" in report else ""
        parts += [f"## {title}", f"`{report['command']}` · {report['machine']} · {report['date']}"]
        parts.append(note + NOTES.get(name, ""))
        shown = {"mini": mini, "bon": bon, "reproduce_small": reproduce_small}.get(name)
        parts.append(shown(report) if shown else table(report["rows"]))
        for title, rows in MORE.get(name, {}).items():
            parts += [f"{title}:", table(report[rows])]
        if name == "llm_door":
            parts.append(f"With 20% injected faults: {report['with_20_percent_faults']}")
        if name == "server":
            grown = report["memory"]
            parts.append(
                f"Resident memory of the server over {grown['requests']:,} requests: {grown['MiB before']} MiB before, "
                f"{grown['MiB halfway']} halfway, {grown['MiB after']} after."
            )
    (HERE / "RESULTS.md").write_text("\n\n".join(part for part in parts if part.strip()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
