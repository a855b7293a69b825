"""One real server, shared by the tests of a module; each test is a guest of its own."""

from tests.support.chat import chat_fixtures

shared_chat, chat = chat_fixtures()
