"""Scorers: anything with ``score(question, traces) -> list[float]``, higher is better.

- `TRMScorer`: the bundled scorer ("mini"), or any Hugging Face reward model on this machine.
- `PRMScorer`: a process reward model (Qwen2.5-Math-PRM, ReasonFlux-PRM) on this machine.
- `ConfidenceScorer`: the generator's own log-probabilities.
- `RemoteTRMScorer`: a reward model behind SGLang, vLLM or Text Embeddings Inference.

Names that are imported as themselves are for other rooms; the public ones are in ``__all__``.
Importing this package loads neither torch nor transformers nor httpx's network stack.
"""

from me2sdk.scorers.base import (
    FailureLimit as FailureLimit,
    Questions as Questions,
    ScoredTrace as ScoredTrace,
    Scorer,
    alone_scorer as alone_scorer,
    ask_scorer as ask_scorer,
    asks_for as asks_for,
    bound_scorer as bound_scorer,
    explain_request as explain_request,
    is_joint as is_joint,
    read_inputs as read_inputs,
    score_each as score_each,
    scorer_name as scorer_name,
)
from me2sdk.scorers.baselines import (
    BASELINES as BASELINES,
    LengthScorer as LengthScorer,
    RandomScorer as RandomScorer,
)
from me2sdk.scorers.confidence import ConfidenceMeasure as ConfidenceMeasure, ConfidenceScorer
from me2sdk.scorers.ensemble import Ensemble
from me2sdk.scorers.local import PRMScorer, TRMScorer
from me2sdk.scorers.open import load_scorer as load_scorer, open_scorer, options_for as options_for
from me2sdk.scorers.parity import compare_scorers as compare_scorers, read_probes as read_probes
from me2sdk.scorers.remote import RemoteTRMScorer
from me2sdk.scorers.text import (
    TRACE_OFFSETS as TRACE_OFFSETS,
    prompt_text as prompt_text,
    read_scoring_text as read_scoring_text,
    scoring_text as scoring_text,
    trace_text as trace_text,
)

__all__ = [
    "ConfidenceScorer",
    "Ensemble",
    "PRMScorer",
    "RemoteTRMScorer",
    "Scorer",
    "TRMScorer",
    "available_device",
    "open_scorer",
]


def available_device() -> str:
    """The device that ``device="auto"`` stands for here: "cuda", "mps" or "cpu".

    Needs the extra ``local``.

    Example:
        ```python
        from me2sdk.scorers import available_device

        print(available_device() in ("cuda", "mps", "cpu"))  # True
        ```
    """
    from me2sdk.scorers.local import pick_device

    return str(pick_device("auto"))
