"""me2sdk: best_of_n, comparing what the regular expression finds."""

from me2sdk import abest_of_n


def prepare(url, n, pattern, scorer):
    where = {"model": "openai/test", "api_base": url, "api_key": "none"}

    async def ask(question):
        result = await abest_of_n(question, n=n, scorer=scorer, answer=pattern, **where)
        return result.best.response

    return ask
