"""me2sdk: best_of_n as it is."""

from me2sdk import abest_of_n


def prepare(url, n, pattern, scorer):
    where = {"model": "openai/test", "api_base": url, "api_key": "none"}

    async def ask(question):
        result = await abest_of_n(question, n=n, scorer=scorer, **where)
        return result.best.response

    return ask
