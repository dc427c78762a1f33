"""The parts of the OpenAI-compatible server, which `me2sdk.adapters.openai_server` puts together."""
