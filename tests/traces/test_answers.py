"""The answer that a text states, and what must not be taken for one."""

from __future__ import annotations

import time

import pytest

from me2sdk import Trace
from me2sdk.traces import last_answer

STATED: list[tuple[str, str | None]] = [
    ("\\boxed 2", "2"),
    ("\\boxed2.", "2"),
    ("\\boxed{2} and \\boxed{3}", "2, 3"),
    ("So $x=\\boxed{2}$ or $x=\\boxed{3}$.", "2, 3"),
    ("\\boxed{1} then \\boxed{2}", "2"),
    ("Answer: 42", "42"),
    ("**Answer:** B", "B"),
    ("**Answer**: B", "B"),
    ("The answer is 42.", "42"),
    ("The answer is 3.5.", "3.5"),
    ("So the answer is $42$.", "$42$"),
    ("The answer is: 42", "42"),
    ("the answer is therefore 42", "42"),
    ("<answer>42</answer>", "42"),
    ("<answer> \\boxed{42} </answer>", "42"),
    ("<answer>Answer: 42</answer>", "42"),
    ("x <answer>41</answer> y <answer>42</answer>", "42"),
    ("#### 42", "42"),
    ("#### Step 3\nWe add 4 and 5.", None),
    ("#### Step 3: add\n", None),
    ("text\n#### 3. Compute\nmore text.", None),
    ("#### 42 jars", "42 jars"),
    ("#### Conclusion\n\nThe answer is 7.", "7"),
    ("#### $1,000", "$1,000"),
    ("####42", "42"),
    ("## Answer\n42", "42"),
    ("### Final Answer\n\n42", "42"),
    ("### Final Answer: 42", "42"),
    ("### Answer\n\n\\boxed{3}", "3"),
    ("\\boxed{answer}", None),
    ("\\boxed{...}", None),
    ("\\boxed{}", None),
    ("Put it in \\boxed{}. \\boxed{42}. Done with \\boxed{your answer}", "42"),
    ("\\boxed{\\text{answer}}", None),
    ("It is not 42.", None),
    ("I am not sure, maybe 41 or 42.", None),
    ("Between 1 and 42.", None),
    ("There are 42 jars.", "42"),
    ("There are 42 jars in the store.", "42"),
    ("At least 42 jars.", None),
    ("Is it 42?", None),
    ("The answer is not 42.", None),
    ("I doubt that the answer is 42.", None),
    ("If the answer is 42, we win.", None),
    ("The answer is 42?", None),
    ("I don't think the answer is 42.", None),
    ("The answer could be 42.", None),
    ("The answer is either 41 or 42.", "either 41 or 42"),
    ("The answer is 42, not 41.", "42"),
    ("The answer is 42 because 6*7 is 42.", "42"),
    ("The answer is 42 jars. I hope this helps!", "42 jars"),
    ("Final Answer: The final answer is $42$. I hope it is correct.", "$42$"),
    ("The correct option is (B).", "(B)"),
    ("Answer: (B) forty-two", "(B) forty-two"),
    ("Answer: St. Louis", "St. Louis"),
    ("The answer is B. Forty-two", "B. Forty-two"),
    ("The answer is **42**.", "42"),
    ("The answer to the question is 42.", "42"),
    ("Answer:\n\n42", "42"),
    ("Answer:\n42", "42"),
    ("Q: what?\nAnswer: 41\nAnswer: 42", "42"),
    ("I cannot answer.", None),
    ("My answer: 42", "42"),
    ("Final answer = 42", "42"),
    ("answer = 42", "42"),
    ("The final answer is:\n\n42", "42"),
    ("Not 42. The answer is 41.", "41"),
    ("I bought 42 jars on March 7.", None),
    ("The shop opens on March 7.", None),
    ("He is in room 12.", None),
    ("42", "42"),
    ("$42", "$42"),
    ("42.", "42"),
    ("B", "B"),
    ("Yes.", "Yes"),
    ("-42", "-42"),
    ("3/4", "3/4"),
    ("I have 3 questions.", None),
    ("It costs $42.", "$42"),
    ("It takes 1,000 days.", "1,000"),
    ("42 is wrong.", None),
    ("It isn't 42.", None),
    ("Nobody has 42 jars.", None),
    ("There are 42 jars, I think.", None),
    ("No, there are 42 jars.", None),
    ("Hardly 42 jars are left.", None),
    ("More than 42 jars are left.", None),
    ("Exactly 42 jars are left.", "42"),
    ("There were 42 jars before the sale.", None),
    ("Half of the 42 jars are left.", None),
    ("The answer is unknown.", "unknown"),
    ("Therefore, the answer is x = 5.", "x = 5"),
    ("**Final Answer**\n\n42", "42"),
    ("The final answer is \\(42\\).", "\\(42\\)"),
    ("Answer: 42\n\nLet me know if you need more help!", "42"),
    ("The total is 42.", "42"),
    ("So she pays 42 dollars.", "42"),
    ("I won't say 42.", None),
    ("42 jars", "42"),
    ("42 jars.", "42"),
]

RESPONSES: list[tuple[str, str | None, str | None]] = [
    ("\\boxed{41}", "There are 42 jars.", "42"),
    ("\\boxed{42}", "It is not 42.", None),
    ("\\boxed{42}", "So it is.", "42"),
    ("\\boxed{42}", "I get 41 jars, or maybe 40.", None),
    ("\\boxed{42}", "7 times 6 gives 42. Great!", "42"),
    ("\\boxed{yes}", "No.", "No"),
    ("\\boxed{42}", None, "42"),
    ("\\boxed{B}", "C", "C"),
    ("the answer is 42", None, "42"),
    ("\\boxed{41}", "Sam has forty-two jars.", None),
    ("\\boxed{Paris}", "It is London.", None),
    ("First try \\boxed{41}? No, 6 more: 42.", "There are 42 jars in the store.", "42"),
    ("I must write \\boxed{answer}. 7 * 6 = 42.", "There are 42 jars in the store.", "42"),
]


@pytest.mark.parametrize(("text", "answer"), STATED)
def test_the_answer_that_a_text_states(text: str, answer: str | None) -> None:
    assert Trace.from_text(text).answer == answer


@pytest.mark.parametrize(("reasoning", "response", "answer"), RESPONSES)
def test_the_response_decides_before_the_reasoning(
    reasoning: str, response: str | None, answer: str | None
) -> None:
    assert Trace(reasoning=reasoning, response=response).answer == answer


def test_an_unfinished_trace_states_only_what_its_response_does() -> None:
    assert Trace(reasoning="\\boxed{42}", truncated=True).answer is None
    assert Trace(reasoning="x", response="\\boxed{42}", truncated=True).answer == "42"


@pytest.mark.parametrize(
    "piece",
    [
        "Answer: x\n",
        "the answer is ",
        "answer to ",
        "<answer>",
        "#### ",
        "\\boxed 2 and ",
        "\\boxed{1}, ",
        "\\boxed{",
    ]
    + ["Final answer\n", "not the answer is 4.\n", "\\fbox{}", "####", "It is 42. "],
)
def test_finding_answers_in_a_megabyte_is_quick(piece: str) -> None:
    started = time.process_time()
    last_answer(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("Therefore, Miss Maria has 30 students.", "30"),
        ("So, each of Ray's friends received 5 lollipops.", "5"),
        ("Thus, the original price of the shirt was \\(\\$36\\).", "$36"),
        ("Therefore, half of the spots of all 7 snakes is **2450**.", "2450"),
        ("Therefore, if Bill puts them end to end, they will be 280 feet long.", "280"),
        ("In total, she spent $1,375.50.", "$1,375.50"),
        ("Therefore, Mark has to buy 4 more bags of flour than bottles of milk.", "4"),
        ("Therefore, Mrs. Rylan used $3200 to buy the seeds.", "$3200"),
        ("So, the number of windows between the two houses is **20**.", "20"),
        ("Therefore, the total for May and June was $940.", "$940"),
        ("Therefore, she has more than 5 jars.", None),
        ("Therefore, it lies between 3 and somewhat more.", None),
        ("Therefore, we need to add 3 more jars.", None),
        ("Therefore, it may be 4.", None),
        ("Therefore, the 5 people brought a total of 14 records.", None),  # which of the two?
        ("Therefore, after spinning 2250 degrees, she is facing **east**.", None),
        ("Therefore, there are at least 30 students.", None),
        ("Therefore, it is not 42.", None),
        ("Therefore, it is either 41 or so.", None),
        ("So, let me check 42.", None),
        ("So, I tried 42.", None),
        ("So is it 42?", None),
        ("Therefore, maybe 42 jars.", None),
        ("She has 30 students.", None),  # nothing says that this is the end
        ("Therefore, x = 42.", None),
        ("Therefore, Miss Maria has 30", None),  # cut off
    ],
)
def test_a_last_sentence_that_concludes_gives_its_one_number(sentence: str, answer: str | None) -> None:
    solution = f"There are 300 cards, and 10 for each.\n\n300 / 10 = 30\n\n{sentence}"
    assert Trace.from_text(solution).answer == answer
    assert Trace.from_text(f"<think>Hm.</think>{solution}").answer == answer
