"""openai: n calls at once, and nothing that chooses: the first answer."""

import asyncio

from openai import AsyncOpenAI


def prepare(url, n, pattern, scorer):
    client = AsyncOpenAI(base_url=url, api_key="none")

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        calls = [client.chat.completions.create(model="test", messages=messages) for _ in range(n)]
        answers = await asyncio.gather(*calls)
        return answers[0].choices[0].message.content

    return ask
