"""The program that speaks with eSpeak NG; `streaming.speech.espeak` starts it and talks with it.

eSpeak NG is licensed under GPL-3.0-or-later. It is no part of Chatstream: an optional program part
(the package `espeakng-loader`), loaded at run time, and only by this process of its own. Nothing of
the server is imported here but `streaming.speech.audio`, and the server imports nothing from here.

A process, because the library ends the one that it runs in on some texts: `'-e` said in Danish, a
sign of Braille in Arabic, a circled letter in Gujarati overflow buffers in its version 1.52.
"""
