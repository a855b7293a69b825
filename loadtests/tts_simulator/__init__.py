"""A Google Cloud Text-to-Speech that runs here: its gRPC calls, paced, seeded, faulty on request.

For trying the chat server's speech without an account, for its tests and for load tests. It is a
black box to the rest of the project and speaks no word: audio is as long as its text would take,
silence in the compressed encodings and a tone of the text's own pitch in the others.
"""
