"""A reward model that was trained on chats: its template, and which part of an answer it reads, offline.

The model is a tiny one with random weights, so its rewards mean nothing. A real one is
``TRMScorer("Skywork/Skywork-Reward-V2-Qwen3-0.6B")``.
"""

import tempfile
from pathlib import Path

from me2sdk import Trace, TRMScorer
from me2sdk.testing import tiny_reward_model

TEMPLATE = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
trace = Trace(reasoning="Three boxes of twelve are 36.", response="She has 36 pens.")

with tempfile.TemporaryDirectory() as folder:
    model = tiny_reward_model(Path(folder) / "model")
    (model / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    for template in ("chat", "plain"):
        for reads in ("both", "reasoning", "response"):
            scorer = TRMScorer(str(model), template=template, reads=reads)
            print(f"{template}, reads {reads}: {scorer.score('How many pens?', [trace])[0]:+.3f}")
