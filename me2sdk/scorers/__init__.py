"""Scorers: anything with ``score(question, traces) -> list[float]``, higher is better.

- `TRMScorer`: the bundled scorer ("mini"), or any Hugging Face reward model on this machine.
- `PRMScorer`: a process reward model (Qwen2.5-Math-PRM, ReasonFlux-PRM) on this machine.
- `RemoteTRMScorer`: a reward model behind SGLang, vLLM or Text Embeddings Inference.

Importing this package loads neither torch nor transformers nor httpx's network stack.
"""

from me2sdk.scorers._base import Scorer
from me2sdk.scorers.prm import PRMScorer
from me2sdk.scorers.remote import RemoteTRMScorer
from me2sdk.scorers.trm import TRMScorer

__all__ = ["PRMScorer", "RemoteTRMScorer", "Scorer", "TRMScorer", "available_device"]


def available_device() -> str:
    """The device that ``device="auto"`` stands for here: "cuda", "mps" or "cpu".

    Needs the extra ``local``.
    """
    from me2sdk.scorers._transformers import pick_device

    return str(pick_device("auto"))
