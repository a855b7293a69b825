"""eSpeak NG's C library, as much of it as speaking needs.

Its state is global and its calls are not to be mixed: one `EspeakLibrary` a process, one thread.

Source: `speak_lib.h` of eSpeak NG 1.52 (revision 12 of its interface).
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import ClassVar, TypedDict

_SYNCHRONOUS = 2  # `espeak_Synth` returns when all samples were given to the callback
_BUFFER_MS = 400
"""Sound of one call back. Stopping waits for one; each costs a few microseconds of Python."""
_DONT_EXIT = 0x8000  # without it the library ends the process where its data is missing
_RATE = 1
_CHARACTER = 1
_UTF8 = 1
"""The only flag of `espeak_Synth` set: no markup (0x10), no phonemes between brackets (0x100)."""

_GO_ON, _STOP = 0, 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class LibraryError(Exception):
    """The library could not be loaded, or refused a call."""


class ListedVoice(TypedDict):
    """A voice, and its languages: the smaller a number, the better it speaks that language."""

    identifier: str
    languages: list[tuple[int, str]]


class _Voice(ctypes.Structure):
    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class EspeakLibrary:
    """The library, ready to speak.

    Args:
        library_path: The shared library.
        data_path: The folder with its dictionaries and voices.

    Raises:
        LibraryError: it could not be loaded.
    """

    def __init__(self, library_path: str, data_path: str) -> None:
        try:
            self._c = _declared(ctypes.CDLL(library_path))
        except OSError as exc:
            raise LibraryError("eSpeak NG's library cannot be loaded.") from exc
        path = os.fsencode(data_path)
        self.sample_rate: int = self._c.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MS, path, _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise LibraryError(f"eSpeak NG cannot read its data (a path of {len(path)} bytes).")
        self.version: str = self._c.espeak_Info(None).decode()
        self._take: Callable[[bytes], bool] = lambda _: False
        self._fault: Exception | None = None
        # Kept for as long as the library may call it.
        self._callback = _Callback(self._called_back)
        self._c.espeak_SetSynthCallback(self._callback)

    def voices(self) -> list[ListedVoice]:
        """Return all voices."""
        return list(self._listed())

    def speak(
        self, text: bytes, *, voice: str, words_per_minute: int, take: Callable[[bytes], bool]
    ) -> None:
        """Speak a text to its end, or until it is told to stop.

        Args:
            text: UTF-8 without NUL and control characters (1 begins a command).
            voice: A voice's identifier.
            words_per_minute: 80 to 450.
            take: Gets the samples piece by piece (16 bits, native order, mono); False stops.

        Raises:
            LibraryError: the library refused the voice or the text.
        """
        self._take = take
        self._fault = None
        self._accepted("voice", self._c.espeak_SetVoiceByName(voice.encode()))
        self._accepted("rate", self._c.espeak_SetParameter(_RATE, words_per_minute, 0))
        end = 0
        status = self._c.espeak_Synth(text, len(text) + 1, 0, _CHARACTER, end, _UTF8, None, None)
        if self._fault is not None:
            raise self._fault
        self._accepted("text", status)

    def _called_back(self, samples: int | None, count: int, _events: int | None) -> int:
        if not samples or count <= 0:
            return _GO_ON
        try:
            wanted = self._take(ctypes.string_at(samples, 2 * count))
        except Exception as exc:  # noqa: BLE001 - no exception finds its way through C
            self._fault, wanted = exc, False
        return _GO_ON if wanted else _STOP

    def _listed(self) -> Iterator[ListedVoice]:
        voices = self._c.espeak_ListVoices(None)
        place = 0
        while voices[place]:
            voice: _Voice = voices[place].contents
            identifier = voice.identifier.decode()
            yield {"identifier": identifier, "languages": _languages(voice.languages)}
            place += 1

    @staticmethod
    def _accepted(what: str, status: int) -> None:
        if status != 0:
            raise LibraryError(f"eSpeak NG refused the {what} (status {status}).")


def _declared(c: ctypes.CDLL) -> ctypes.CDLL:
    """Return the library with the types of what it is called for."""
    c.espeak_Info.restype = ctypes.c_char_p
    c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    c.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    c.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return c


def _languages(at: int) -> list[tuple[int, str]]:
    """Read a voice's languages: a byte of priority, then a string; a zero byte ends them."""
    found = []
    while priority := ctypes.string_at(at, 1)[0]:
        language = ctypes.string_at(at + 1)
        found.append((priority, language.decode()))
        at += len(language) + 2
    return found
