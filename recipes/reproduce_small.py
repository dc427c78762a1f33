"""The paper in small, on real data, on a CPU (§5 to §8 of arXiv:2602.08498).

``python -m recipes.reproduce_small minutes --data DATA --output FOLDER``: GSM8K training questions are sampled by two
models, answers verified and made graphs; pairs are judged, or constructed; reward models are trained on them, measured
on pairs and by best of n, and reward a policy in GRPO against the verifier alone. The tables are in
``FOLDER/report.md``. The same command goes on after a stop. Serve the models first, for instance by
``python benchmarks/cpu_server.py Qwen/Qwen2.5-Coder-0.5B-Instruct --port 8090``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from me2sdk.errors import ME2Error
from me2sdk.train.config import load_config
from me2sdk.train.progress import OnProgress, Progress
from recipes.reproduction.best_of_n import measure_best_of_n
from recipes.reproduction.candidates import build
from recipes.reproduction.config import ReproduceConfig
from recipes.reproduction.pair_table import measure_pairs
from recipes.reproduction.pairs import make_pairs
from recipes.reproduction.policy import train_policies
from recipes.reproduction.questions import draw_questions
from recipes.reproduction.report import markdown, write_report
from recipes.reproduction.reward_models import train_reward_models
from recipes.reproduction.stages import Place, Stage, run_stages
from recipes.reproduction.warm_up import warm_up

__all__ = ["STAGES", "app", "read_config", "reproduce"]

CONFIGS = Path(__file__).parent / "reproduction"
_ASKED = ("samplers", "params", "seed")

STAGES = (
    Stage("questions", ("preferences", "best_of_n", "policy", "seed"), draw_questions),
    Stage(
        "preferences", (*_ASKED, "judge", "pairs", "preferences"), lambda place: build(place, "preferences")
    ),
    Stage("pairs", ("pairs", "preferences", "seed"), make_pairs),
    Stage("reward_models", ("reward_model", "seeds"), train_reward_models),
    Stage("pair_table", ("judge", "judge_pairs", "params", "seeds"), measure_pairs),
    Stage("best_of_n_candidates", (*_ASKED, "best_of_n"), lambda place: build(place, "best_of_n")),
    Stage("best_of_n", ("seeds",), measure_best_of_n),
    Stage("warm_up", ("policy", "grpo", "seed"), warm_up),
    Stage("grpo", ("policy", "grpo", "seeds"), train_policies),
)


def read_config(name: str, overrides: list[str]) -> ReproduceConfig:
    """The settings of a name ("minutes", "night") or a file."""
    shipped = CONFIGS / f"{name}.yaml"
    return load_config(shipped if shipped.is_file() else name, "data", ReproduceConfig, overrides)


def reproduce(
    config: ReproduceConfig, data: Path, output: Path, *, on_progress: OnProgress | None = None
) -> dict[str, object]:
    """Run what is left of all stages, and write the report.

    Args:
        config: the settings.
        data: the folder that holds ``gsm8k/train.jsonl``.
        output: the folder of the run.
        on_progress: called with a `Progress` as stages and their parts go on.

    Returns:
        The report.

    Raises:
        ConfigurationError: the settings cannot work, or ``output`` holds a run with others; or calls of a model
            failed, and the same command goes on.
    """
    place = Place(config, data, output.resolve(), on_progress)
    run_stages(place, STAGES)
    return write_report(place)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    config: Annotated[str, typer.Argument(help="minutes, night, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder that holds gsm8k/.", exists=True, file_okay=False)],
    output: Annotated[
        Path, typer.Option(help="Folder of the run. What is finished there is not done again.")
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Only write the report of what is finished.")] = False,
) -> None:
    """Reproduce the paper in small, on real data."""
    try:
        settings = read_config(config, set_ or [])
        if report:
            made = write_report(Place(settings, data, output.resolve()))
        else:
            made = reproduce(settings, data, output, on_progress=_show)
    except ME2Error as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(markdown(made))


def _show(news: Progress) -> None:
    typer.echo(f"{news.name}: {news.done}/{news.total}", err=True)


if __name__ == "__main__":
    app()
