"""Guessing a language from little text."""

# ruff: noqa: RUF001  - letters of other scripts are the point

import pytest

from streaming.languages import bare_language, guess_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "This is what the weather will be like in the next few days."),
        ("de", "Das ist nicht so schwer, wie es auf den ersten Blick aussieht."),
        ("fr", "Je ne sais pas ce que vous voulez faire dans cette ville."),
        ("es", "¿Qué puedo hacer para que las cosas sean más fáciles?"),
        ("it", "Non so che cosa fare con questo libro, ma è molto bello."),
        ("pt", "Não sei o que você quer fazer com isso, mas pode ser bom."),
        ("nl", "Ik weet niet wat het is, maar het kan worden gemaakt."),
        ("pl", "Nie wiem, co to jest, ale może być bardzo ważne."),
        ("da", "Jeg ved ikke hvad det er, men det blev meget bedre."),
        ("sv", "Jag vet inte vad det är, men det ska vara mycket bra."),
        ("cs", "Nevím, co to je, ale může to být také dobré řešení."),
        ("sk", "Neviem, čo to je, ale môže to byť tiež dobré podľa všetkých."),
        ("ru", "Я не знаю, что это такое."),
        ("uk", "Я не знаю, що це таке, але її люблять."),
        ("bg", "Не знам какво е това, но е добре."),
        ("kk", "Бұл не екенін білмеймін, қазір айтамын."),
        ("sr", "Не знам шта је то, али љубав је важна."),
        ("el", "Δεν ξέρω τι είναι αυτό."),
        ("hy", "Ես չգիտեմ, թե դա ինչ է։"),
        ("he", "אני לא יודע מה זה."),
        ("ar", "لا أعرف ما هذا."),
        ("ur", "مجھے نہیں معلوم یہ کیا ہے۔"),
        ("fa", "نمی‌دانم این چیست و چرا."),
        ("hi", "मुझे नहीं पता यह क्या है। अच्छा।"),
        ("mr", "मला माहीत नाही हे काय आहे."),
        ("bn", "আমি জানি না এটা কী।"),
        ("ta", "எனக்குத் தெரியாது."),
        ("th", "ผมไม่รู้ว่ามันคืออะไร"),
        ("lo", "ຂ້ອຍບໍ່ຮູ້"),
        ("my", "ဒါဘာလဲ မသိဘူး။"),
        ("km", "ខ្ញុំមិនដឹងទេ។"),
        ("am", "ምን እንደሆነ አላውቅም።"),
        ("ka", "არ ვიცი რა არის ეს."),
        ("zh", "我不知道这是什么。"),
        ("ja", "これが何か知りません。"),
        ("ko", "이것이 무엇인지 모릅니다."),
    ],
)
def test_a_sentence_tells_its_language(language: str, text: str) -> None:
    assert guess_language(text) == language
    assert guess_language(f"**1.** {text} `x = 1`", "fr" if language == "en" else "en") == language


@pytest.mark.parametrize("text", ["", "12 + 3", "OK", "🎉 👍🏽", "\ud800 \x00", "Ω", "¿?"])
def test_a_text_that_says_too_little_is_in_the_expected_language(text: str) -> None:
    assert guess_language(text, "pt") in {"pt", "el", "es"}
    assert guess_language("", "pt") == "pt"


def test_the_expected_language_stands_where_its_kin_share_the_letters() -> None:
    assert guess_language("नमस्ते", "ne") == "ne"
    assert guess_language("Привет", "be") == "be"
    assert guess_language("Привет", "de") == "ru"


def test_a_few_foreign_letters_do_not_carry_a_latin_text() -> None:
    assert guess_language("The letter Ω is what they use for the unit of resistance.") == "en"
    assert guess_language("Letters like \u0530 and the ∑ sign are used in this and that.") == "en"


def test_only_the_head_of_a_text_is_looked_at() -> None:
    head = "This is what the weather will be. " * 12

    assert guess_language(head + "Das ist nicht so. " * 500) == "en"


@pytest.mark.parametrize(
    ("tag", "bare"),
    [("de-CH", "de"), ("PT_br", "pt"), ("zh-Hans-CN", "zh"), (" en ", "en"), ("", "")],
)
def test_a_tag_is_cut_to_its_language(tag: str, bare: str) -> None:
    assert bare_language(tag) == bare
