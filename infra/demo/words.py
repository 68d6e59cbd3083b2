"""What the people of the made-up mailbox write: letters in several languages, as long as asked for."""

from __future__ import annotations

import html
import random
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """How a letter begins, goes on and ends; `{n}`, `{m}` and `{t}` stand for numbers and a time."""

    greetings: tuple[str, ...]
    sentences: tuple[str, ...]
    ends: tuple[str, ...]


_ENGLISH = Language(
    ("Hi Mira,", "Dear Mira,", "Good morning,", "Hello,"),
    (
        "Please find attached the soundings we took on the north quay this morning.",
        "At {t} we measured {n}.{m} m at berth {n}, which is less than the chart says.",
        "Could you have a look before the meeting on the {n}th?",
        "The dredger will be here for {m} days and needs berth {n} free until {t}.",
        "I have sent the invoice over {n}{m}0 euros to your office.",
        "Nobody has objected to the draft, so we can go on as planned.",
        "The crane at gate {m} is out of order again; the part comes on the {n}th.",
        "Let me know whether {t} suits you, otherwise we find another day.",
        "Thank you for the quick answer, that helps a lot.",
        "The harbour office wants to see the permit by {t} tomorrow.",
        "We expect {n} ships this week, {m} more than last year.",
        "I shall be away from the {n}th and back {m} days later.",
    ),
    ("Best regards", "Many thanks", "See you soon", "Kind regards"),
)
_TYPOGRAPHIC = Language(
    ("Hi Mira 👋", "Dear Mira,", "Bonjour Mira,"),
    (
        "The café on the quay opens at {t} – shall we meet there?",
        "Zoë’s résumé of the survey is “nearly done”, she says.",
        "The budget is now €{n}{m}0,000 – a third more than in the first draft.",
        "Berth {n} is free again 🚢 and the pilot comes at {t}.",
        "La réponse du port est arrivée : {m} jours de plus, pas un de moins.",
        "Η αναφορά για την προβλήτα {n} θα είναι έτοιμη στις {t}.",
        "El informe del muelle {n} llega mañana a las {t}; la señora Ríos lo ha firmado.",
        "Bring the tide chart, please … the one of {n} March.",
    ),
    ("Best – J.", "À bientôt", "Un saludo", "Χαιρετισμούς"),
)
_LANGUAGES = {
    "us-ascii": _ENGLISH,
    "utf-8": _TYPOGRAPHIC,
    "iso-8859-1": Language(
        ("Liebe Frau Okafor,", "Guten Tag,", "Hallo Mira,"),
        (
            "anbei die Prüfung der Kaimauer, Abschnitt {n}, mit der Größe der Risse in mm.",
            "Die Lieferung für Liegeplatz {n} verzögert sich um {m} Tage.",
            "Können wir die Übergabe auf {t} Uhr verschieben?",
            "Der Entwurf enthält {n} Änderungen, die wir für nötig halten.",
            "Bitte prüfen Sie die Beträge auf Seite {m}, bevor wir unterschreiben.",
            "Für die Rückfahrt am {n}. sind noch {m} Plätze frei.",
        ),
        ("Mit freundlichen Grüßen", "Schöne Grüße", "Viele Grüße"),
    ),
    "koi8-r": Language(
        ("Здравствуйте, Мира!", "Добрый день!"),
        (
            "Встреча в порту назначена на {t}, причал {n}.",
            "Отчёт по договору {n} готов, осталось {m} вопроса.",
            "Пришлите, пожалуйста, ответ до завтра, до {t}.",
            "Письмо из конторы пришло {m} дня назад, проект одобрен.",
        ),
        ("С уважением", "Всего доброго"),
    ),
    "iso-2022-jp": Language(
        ("ミラ様", "お世話になっております。"),
        (
            "明日の会議は{t}からに変更になりました。",
            "第{n}岸壁の報告書をお送りします。",
            "契約について質問が{m}点あります。",
            "資料を確認のうえ、ご回答をお願いいたします。",
        ),
        ("よろしくお願いいたします。", "佐藤"),
    ),
}
_TOPICS = (
    "Soundings at the north quay",
    "Meeting about berth 12",
    "Tide chart for spring",
    "Invoice of the harbour office",
    "Draft of the survey",
    "Crane at gate 3",
    "Überblick über das Budget",
    "Réponse du port",
    "План работ на причале",
    "会議の報告",
    "Ferry tickets 🚢",
    "Photos of the quay",
)
_SENTENCES = re.compile(r"\n\n|(?<=[.!?]) ")
_ROW = (
    '<tr><td align="left" valign="top" style="padding:0 24px 12px 24px;font-family:Georgia,serif;'
    'font-size:16px;line-height:24px;color:#333333">{}</td></tr>\n'
)
_PAGE = (
    "<html><head><style>td{{color:#333}} a{{color:#0a58ca}}</style></head>\n"
    '<body style="margin:0;background:#f6f6f6"><table role="presentation" width="600" cellpadding="0" '
    'cellspacing="0" border="0">\n{}</table></body></html>\n'
)


def subject(dice: random.Random, number: int) -> str:
    """Return a subject that no other number has."""
    return f"{dice.choice(_TOPICS)}, no. {number}"


def letter(dice: random.Random, charset: str, size: int) -> str:
    """Return a letter of about that many characters in a language that goes with the charset."""
    language = _LANGUAGES[charset]
    paragraphs, length = [dice.choice(language.greetings)], 0
    while length < size:
        sentences = [_sentence(dice, language) for _ in range(dice.randint(2, 4))]
        paragraphs.append(" ".join(sentences))
        length += len(paragraphs[-1])
    return "\n\n".join([*paragraphs, dice.choice(language.ends)]) + "\n"


def page(text: str) -> str:
    """Return a letter as HTML, dressed as programs dress it."""
    return _PAGE.format("".join(_ROW.format(html.escape(part)) for part in _SENTENCES.split(text)))


def _sentence(dice: random.Random, language: Language) -> str:
    numbers = {"n": dice.randint(2, 28), "m": dice.randint(1, 9)}
    time = f"{dice.randint(7, 18)}:{dice.choice((0, 15, 30, 45)):02}"
    return dice.choice(language.sentences).format(**numbers, t=time)
