"""me2sdk: best_of_n with select="best": the bundled scorer alone."""

from me2sdk import abest_of_n


def prepare(url, n, pattern, scorer):
    where = {"model": "openai/test", "api_base": url, "api_key": "none"}

    async def ask(question):
        result = await abest_of_n(question, n=n, scorer=scorer, select="best", **where)
        return result.best.response

    return ask
