"""LiteLLM: n calls at once, and nothing that chooses: the first answer."""

import asyncio

import litellm


def prepare(url, n, pattern, scorer):
    async def ask(question):
        messages = [{"role": "user", "content": question}]
        where = {"api_base": url, "api_key": "none"}
        calls = [litellm.acompletion(model="openai/test", messages=messages, **where) for _ in range(n)]
        answers = await asyncio.gather(*calls)
        return answers[0].choices[0].message.content

    return ask
