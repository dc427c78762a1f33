from __future__ import annotations

from enum import Enum

import pytest

from me2sdk.traces import is_cut_off


class _Gemini(Enum):
    STOP = 1
    MAX_TOKENS = 2


@pytest.mark.parametrize(
    ("reason", "cut"),
    [(None, None), ("", None), ("whim", None), ("other", None), (3, None), ("stop" * 50, None), ({}, None)]
    + [
        (reason, False)
        for reason in "stop STOP end_turn stop_sequence eos eos_token tool_calls function_call tool_use COMPLETE "
        "completed TOOL_CALL FinishReason.STOP FINISH_REASON_STOP tool-calls toolCalls endTurn".split()
    ]
    + [
        (reason, True)
        for reason in "length max_tokens MAX_TOKENS max_output_tokens model_length content_filter content-filter "
        "contentFilter SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII MALFORMED_FUNCTION_CALL error ERROR_TOXIC "
        "abort cancelled network_error incomplete guardrail_intervened refusal model_context_window_exceeded "
        "insufficient_system_resource sensitive FinishReason.MAX_TOKENS time_limit".split()
    ]
    + [(_Gemini.STOP, False), (_Gemini.MAX_TOKENS, True), ({"type": "length", "length": 9}, True)]
    + [({"type": "stop", "matched": 2}, False)],
)
def test_a_finish_reason_says_whether_there_is_an_end(reason: object, cut: bool | None) -> None:
    assert is_cut_off(reason) is cut
