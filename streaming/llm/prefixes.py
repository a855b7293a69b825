"""How a server that speaks OpenAI's protocol is asked to go on with an answer.

The protocol has no word for it; servers differ:

- `plain`: two messages, the answer so far and a request to go on. Any server takes it: a request
  that ends with the assistant's message is refused by some (Mistral, newer Claude models) and
  taken for a finished message by most. A chat model begins a message without white space, and so
  cannot say whether a blank belongs before its first word; hence it is asked to begin with the
  last words again, which `streaming.continuing` recognises and cuts.
- `continue_final_message`: vLLM, SGLang, text-generation-inference and others leave the last
  message open in the model's own template.
- `prefix`: Mistral, and DeepSeek at its beta address, mark the message. Mistral says it again.
  llama.cpp goes on with a last message of the assistant's, marked or not.

White space at the end of the prefix is left out: templates trim it, some servers refuse it, and
models do worse behind it.
"""

from typing import Literal

from streaming.continuing import last_words
from streaming.llm.base import Prompt

PrefixStyle = Literal["plain", "continue_final_message", "prefix"]

REQUEST_TO_GO_ON = (
    "Your last message broke off before its end. Write the rest of it, in the same language and "
    "form. No introduction, no apology, nothing from further above. Begin with the words below, "
    "its last ones, exactly as they stand here, and go straight on from them:\n\n"
)


def continuation(prompt: Prompt, style: PrefixStyle) -> dict[str, object]:
    """Return what a request's body needs for the prompt's prefix: the messages, and switches."""
    said = prompt.prefix.rstrip()
    messages: list[dict[str, object]] = [
        {"role": each.role, "content": each.text} for each in prompt.messages
    ]
    if not said:
        return {"messages": messages}
    written: dict[str, object] = {"role": "assistant", "content": said}
    if style == "plain":
        request = {"role": "user", "content": REQUEST_TO_GO_ON + last_words(said)}
        return {"messages": [*messages, written, request]}
    if style == "prefix":
        return {"messages": [*messages, written | {"prefix": True}]}
    return {
        "messages": [*messages, written],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }
