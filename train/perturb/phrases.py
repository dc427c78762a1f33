"""Wording of constructed pairs: many forms of each, so that no model learns a handful of phrases by heart."""

from __future__ import annotations

import random

__all__ = ["fill"]

STARTERS = frozenset(
    "a above according add after again all along also although altogether an and another around as "
    "assuming at because before below between both but by calculate combined compute consider divide "
    "during each every finally find first for from given half he hence her his how i'd if in initially "
    "instead into it its knowing let let's multiply next note now of on one originally our out she "
    "similarly since so some subtract that the their then there therefore these they this those three "
    "thus to together total two under until using we what when whether which while with within without "
    "you your".split()
)
"""Words at the start of a sentence that are no names."""

OPENERS = frozenset(
    "actually add after again alright also alternatively altogether and assume because but calculate "
    "combined combining consider divide finally find first given hence hmm however if let let's maybe "
    "multiply next no note now ok okay perhaps second similarly since so step subtract suppose that then "
    "therefore these third this thus wait well yes".split()
)
"""Words in front of which no further connective is put."""

CONNECTIVES = (
    "Next, ", "After that, ", "At this point, ", "From this, ", "Now, ", "Given this, ", "Then, ",
    "As a next step, ", "Following on, ", "With that, ", "Here, ", "In this case, ", "On this basis, ",
    "To go on, ", "For this part, ", "Continuing, ", "Accordingly, ", "Taking this further, ",
    "From the facts, ", "By the question, ", "In turn, ", "As the question says, ", "With these numbers, ",
    "Using this, ", "For the next part, ", "Going on, ", "And so, ", "On from there, ",
    "With this in hand, ", "By what is given, ", "At this stage, ", "Along these lines, ",
)  # fmt: skip
EQUALS = ("is equal to", "equals", "gives", "comes to", "makes", "amounts to", "results in", "works out to")
TIMES = ("times", "multiplied by")
GIVEN = (
    "We know this: ", "It is given that: ", "The question says: ", "Given: ", "What we know: ", "Known: ",
    "Fact: ", "From the question: ", "We are told: ", "To start with: ", "The setting: ",
    "Here is what is given: ", "We start from this: ", "Known from the question: ",
)  # fmt: skip
NOTES = (
    "{} is given", "the {} is from the question", "where {} is given", "{} being given", "with {} as stated",
    "using the {} from the question", "{} as given", "taking the {} that is given", "the question says {}",
)  # fmt: skip

# What a slot in a phrase is filled with: {word} draws one of SLOTS["word"], which may hold slots again.
SLOTS: dict[str, tuple[str, ...]] = {
    "let me": (
        "Let me", "Let us", "I will", "We should", "We could", "I want to", "It may help to",
        "I am going to",
    ),
    "moment": (
        "for a moment", "briefly", "for a second", "a little", "carefully", "properly", "calmly", "first",
    ),
    "problem": ("problem", "question", "task", "exercise", "puzzle", "situation", "matter"),
    "kind": ("of this kind", "like this one", "of this sort", "such as this", "like these", "of this type"),
    "interesting": (
        "an interesting", "quite a nice", "a typical", "a rather common", "a neat", "a curious", "a fun",
    ),
    "important": (
        "important", "worthwhile", "useful", "always good", "advisable", "wise", "helpful", "essential",
    ),
    "carefully": (
        "carefully", "step by step", "with care", "one thing at a time", "slowly", "in an orderly way",
    ),
    "okay": ("Okay", "Alright", "Well", "Right", "Good", "So", "Now then", "Hmm", "Fine", "All right"),
    "so far": ("so far", "up to here", "until now", "to this point", "up to now", "as things stand"),
    "back": (
        "Going back to an earlier point:", "Let me return to this part:", "Back to what was settled before:",
        "Let us take this part up again:", "I want to do this part once more:",
        "Coming back to an earlier line:", "Let me redo this from the start of that part:",
        "Before going on, this part again:", "Let us reopen this:",
        "Wait, let me go through this one again:", "To return to the earlier step:",
        "Once again from that point:", "Let me go over this piece a second time:",
        "Revisiting an earlier step:", "Looking at this part anew:",
        "I would like to work this part out afresh:", "Let me start this part over:",
        "Hold on, this part once more:",
    ),
    "closed again": (
        "So this part is settled again.", "This is the same as before.", "It ends where it ended before.",
        "That gives what we already had.", "So we are where we were.", "Again the same result.",
        "Nothing changes here.", "With that this part is done a second time.",
        "So that line is closed once more.", "It comes out as it did.", "As found above.",
        "This agrees with the first time.", "That part can be left now.", "So back to the main line.",
    ),
    "alternative": (
        "Alternatively, {one could} {approach}.", "Another way would be to {approach}.",
        "Or {one could} {approach}.", "Maybe there is another route: {approach}.",
        "A different idea is to {approach}.", "What if we {approach}?", "{one could!} also {approach}.",
        "Instead, {one could} {approach}.", "There is one more option: {approach}.",
        "On the other hand, {one could} {approach}.", "Let me try something else and {approach}.",
        "Perhaps it is quicker to {approach}.", "It might be neater to {approach}.",
        "Suppose we {approach} instead.",
    ),
    "one could": ("one could", "we could", "we can", "I could", "one might", "it is possible to", "we may"),
    "one could!": ("One could", "We could", "We can", "I could", "One might", "We may"),
    "approach": (
        "work backwards from what is asked", "set up an equation with an unknown x",
        "make a table of all cases", "draw a diagram of it", "guess a value and adjust it",
        "look at a simpler version first", "use a ratio", "write everything as fractions",
        "start from the last sentence of the question", "look for a pattern", "split it into cases",
        "estimate first", "change the order of the steps", "use the complement",
        "turn everything into smaller units", "argue by symmetry", "treat it as a proportion",
        "list the possibilities",
    ),
    "numeric approach": (
        "start from {a} and {b}", "put {a} and {b} together first", "begin with the {a}",
        "compare {a} with {b}", "take {a} as the whole", "look at {a} against {b}",
        "combine the {a} and the {b}", "scale by {a}", "use {a} as a starting point",
        "consider {b} before {a}",
    ),
    "attempt": (
        "Call the unknown x.", "Say the unknown is x, to be found.", "That needs a list of what is known.",
        "The first entry is easy, the others are not.", "That would take a few more lines to set up.",
        "One would begin with a guess such as 10.", "The unknown would stand on one side.",
        "It starts out well enough.", "So one side would hold the unknown and the other the numbers.",
        "There would be several cases to look at.", "A rough picture of it has two parts.",
        "With x for it, the relation is still to be written down.",
    ),
    "numeric attempt": (
        "{a} {sign} {b} = {c}.", "That would be {a} {sign} {b} = {c}.",
        "This gives {a} {sign} {b} = {c} for a start.", "First {a} {sign} {b} = {c}.",
        "Then we would have {c}, from {a} {sign} {b}.", "We get {a} {sign} {b}, so {c}.",
    ),
    "dropped": (
        "But that does not lead anywhere.", "I will leave that.",
        "That is more complicated than needed, so no.", "No, let us not do that.",
        "That does not help here.", "Never mind.", "Let me drop this idea.", "Not useful here.",
        "But it is not clear how to go on from there.",
        "I do not see how this helps, so back to the main line.", "This seems to go nowhere.",
        "On second thought, that is not needed.", "Let us stay with the first way.",
        "However, this gets messy, so I will not go on with it.", "I will not follow this up.",
        "Back to where we were.",
    ),
    "check": (
        "Check: {claim}, which holds.", "Checking: {claim}, correct.", "Let me verify: {claim}. Yes.",
        "To verify, {claim}, as it should be.", "Verification: {claim}, so this is right.",
        "We check that {claim}: true.", "A quick check: {claim}. Good.",
        "Let me make sure: {claim}. That works.", "Double-checking, {claim}. Fine.",
        "Confirming: {claim}. This is consistent.", "As a check, {claim}, so it agrees.",
        "Sanity check: {claim}. OK.", "Testing this: {claim}. It fits.",
        "Is this right? {claim}. Yes, it is.", "This can be confirmed: {claim}.",
        "Looking at it again, {claim}, which is right.", "Proof of this step: {claim}.",
        "Recomputing, {claim}.",
    ),
    "jump": (
        "", "", "", "", "Meanwhile: ", "By the way: ", "Something else: ", "Turning to another thing: ",
        "Also: ", "Apart from that: ", "On a different note: ", "In another case: ",
    ),
    "filler": (
        "{let me} think about this {moment}.", "{okay}, let's see what we have here.",
        "{okay}, this is fine {so far}.", "{okay}, this is {interesting} {problem}.",
        "{problem!} {kind} come up quite often.", "It is {important} to do problems {kind} {carefully}.",
        "{let me} take a moment to think.", "{okay}, let us keep going {carefully}.",
        "There are of course many ways to solve a {problem} {kind}.",
        "{let me} look at the whole {problem} {moment}.",
        "{okay}, now on to the next part of the {problem}.",
        "It is {important} to keep the {problem} in mind.", "Before we proceed, {let me~} pause {moment}.",
        "All of this is going well {so far}.", "{okay}, that was that.", "We have come a good way {so far}.",
        "As always, it is {important} to work {carefully}.", "Basically we just have to keep going.",
        "{okay}, where were we?", "{let me} gather my thoughts {moment}.",
        "Thinking about such things takes some time.", "Needless to say, one has to work {carefully}.",
        "It goes without saying that care is needed with a {problem}.", "Interesting.",
        "This is where the {problem} gets going.", "{okay}, moving on.", "{okay}, one more thing to do.",
        "With a {problem} {kind} there is no need to hurry.", "{let me} see how to put this.",
        "Let that sink in {moment}.", "I like a {problem} {kind}.",
        "One can look at a {problem} {kind} from many sides.", "{okay}, almost there now.",
        "This is {interesting} {problem}, so {let me~} go through it {carefully}.",
        "Not much is left to be said here.",
    ),
    "problem!": ("Problems", "Questions", "Tasks", "Exercises", "Puzzles", "Situations"),
    "let me~": ("let me", "let us", "I will", "we should", "I want to", "it helps to"),
    "restated": (
        "In other words, {said}", "That is to say, {said}", "To repeat, {said}", "Put differently, {said}",
        "So {said}", "To say it again, {said}", "Again, {said}", "As said, {said}", "That is, {said}",
        "Once more, {said}", "As we have just seen, {said}", "To put it another way, {said}",
        "To restate this, {said}", "Indeed, {said}", "What this says is that {said}",
        "As just found, {said}", "To sum up this step, {said}", "We have thus that {said}",
        "It bears repeating that {said}", "In short, {said}", "Let me repeat: {said}",
        "The point is that {said}",
    ),
    "hedge": (
        "I think ", "Perhaps ", "Maybe ", "It seems that ", "Probably ", "I believe ", "I guess ",
        "Presumably ", "As far as I can tell, ", "If I am not mistaken, ", "I suppose ", "It looks as if ",
        "I would say ", "Possibly ", "It could be that ", "If I read this right, ", "I am not sure, but ",
        "Apparently ", "It might be that ", "I am fairly certain that ", "Unless I misread it, ",
        "More or less, ", "I assume ", "It should be that ",
    ),
    "hedge after": (
        ", I think", ", I guess", ", probably", ", or so it seems", ", I suppose", ", if that is right",
        ", most likely", ", as far as I can see", ", unless I am wrong", ", presumably", ", I believe",
        ", perhaps", ", or something like it", ", though I am not sure", ", if I am not mistaken",
        ", apparently", ", more or less",
    ),
    "hedge alone": (
        "I am not quite sure about this.", "This may or may not be right.", "I hope that is right.",
        "It could be wrong.", "I might be missing something here.", "There is some doubt about this.",
        "I would not swear to it.", "Maybe, maybe not.", "I cannot be certain here.",
        "That is my best guess for now.", "It is hard to be sure.", "This could be off.",
        "I think this is the way to do it, but I am not certain.", "Let us hope this holds.",
    ),
    "repair now": (
        "{wrong}. No, that is wrong: {left} = {right}", "{wrong}, no, {right}",
        "{wrong}. Wait, that should be {right}", "{wrong} – sorry, {right}",
        "{wrong}. Correction: {left} = {right}", "{wrong}, or rather {right}",
        "{wrong}. Hmm, no. It is {right}", "{wrong}. I made a mistake there, it is {right}",
        "{wrong} (no: {right})", "{wrong}. That cannot be; computing it again gives {right}",
        "{wrong}. Oops, {left} = {right}",
    ),
    "repair later": (
        "Above I wrote {left} = {wrong}, but it is {right}.",
        "The {wrong} above is wrong: {left} = {right}.", "Correction: {left} is {right}, not {wrong}.",
        "Wait, {left} is not {wrong} but {right}.",
        "I made an error before: {left} = {right} instead of {wrong}.",
        "Going on with {right}, since {wrong} was a slip.", "The earlier {wrong} should have been {right}.",
        "Sorry, {left} = {right}; {wrong} was a mistake.",
        "Note that {wrong} was wrong above; {right} is used from here on.",
        "Actually {left} = {right}, so not {wrong}.", "Looking back, {left} gives {right} and not {wrong}.",
        "Let me fix an error: {wrong} has to be {right}.",
    ),
    "claim": (
        "It is well known that such amounts are never larger than this.",
        "By a general rule there can be no other case.", "Obviously nothing else can play a part here.",
        "In cases like this the first number always decides.",
        "One can show that the order of the steps never matters.",
        "Everybody knows that this is how it is done.",
        "It follows that the result has to be the largest possible one.",
        "Clearly the result could not have been odd.", "As a rule, such numbers are always divisible by 3.",
        "This holds for all problems of this kind without exception.",
        "By symmetry both parts have to be the same.", "The average would of course be the same as well.",
        "It must be that the remaining part is smaller than the first.",
        "Such a result is always less than 1000.", "There is a theorem that guarantees this.",
        "Nature always makes such things come out even.", "By definition the other part cannot be zero.",
        "So the inverse of this has to be true as well.",
        "This proves that every similar case has the same answer.",
        "Hence the ratio can only be a whole number.", "Most people would agree, which settles it.",
        "It is a fact that the smaller part always comes first.",
    ),
    "numeric claim": (
        "Since {a} is such a number, {b} has to be a multiple of it.",
        "{a} can only occur together with {b}.", "Because of the {a}, no result below {b} is possible here.",
        "Obviously {a} is the largest value it could have.",
        "As is well known, {a} and {b} always belong together.",
        "By a general rule {a} can never be more than twice {b}.", "{a} has to be even for this to work.",
        "From {a} alone it follows that {b} is the right number to use.",
        "It is clear that {b} would be the same without the {a}.",
        "Any number near {a} would lead to the same result.",
        "That {a} comes before {b} proves that the order is right.",
        "{a} is always the limit in such cases.", "The {b} must have come from the {a}, as it always does.",
        "No other number than {a} is possible here.", "It must hold that {a} grows whenever {b} does.",
        "In general {a} is a special number for such problems.",
    ),
}  # fmt: skip


def fill(name: str, rng: random.Random, **values: str) -> str:
    """Draw a phrase of ``SLOTS[name]`` and fill its slots.

    Args:
        name: which phrases to draw from.
        rng: where all chance comes from.
        values: what to put into slots that are not in `SLOTS`; put in as it is, braces and all.
    """
    text = values[name] if name in values else rng.choice(SLOTS[name])
    if name in values or "{" not in text:
        return text
    head, *rest = text.split("{")
    filled = [head]
    for piece in rest:
        slot, _, tail = piece.partition("}")
        filled.append(fill(slot, rng, **values) + tail)
    return "".join(filled)
