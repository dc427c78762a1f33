"""Tables from bon.json: those of RESULTS.md, and the short one of the README."""

from __future__ import annotations

from typing import Any

from report import table

Row = dict[str, Any]
_CURRENT = (
    "MATH-500 x32",
    "GSM8K x32",
    "MATH level 5",
    "GSM8K and MATH, long",
    "reasoning-gym",
    "MMLU-Pro",
)
_BASELINES = ("random", "shortest", "longest", "vote", "auto without rewards", "best possible")


def _by_set(report: Row) -> dict[str, dict[str, Row]]:
    """Rows by set and way."""
    found: dict[str, dict[str, Row]] = {}
    for row in report["rows"]:
        found.setdefault(row["set"], {})[row["way"]] = row
    return found


def _scorers(report: Row) -> list[str]:
    return list(report["runs"])


def baselines(report: Row) -> list[Row]:
    """What costs nothing, a set a row: all questions, and those whose candidates differ."""
    rows = []
    for name, ways in _by_set(report).items():
        for which in ("right", "right, mixed"):
            if any(way not in ways for way in _BASELINES):
                continue
            first = ways["random"]
            rows.append(
                {
                    "set": name,
                    "questions": first["questions"] if which == "right" else "mixed",
                    "draws": first["draws"] if which == "right" else first["mixed draws"],
                    **{way: ways[way][which] or "–" for way in _BASELINES},
                }
            )
    return rows


def scorers(report: Row) -> list[Row]:
    """What a scorer adds, a set and scorer a row."""
    rows = []
    for name, ways in _by_set(report).items():
        for scorer in ("shortest", *_scorers(report)):
            if scorer not in ways:
                continue
            row = ways[scorer]
            vote = ways.get(f"vote, ties by {scorer}", {})
            auto = ways.get(f"auto with {scorer}", {})
            rows.append(
                {
                    "set": name,
                    "scorer": scorer,
                    "questions": row["questions"],
                    "draws": row["draws"],
                    "right": row["right"],
                    "mixed": row["right, mixed"] or "–",
                    "over random": row["over random"],
                    "over vote": row["over vote"],
                    "vote, ties by it, over vote": vote.get("over vote", "–"),
                    "auto with it, over vote": auto.get("over vote", "–"),
                    "over auto without rewards": auto.get("over auto", "–"),
                    "pairs": row["pairs"] or "–",
                    "within a model: pairs": row.get("pairs within") or "–",
                    "within a model: over random": row.get("over random within") or "–",
                    "with length": row["with length"] or "–",
                    "of right ones": row["with length, right"] or "–",
                    "cut, failed": f"{row['truncated']}, {row['failed']}" if vote else "–",
                }
            )
    return rows


def readme(report: Row) -> str:
    """A row a set of current models: what the vote gets, and what scorers add to it, in points."""
    rows = []
    for name, ways in _by_set(report).items():
        if name not in _CURRENT or "vote" not in ways:
            continue
        row = {"set": name, "questions": ways["vote"]["questions"]}
        row |= {way: f"{ways[way]['right'].split()[0]}%" for way in ("random", "shortest", "vote")}
        for scorer in _scorers(report):
            if scorer in ways:
                asked = ways[scorer]["questions"]
                some = "" if asked == row["questions"] else f" ({asked} questions)"
                row[f"{scorer} over random"] = ways[scorer]["over random"] + some
                row[f"auto with {scorer} over vote"] = ways[f"auto with {scorer}"]["over vote"] + some
        rows.append(row)
    heads = list(dict.fromkeys(head for row in rows for head in row))
    return table([{head: row.get(head, "–") for head in heads} for row in rows])
