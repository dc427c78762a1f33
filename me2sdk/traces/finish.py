"""What a finish reason says: did the model come to its end, or was it cut off?"""

from __future__ import annotations

import re

__all__ = ["is_cut_off"]

# In lower case and without separators, so that "MAX_TOKENS", "max-tokens" and "maxTokens" are one word.
_FINISHED = frozenset(
    "stop stopsequence stopstring stopstr stoptoken stoptrigger eos eostoken eosfound eogtoken endturn endofturn "
    "endofsequence endoftext endoftokens end complete completed finished finish finishedbystop finishedmatchedtoken "
    "finishedmatchedstr succeeded success done normal toolcall toolcalls tooluse tooluses functioncall "
    "functioncalls repeateos".split()
)
_CUT = frozenset(
    # a limit on tokens or on time
    "length maxlength maxlengthreached maxtoken maxtokens maxtokensreached maxoutputtokens maxoutputtokensreached "
    "maxnewtokens maxcompletiontokens outputlimit tokenlimit tokenlimitreached limit modellength modelcontextlength "
    "modelcontextwindowexceeded contextlength contextlengthexceeded contextlimit contextwindowexceeded "
    "insufficientcontext timelimit timeout timedout deadlineexceeded incomplete pauseturn pause repetition "
    # a filter
    "contentfilter contentfiltered filtered safety imagesafety recitation imagerecitation language blocklist "
    "prohibitedcontent imageprohibitedcontent spii modelarmor refusal refused blocked flagged sensitive guardrail "
    "guardrails guardrailintervened guardrailintervention errortoxic toxic toxicity moderation policyviolation "
    # a fault, or somebody who stopped it
    "error errorlimit errorother apierror failed failure networkerror internalerror insufficientsystemresource "
    "insufficientresources servererror connectionerror abort aborted cancel cancelled canceled cancelledbyuser "
    "usercancel userabort interrupted interrupt disconnected expired preempted malformed malformedresponse "
    "malformedfunctioncall malformedtoolcall malformedtooluse malformedmodeloutput unexpectedtoolcall "
    "toomanytoolcalls invalidtoolcall".split()
)
_BESIDE = re.compile(r"[\W_]+")
_LONGEST = 100  # no reason is longer; what is longer says nothing


def is_cut_off(finish_reason: object) -> bool | None:
    """Say whether a finish reason means that the text has no end.

    Takes the words of OpenAI, Anthropic, Gemini, Bedrock, Cohere, Mistral, OpenRouter, vLLM, SGLang, llama.cpp,
    Ollama and others, in any case and with any separators.

    Args:
        finish_reason: what the provider sent: a text, an enum with such a value or name, SGLang's
            ``{"type": "length"}``, or None.

    Returns:
        True for a limit on tokens, a filter, an error or an interruption; False for a natural end, a stop sequence or
        a tool call; None for no reason and for one that is not known.

    Examples:
        >>> is_cut_off("max_tokens"), is_cut_off("end_turn"), is_cut_off("whim")
        (True, False, None)
    """
    if isinstance(finish_reason, dict):
        finish_reason = finish_reason.get("type")
    if not isinstance(finish_reason, str):
        names = (getattr(finish_reason, "value", None), getattr(finish_reason, "name", None))
        finish_reason = next((name for name in names if isinstance(name, str)), None)
    if finish_reason is None or len(finish_reason) > _LONGEST:
        return None
    word = _BESIDE.sub("", finish_reason.rpartition(".")[2]).casefold().removeprefix("finishreason")
    return True if word in _CUT else False if word in _FINISHED else None
