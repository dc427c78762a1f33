"""optillm: the plugin majority_voting."""

from openai import AsyncOpenAI


def prepare(url, n, pattern, scorer):
    client = AsyncOpenAI(base_url=url, api_key="none")
    how = {"model": "majority_voting-test", "extra_body": {"k": n}}

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        answer = await client.chat.completions.create(messages=messages, **how)
        return answer.choices[0].message.content

    return ask
