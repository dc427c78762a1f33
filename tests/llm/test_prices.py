"""What is known of prices, whatever a ``litellm.Router`` has written into LiteLLM's table."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply

from me2sdk import Budget, acompletion, best_of_n
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM, door

FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
DEAR = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}


@pytest.fixture
def table() -> Iterator[None]:
    """LiteLLM's table as it is shipped, before and after."""
    litellm = door.load_litellm()
    kept = copy.deepcopy(litellm.model_cost)
    yield
    litellm.model_cost.clear()
    litellm.model_cost.update(kept)
    litellm.utils._invalidate_model_cost_lowercase_map()


def router(server: OpenAIServer, info: dict[str, Any] | None = None, **params: Any) -> Any:
    own = {"model": "openai/nobody-knows", "api_base": server.url, "api_key": "none", **params}
    return door.load_litellm().Router([{"model_name": "a", "litellm_params": own, "model_info": info or {}}])


def cost(server: OpenAIServer, model: Any, **params: Any) -> float | None:
    asked = {"api_base": server.url, "api_key": "none"} if isinstance(model, str) else {}
    return best_of_n("q", model=model, n=1, **asked, **params).usage.cost


def test_a_router_makes_no_price_known(table: None) -> None:
    with OpenAIServer(Reply("42", usage=(7, 5))) as server:
        assert cost(server, "openai/nobody-knows") is None
        several = [router(server) for _ in range(2)]  # the second one finds what the first has written
        assert [cost(server, one) for one in several] == [None, None]
        assert cost(server, "openai/nobody-knows") is None
        for model in (several[0], "openai/nobody-knows"):
            with pytest.raises(ConfigurationError, match="price of"):
                cost(server, model, budget=Budget(usd=0.01))


def test_a_router_changes_no_price_of_another_call(table: None) -> None:
    with OpenAIServer(Reply("42", usage=(7, 5))) as server:
        gpt = pytest.approx(7 * 2.5e-6 + 5 * 1e-5)
        assert cost(server, router(server, model="openai/gpt-4o", **FREE)) == 0
        assert cost(server, "openai/gpt-4o") == gpt
        assert cost(server, router(server, model="openai/gpt-4o", **DEAR)) == pytest.approx(0.017)
        assert cost(server, "openai/gpt-4o") == gpt
        assert cost(server, router(server, **DEAR)) == pytest.approx(0.017)
        assert cost(server, "openai/nobody-knows") is None


def test_a_price_that_is_stated_is_known(table: None) -> None:
    with OpenAIServer(Reply("42", usage=(7, 5))) as server:
        spend = {"budget": Budget(usd=1.0), "max_tokens": 10}
        assert cost(server, "openai/nobody-knows", **FREE, **spend) == 0
        assert cost(server, router(server, FREE), **spend) == 0
        assert cost(server, router(server, **FREE), **spend) == 0
        assert cost(server, router(server, DEAR), **spend) == pytest.approx(0.017)
        assert cost(server, "openai/nobody-knows", **DEAR) == pytest.approx(0.017)
        assert cost(server, router(server, {"base_model": "gpt-4o"})) == pytest.approx(7 * 2.5e-6 + 5 * 1e-5)


def test_a_zero_of_the_table_is_no_price() -> None:
    assert door.prices_of("ollama/llama2", {}) is None
    assert door.prices_of("ollama/llama2", FREE) == (0, 0)
    assert door.prices_of("transformers/any", {}) == (0, 0)  # ours: nobody is paid


async def test_the_response_of_completion_says_so_too(table: None) -> None:
    with OpenAIServer(Reply("42", usage=(7, 5))) as server:
        router(server)
        ask = {"api_base": server.url, "api_key": "none", "messages": [{"role": "user", "content": "q"}]}
        response = await acompletion("openai/nobody-knows", best_of=2, **ask)
    assert response._hidden_params["response_cost"] is None


async def test_a_function_that_calls_a_router_costs_what_is_known(table: None) -> None:
    with OpenAIServer(Reply("42", usage=(7, 5))) as server:
        one = router(server)

        async def ask(messages: Any, **params: Any) -> Any:
            return await one.acompletion("a", messages)

        assert (await LLM(ask).agenerate("q")).usage.cost is None  # type: ignore[union-attr]
