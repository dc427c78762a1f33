"""An OpenAI-compatible server that answers with the best of n, asked by OpenAI's own client, on this machine alone."""

import itertools

import openai

from me2sdk.adapters.openai_server import ServerConfig, serving

# Recorded answers in place of a model. Yours is a LiteLLM name: ServerConfig(models="openai/gpt-4o-mini"),
# or on the command line: me2 serve openai/gpt-4o-mini
answers = itertools.cycle(
    [
        "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21.\n#### 21",
        "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left.\n#### 31",
        "3 * 12 = 38. Hmm, wait. 3 * 12 = 38. Let me see. 38 - 5 = 33.\n#### 33",
        "3 * 12 = 36 pens in the boxes, less 5 is 31.\n#### 31",
    ]
)


def recorded(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a model."""
    return next(answers)


question = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
with (
    serving(ServerConfig(models={"pens": recorded}, n=4, port=0)) as url,
    openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client,
):
    completion = client.chat.completions.create(
        model="pens",
        messages=[{"role": "user", "content": question}],
        extra_body={"me2": {"candidates": True}},  # show all of them
    )
    print("answer:", completion.choices[0].message.content)
    print(f"confidence {completion.me2['confidence']:.0%}, chosen by {completion.me2['chosen_by']}")
    for candidate in completion.me2["candidates"]:
        print(f"reward {candidate['reward']:+.2f}: {candidate['answer']}")

    response = client.responses.create(model="pens", input=question)  # the Responses API, too
    print(f"{response.output_text!r}, confidence {response.me2['confidence']:.0%}")

    print("streamed: ", end="")
    for chunk in client.chat.completions.create(
        model="pens", messages=[{"role": "user", "content": question}], stream=True
    ):
        print(chunk.choices[0].delta.content or "", end="")
    print()
