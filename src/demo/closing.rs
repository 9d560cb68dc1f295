//! The end of the story: the numbers as a table, what they mean, what to do next.

use super::Lang;
use super::paint::Paint;
use super::story::{aside, program};
use super::summary::Summary;

/// So many differences are shown: one is enough to know, more help to find out why.
const DIFFERENCES_SHOWN: usize = 10;

/// The last lines.
pub(super) fn closing(summary: &Summary, lang: Lang, paint: Paint) -> String {
    table(summary, lang, paint) + &meaning(summary, lang, paint) + &next(summary, lang, paint)
}

fn table(summary: &Summary, lang: Lang, paint: Paint) -> String {
    let Summary { bot, store, phones, .. } = summary;
    let title = lang.pick("Resumen", "Summary");
    let how = lang.pick(
        "el proxy ya está apagado; sus números se leen del archivo del registro",
        "the proxy is off by now; its numbers are read from the store's file",
    );
    let heads = lang.pick(["hizo el bot", "en el registro"], ["bot did", "in the store"]);
    let told_by_bot = store.accepted - store.sent_again.min(store.accepted);
    let rows = [
        (lang.pick("órdenes", "orders"), count(bot.orders), count(store.sends), true),
        (lang.pick("avisadas por el bot", "told by the bot"), count(bot.told), count(told_by_bot), true),
        (
            lang.pick("abandonadas por el bot", "given up by the bot"),
            count(bot.given_up),
            count(store.sent_again + store.failed_notifications_open),
            true,
        ),
        (
            lang.pick("  … reenviadas por el watchdog", "  … sent again by the watchdog"),
            0,
            count(store.sent_again),
            false,
        ),
        (
            lang.pick("  … sin avisar, por llamar", "  … not told, to be called"),
            0,
            count(store.failed_notifications_open),
            false,
        ),
    ];
    let mut text = format!("\n{}  {}\n\n", paint.strong(title), paint.faint(how));
    text += &paint.faint(&format!("  {:<36}{:>14}{:>16}", "", heads[0], heads[1]));
    text += "\n";
    for (what, bot, store, both) in rows {
        if both {
            text += &format!("  {what:<36}{bot:>14}{store:>16}  {}\n", mark(bot == store, paint));
        } else {
            text += &format!("  {what:<36}{:>14}{store:>16}\n", "");
        }
    }
    let displayed = lang.pick("en los teléfonos de los clientes", "on the customers' phones");
    let twice = match phones.displayed_twice {
        0 => lang.pick("0 repetidas", "0 displayed twice").to_owned(),
        n => paint.bad(&lang.pick(format!("{n} REPETIDAS"), format!("{n} DISPLAYED TWICE"))),
    };
    let right = phones.orders_displayed == store.accepted && phones.displayed_twice == 0;
    text += &format!(
        "  {displayed:<36}{:>14}{:>16}  {}  {twice}\n",
        phones.orders_displayed,
        "",
        mark(right, paint)
    );
    if bot.cut_short > 0 {
        let cut = bot.cut_short;
        text += &paint.faint(&lang.pick(
            format!("  ({cut} más quedaron a medias por no esperar, y no se cuentan)\n"),
            format!("  ({cut} more were cut short because nobody waited, and are not counted)\n"),
        ));
    }
    text + "\n"
}

fn meaning(summary: &Summary, lang: Lang, paint: Paint) -> String {
    if !summary.agree {
        let mut text = paint.bad(lang.pick("LAS CUENTAS NO CUADRAN:\n", "THE NUMBERS DO NOT AGREE:\n"));
        for difference in summary.differences.iter().take(DIFFERENCES_SHOWN) {
            text += &format!("  {difference}\n");
        }
        return text + "\n";
    }
    let agree = lang.pick(
        "Las cuentas cuadran, orden por orden: ninguna se perdió en silencio, ninguna llegó dos veces.",
        "The numbers agree, order by order: none was lost silently, none came twice.",
    );
    let mut text = format!("{}\n", paint.good(agree));
    if let (Some(first), Some(last)) = (summary.unnotified.first(), summary.unnotified.last()) {
        let orders = summary.unnotified.len();
        let which = if orders == 1 {
            first.clone()
        } else {
            lang.pick(format!("de {first} a {last}"), format!("{first} to {last}"))
        };
        text += &aside(
            "",
            &lang.pick(
                format!(
                    "Clientes sin avisar: {orders} ({which}). Siguen abiertos en la lista con nombre, teléfono y total: el \
                     watchdog los reenvía cuando el canal vuelve, o alguien los llama."
                ),
                format!(
                    "Customers not told: {orders} ({which}). They stay on the list with name, phone and total: the watchdog \
                     sends again when the channel is back, or somebody calls them."
                ),
            ),
        );
    }
    text + "\n"
}

fn next(summary: &Summary, lang: Lang, paint: Paint) -> String {
    let program = program();
    let mut text = format!("{}\n", paint.strong(lang.pick("Y ahora", "What next")));
    let mut point = |what: &str, command: &str| text += &format!("  {what}\n    {command}\n");
    if summary.store.kept {
        let file = &summary.store.file;
        point(
            lang.pick(
                "la lista de clientes por llamar, del registro que se conservó:",
                "whom to call, from the store that was kept:",
            ),
            &format!("WAHA_WATCHDOG__STORE__PATH={} {program} failed list", quoted(file)),
        );
    } else if !summary.unnotified.is_empty() {
        point(
            lang.pick(
                "otra vez, conservando el registro para mirar la lista después:",
                "once more, keeping the store to look at the list afterwards:",
            ),
            &format!("{program} demo --for 60s --store demo.redb"),
        );
    }
    point(
        lang.pick(
            "con tu WAHA y tu bot (la URL de WAHA del bot pasa a ser http://127.0.0.1:3001):",
            "with your WAHA and your bot (the bot's WAHA URL becomes http://127.0.0.1:3001):",
        ),
        &format!("WAHA_WATCHDOG__WAHA__URL=http://127.0.0.1:3000 {program} run"),
    );
    text
}

fn mark(right: bool, paint: Paint) -> String {
    if right { paint.good("✓") } else { paint.bad("✗") }
}

fn count(number: usize) -> u64 {
    number as u64
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::COLUMNS;
    use crate::demo::summary::{BotCounts, PhoneCounts, StoreCounts};

    fn summary() -> Summary {
        Summary {
            agree: true,
            bot: BotCounts { orders: 60, told: 37, given_up: 23, attempts: 151, cut_short: 0 },
            store: StoreCounts {
                sends: 60,
                accepted: 40,
                sent_again: 3,
                failed_notifications_open: 20,
                attempts: 151,
                ..StoreCounts::default()
            },
            phones: PhoneCounts { orders_displayed: 40, displayed_twice: 0 },
            unnotified: (19..39).map(|n| format!("ORD-{n:03}")).collect(),
            differences: Vec::new(),
        }
    }

    #[test]
    fn it_fits_and_says_the_numbers() {
        for lang in [Lang::Es, Lang::En] {
            let text = closing(&summary(), lang, Paint::none());
            for said in ["60", "37", "23", "20", "ORD-019", "ORD-038"] {
                assert!(text.contains(said), "{said}: {text}");
            }
            let long = text
                .lines()
                .filter(|line| !line.starts_with("    "))
                .find(|line| line.chars().count() > COLUMNS);
            assert_eq!(long, None, "commands may be longer, they are copied whole");
            assert!(!text.contains('✗'), "{text}");
        }
    }

    #[test]
    fn what_differs_is_marked() {
        let mut summary = summary();
        summary.store.accepted = 36;
        summary.phones.displayed_twice = 1;
        summary.agree = false;
        summary.differences = vec!["ORD-007: displayed 2 times".to_owned()];
        let text = closing(&summary, Lang::En, Paint::none());
        assert_eq!(text.matches('✗').count(), 2, "{text}");
        assert!(text.contains("1 DISPLAYED TWICE") && text.contains("ORD-007: displayed 2 times"), "{text}");
        assert!(!text.contains("The numbers agree"), "{text}");
    }

    #[test]
    fn paths_can_be_pasted() {
        assert_eq!(quoted("./a/b-1.redb"), "./a/b-1.redb");
        assert_eq!(quoted("mi tienda's.redb"), r"'mi tienda'\''s.redb'");
    }
}
