"""One reasoning trace, and one step of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from me2sdk import traces
from me2sdk.errors import InvalidTraceError
from me2sdk.schema.certainty import Certainty
from me2sdk.schema.question import CleanText, Question, Value

__all__ = ["Step", "Trace"]


class Step(NamedTuple):
    """One step of a trace (paper §4.1).

    A named tuple rather than a model, since long traces have many of them and any text is a valid step.

    Attributes:
        text: the step's text.
        separator: the blank lines that follow it; ``"".join(s.text + s.separator for s in steps)`` is the
            trace.

    Example:
        ```python
        from me2sdk import Step, parse_dag

        dag = parse_dag([Step("2 + 2 = 4."), Step("So the answer is 4.")])
        print(len(dag.nodes))  # 2
        ```
    """

    text: str
    separator: str = ""


class Trace(Value):
    """One reasoning trace.

    Attributes:
        reasoning: what the model wrote before its response; the whole completion where it did not separate
            the two.
        question: what was asked, a string or a list of chat messages, or None.
        response: what the model answered, or None where it never got that far.
        truncated: True if the model was cut off, so that the trace has no end.
        certainty: how sure the model was of it, or None where its log-probabilities did not come.

    Example:
        ```python
        from me2sdk import Trace

        trace = Trace.from_text("<think>2 + 2 = 4.</think>The answer is 4.", question="What is 2 + 2?")
        print(trace.reasoning)  # 2 + 2 = 4.
        print(trace.answer)  # 4
        ```
    """

    reasoning: CleanText
    question: Question | None = None
    response: CleanText | None = None
    truncated: bool = False
    certainty: Certainty | None = None

    @classmethod
    def from_text(cls, text: str, question: Question | None = None) -> Trace:
        """Read a completion as text.

        Knows the thinking formats of all common models and those added with
        `me2sdk.traces.register_format` (several blocks, nested, unclosed, only a closing tag), the
        channels of GPT-OSS, and text with none of these, which is reasoning and response at once. Tags
        in code are text, a wrapped answer is unwrapped, and tokens of chat templates at the ends are
        dropped. Lone surrogates become U+FFFD.

        Args:
            text: the completion.
            question: what was asked; kept with the trace.

        Raises:
            InvalidTraceError: ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise InvalidTraceError(f"Trace.from_text needs a string, not {type(text).__name__}.")
        reading = traces.read_text(traces.clean(text))
        return cls(question=question, **reading._asdict())

    @classmethod
    def from_message(
        cls, message: Any, question: Question | None = None, *, finish_reason: str | None = None
    ) -> Trace:
        """Read an assistant message of any OpenAI-like API.

        Args:
            message: a dict, or an object with the attributes of LiteLLM's or OpenAI's message. Reasoning is
                read from ``reasoning_content``, ``reasoning``, ``thinking``, ``thinking_blocks``,
                ``reasoning_details``, from the same in ``provider_specific_fields``, or from content parts
                of type ``thinking``, and from the text of ``content`` as in `from_text`. A choice of a response
                stands for its message. ``logprobs`` of either become ``certainty``.
            question: what was asked; kept with the trace.
            finish_reason: why the model stopped, if known; by default what the choice says. Reasoning without any
                content counts as cut off; with a reason such as "stop" it is finished, and is the response as
                well.

        Raises:
            InvalidTraceError: ``message`` has no ``content`` and no reasoning.
        """
        message, finish_reason, logprobs = traces.read_choice(message, finish_reason)
        is_message = isinstance(message, dict) or hasattr(message, "content")
        reading = traces.read_message(message, finish_reason) if is_message else None
        if reading is None or not (reading.reasoning.strip() or reading.response):
            raise InvalidTraceError(
                f"This {type(message).__name__} holds neither content nor reasoning. Pass an assistant message "
                "such as response.choices[0].message."
            )
        certainty = Certainty.from_logprobs(logprobs)
        return cls(question=question, certainty=certainty, **reading._asdict())

    @property
    def answer(self) -> str | None:
        r"""The final answer as text; None if none is stated.

        The response decides: what it marks (``<answer>…</answer>``, the last ``\boxed{…}``, else the last "Final
        answer: …", "Answer: …", "The answer is …" or ``#### …``), or the one number of a short sentence that
        affirms it ("There are 42 jars."), or that of a last sentence that concludes ("Therefore, …"). The reasoning
        is looked at only where the response says nothing that could differ from it.
        """
        return traces.final_answer(self.reasoning, self.response, self.truncated)
