"""Names and bounds of OpenTelemetry's conventions for generative AI: here, and nowhere else.

They are still in development and may change: a new release of them is a change of this module.

Source: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai.
"""

OPERATION = "chat"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  # of a model
ERROR_TYPE = "error.type"

TURN_ID = "chatstream.turn.id"
TURN_OUTCOME = "chatstream.turn.outcome"
TURN_STREAMED = "chatstream.turn.streamed"
"""Ours: to find a turn's lines in the log, and the arm of the rollout."""

CLIENT_DURATION = "gen_ai.client.operation.duration"
CLIENT_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
CLIENT_PER_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
CLIENT_TOKENS = "gen_ai.client.token.usage"
SERVER_FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105  # of a model
SERVER_PER_TOKEN = "gen_ai.server.time_per_output_token"  # noqa: S105  # of a model

_CLIENT_S = tuple(0.01 * 2**n for n in range(14))

BOUNDS: dict[str, tuple[float, ...]] = {
    CLIENT_DURATION: _CLIENT_S,
    CLIENT_FIRST_CHUNK: _CLIENT_S,
    CLIENT_PER_CHUNK: _CLIENT_S,
    CLIENT_TOKENS: tuple(float(4**n) for n in range(14)),
    SERVER_FIRST_TOKEN: (
        *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
        *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    ),
    SERVER_PER_TOKEN: (
        *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2),
        *(0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
    ),
}
"""What the conventions advise: upper bounds of the bins."""

UNITS = {name: "{token}" if name == CLIENT_TOKENS else "s" for name in BOUNDS}
"""As UCUM writes them."""

DESCRIPTIONS = {
    CLIENT_DURATION: "From asking the model to the end of its answer.",
    CLIENT_FIRST_CHUNK: "From asking the model to its first text.",
    CLIENT_PER_CHUNK: "Between two pieces of an answer's text, the first left out.",
    CLIENT_TOKENS: "Tokens of a question and of its answer.",
    SERVER_FIRST_TOKEN: "From receiving a request to the first text of its answer.",
    SERVER_PER_TOKEN: "Per token of a complete answer, the first left out.",
}
