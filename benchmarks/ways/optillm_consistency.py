"""optillm: self_consistency, five samples, whatever is asked for."""

from openai import AsyncOpenAI


def prepare(url, n, pattern, scorer):
    client = AsyncOpenAI(base_url=url, api_key="none")

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        answer = await client.chat.completions.create(model="self_consistency-test", messages=messages)
        return answer.choices[0].message.content

    return ask
