# `me2 serve` with the base package alone: no torch, no build tools, not root. docs/adapters/openai_server.md says more.
#
#     docker build -t me2sdk .
#     docker run -p 8000:8000 -e OPENAI_API_KEY -e ME2_SERVER_KEY me2sdk openai/gpt-4o-mini -n 8
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY requirements/lock.txt requirements/
COPY me2sdk me2sdk
COPY adapters adapters
COPY train train
# LiteLLM's own proxy is never started, so the pages of its dashboard stay out. What the server imports is compiled now,
# since the user it runs as cannot write here; all of it would be three times as much.
RUN python -m venv --without-pip /opt/me2 \
 && pip --python /opt/me2/bin/python install --no-cache-dir --no-compile -c requirements/lock.txt '.[server]' \
 && rm -rf /opt/me2/lib/python3.13/site-packages/litellm/proxy/_experimental/out \
 && LITELLM_LOCAL_MODEL_COST_MAP=True /opt/me2/bin/python -c "import litellm, me2sdk, uvicorn; \
from me2sdk.adapters.openai_server import ServerConfig, create_app; create_app(ServerConfig(models='openai/m')); \
me2sdk.rerank('1 + 1?', ['It is 2.', 'It is 3.'])"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home me2
COPY --from=build /opt/me2 /opt/me2
# Prices come with the package; without this LiteLLM asks the network for newer ones when it starts.
ENV PATH=/opt/me2/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LITELLM_LOCAL_MODEL_COST_MAP=True
USER 10001
WORKDIR /home/me2
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["me2", "serve", "--host", "0.0.0.0", "--port", "8000"]
