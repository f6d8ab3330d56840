"""When a recurring job is due, in the words of each language."""

import pytest

from bulkport.dashboard.core.cron_words import cron_in_words
from bulkport.dashboard.core.language import speaking
from bulkport.jobs.schedule import Schedule


@pytest.mark.parametrize(
    ("cron", "german", "spanish"),
    [
        ("0 3 * * *", "Um 03:00 Uhr, jeden Tag", "A las 03:00, todos los días"),
        ("*/15 * * * *", "Alle 15 Minuten", "Cada 15 minutos"),
        ("* * * * *", "Jede Minute", "Cada minuto"),
        ("@hourly", "Zu jeder vollen Stunde", "Cada hora en punto"),
        ("0 */6 * * *", "Alle 6 Stunden", "Cada 6 horas"),
        ("*/5 */2 * * *", "Alle 5 Minuten, alle 2 Stunden", "Cada 5 minutos, cada 2 horas"),
        (
            "30 8-17 * * MON-FRI",
            "Zu Minute 30, Stunde 8 bis 17, jeweils Montag bis Freitag",
            "En el minuto 30, hora de 8 a 17, de lunes a viernes",
        ),
        (
            "0 17,9 * * 0,7,3",
            "Um 09:00 und 17:00 Uhr, jeweils Sonntag und Mittwoch",
            "A las 09:00 y 17:00, domingo y miércoles",
        ),
        ("0 0 1,15 * *", "Um 00:00 Uhr, am 1. und 15. des Monats", "A las 00:00, día 1 y 15 de cada mes"),
        ("0 0 L * *", "Um 00:00 Uhr, am letzten Tag des Monats", "A las 00:00, el último día del mes"),
        ("0 0 LW * *", "Um 00:00 Uhr, am letzten Werktag des Monats", "A las 00:00, el último día laborable del mes"),
        ("0 0 * * 5L", "Um 00:00 Uhr, am letzten Freitag des Monats", "A las 00:00, el último viernes del mes"),
        ("0 0 * * 1#2", "Um 00:00 Uhr, am zweiten Montag des Monats", "A las 00:00, el segundo lunes del mes"),
        ("0 0 */2 * *", "Um 00:00 Uhr, alle 2 Tage des Monats", "A las 00:00, cada 2 días del mes"),
        (
            "0 0 1 */3 *",
            "Um 00:00 Uhr, am 1. des Monats, alle 3 Monate",
            "A las 00:00, día 1 de cada mes, cada 3 meses",
        ),
        ("5/10 * * JUL *", "Zu Minute ab 5 in Schritten von 10, Juli", "En el minuto desde 5 cada 10, julio"),
    ],
)
def test_a_schedule_is_described_in_german_and_spanish(cron: str, german: str, spanish: str) -> None:
    told = {}
    for language in ("de", "es", "en"):
        with speaking(language):
            told[language] = cron_in_words(Schedule(cron))
    assert (told["de"], told["es"]) == (german, spanish)
    assert told["en"] == Schedule(cron).in_words
