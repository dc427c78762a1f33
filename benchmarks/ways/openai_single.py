"""openai: n answers in one call, and nothing that chooses: the first answer."""

from openai import AsyncOpenAI


def prepare(url, n, pattern, scorer):
    client = AsyncOpenAI(base_url=url, api_key="none")

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        answer = await client.chat.completions.create(model="test", messages=messages, n=n)
        return answer.choices[0].message.content

    return ask
