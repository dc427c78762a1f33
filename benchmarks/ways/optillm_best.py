"""optillm: bon; the model grades each answer, here with the reward of the bundled scorer of me2sdk."""

from openai import AsyncOpenAI


def prepare(url, n, pattern, scorer):
    client = AsyncOpenAI(base_url=url, api_key="none")

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        answer = await client.chat.completions.create(model="bon-test", messages=messages)
        return answer.choices[0].message.content

    return ask
