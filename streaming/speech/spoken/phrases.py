"""The few words of our own in what is spoken, by language: for blocks, and for signs read aloud."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's words.

    A block's phrase is an utterance of its own and ends with a mark; the others stand within a
    sentence. `power` holds the exponent's place as `{}`.
    """

    code_block: str
    table: str
    formula_block: str
    code: str
    formula: str
    less: str
    more: str
    at_most: str
    at_least: str
    unequal: str
    about: str
    power: str


def phrases_for(language: str) -> Phrases:
    """Return the words of a BCP 47 language tag; English where we have none of that language."""
    primary, *subtags = language.strip().lower().replace("_", "-").split("-")
    if primary == "zh" and not _TRADITIONAL.isdisjoint(subtags):
        primary = "zh-hant"
    return _PHRASES.get(primary, _PHRASES["en"])


_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})

# Engines leave out `<` and `>` in many languages, hence the words; Chinese, Japanese and Korean
# have the exponent before the word for it.
_TABLE = """
en | Code block. | Table. | Formula. | code | formula | less than | greater than | at most | at least | not equal to | about | to the power of {}
de | Codeblock. | Tabelle. | Formel. | Code | Formel | kleiner als | größer als | höchstens | mindestens | ungleich | etwa | hoch {}
fr | Bloc de code. | Tableau. | Formule. | code | formule | inférieur à | supérieur à | au plus | au moins | différent de | environ | puissance {}
es | Bloque de código. | Tabla. | Fórmula. | código | fórmula | menor que | mayor que | como máximo | como mínimo | distinto de | aproximadamente | elevado a {}
it | Blocco di codice. | Tabella. | Formula. | codice | formula | minore di | maggiore di | al massimo | almeno | diverso da | circa | elevato a {}
pt | Bloco de código. | Tabela. | Fórmula. | código | fórmula | menor que | maior que | no máximo | no mínimo | diferente de | cerca de | elevado a {}
nl | Codeblok. | Tabel. | Formule. | code | formule | kleiner dan | groter dan | hoogstens | minstens | ongelijk aan | ongeveer | tot de macht {}
pl | Blok kodu. | Tabela. | Wzór. | kod | wzór | mniejsze niż | większe niż | co najwyżej | co najmniej | różne od | około | do potęgi {}
ru | Блок кода. | Таблица. | Формула. | код | формула | меньше | больше | не больше | не меньше | не равно | примерно | в степени {}
da | Kodeblok. | Tabel. | Formel. | kode | formel | mindre end | større end | højst | mindst | forskellig fra | cirka | opløftet i {}
zh | 代码块。 | 表格。 | 公式。 | 代码 | 公式 | 小于 | 大于 | 小于等于 | 大于等于 | 不等于 | 约 | 的 {} 次方
zh-hant | 程式碼區塊。 | 表格。 | 公式。 | 程式碼 | 公式 | 小於 | 大於 | 小於等於 | 大於等於 | 不等於 | 約 | 的 {} 次方
ja | コードブロック。 | 表。 | 数式。 | コード | 数式 | 小なり | 大なり | 小なりイコール | 大なりイコール | ノットイコール | 約 | の {} 乗
ko | 코드 블록. | 표. | 수식. | 코드 | 수식 | 미만 | 초과 | 이하 | 이상 | 같지 않음 | 약 | 의 {} 제곱
hi | कोड ब्लॉक। | तालिका। | सूत्र। | कोड | सूत्र | से कम | से अधिक | अधिकतम | न्यूनतम | बराबर नहीं | लगभग | की घात {}
ar | كتلة برمجية. | جدول. | صيغة رياضية. | رمز برمجي | صيغة | أصغر من | أكبر من | على الأكثر | على الأقل | لا يساوي | حوالي | أس {}
tr | Kod bloğu. | Tablo. | Formül. | kod | formül | küçüktür | büyüktür | en fazla | en az | eşit değil | yaklaşık | üssü {}
sv | Kodblock. | Tabell. | Formel. | kod | formel | mindre än | större än | högst | minst | skilt från | cirka | upphöjt till {}
uk | Блок коду. | Таблиця. | Формула. | код | формула | менше | більше | не більше | не менше | не дорівнює | приблизно | у степені {}
"""  # noqa: E501, RUF001  a row is a language

_PHRASES = {
    cells[0]: Phrases(*cells[1:])
    for cells in ([cell.strip() for cell in row.split("|")] for row in _TABLE.strip().splitlines())
}
