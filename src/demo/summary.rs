//! What the bot did, what the store says and what the phones display, laid side by side, order by order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::book::{Ending, Page};
use super::records::{Records, Sent};
use super::setting::StorePlace;
use crate::fake_waha::Phones;

/// The end of the story in numbers. Orders that were cut short are in none of them but `cut_short`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Is there no difference?
    pub(super) agree: bool,
    pub(super) bot: BotCounts,
    pub(super) store: StoreCounts,
    pub(super) phones: PhoneCounts,
    /// Orders whose customers were not told, as the store lists them.
    pub(super) unnotified: Vec<String>,
    /// What does not agree.
    pub(super) differences: Vec<String>,
}

/// By the bot's own book.
#[derive(Debug, Default, Serialize)]
pub(super) struct BotCounts {
    pub(super) orders: usize,
    pub(super) told: usize,
    pub(super) given_up: usize,
    pub(super) attempts: u64,
    /// Orders still on their way when somebody would not wait.
    pub(super) cut_short: usize,
}

/// Counted in the closed store.
#[derive(Debug, Default, Serialize)]
pub(super) struct StoreCounts {
    pub(super) file: String,
    pub(super) kept: bool,
    pub(super) sends: usize,
    pub(super) accepted: usize,
    /// Of these, given up by the bot and sent by the watchdog after the outage.
    pub(super) sent_again: usize,
    pub(super) failed_notifications_open: usize,
    pub(super) attempts: u64,
}

/// On the customers' screens.
#[derive(Debug, Default, Serialize)]
pub(super) struct PhoneCounts {
    /// Orders at least once on a screen.
    pub(super) orders_displayed: usize,
    /// Orders more than once on a screen.
    pub(super) displayed_twice: usize,
}

impl Summary {
    pub(super) fn of(book: &[Page], records: &Records, phones: &Phones, place: &StorePlace) -> Self {
        let mut summary = compare(book, records, phones);
        summary.store.file = place.path().display().to_string();
        summary.store.kept = place.is_kept();
        summary
    }
}

fn compare(book: &[Page], records: &Records, phones: &Phones) -> Summary {
    let mut sends: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differences = Vec::new();
    for send in &records.sends {
        match &send.order_number {
            Some(number) => sends.entry(number).or_default().push(send),
            None => differences.push("the store has a send without an order".to_owned()),
        }
    }
    for number in &records.open {
        match number {
            Some(number) => *open.entry(number).or_default() += 1,
            None => differences.push("the store has a failed notification without an order".to_owned()),
        }
    }
    let mut unnotified = Vec::new();
    let (mut bot, mut store) = (BotCounts::default(), StoreCounts::default());
    let (mut shown, mut displayed, mut known) = (PhoneCounts::default(), 0, BTreeSet::new());
    for page in book {
        let number = page.order.number.as_str();
        known.insert(number);
        let sends = sends.remove(number).unwrap_or_default();
        let open = open.remove(number).unwrap_or(0);
        let times = phones.times(page.order.chat.expose(), &page.order.text());
        displayed += times;
        if page.ending == Ending::Open {
            bot.cut_short += 1;
            continue;
        }
        let told = page.ending == Ending::Told;
        bot.orders += 1;
        bot.told += usize::from(told);
        bot.given_up += usize::from(!told);
        bot.attempts += u64::from(page.attempts);
        store.sends += sends.len();
        store.accepted += sends.iter().filter(|send| send.accepted).count();
        store.sent_again += sends.iter().filter(|send| send.accepted && !told).count();
        store.attempts += sends.iter().map(|send| u64::from(send.attempts)).sum::<u64>();
        store.failed_notifications_open += open;
        shown.orders_displayed += usize::from(times > 0);
        shown.displayed_twice += usize::from(times > 1);
        unnotified.extend((open > 0).then(|| number.to_owned()));
        differences.extend(difference(page, &sends, open, times).map(|what| format!("{number}: {what}")));
    }
    let strange = sends.keys().chain(open.keys());
    differences
        .extend(strange.map(|number| format!("{number}: in the store, but the bot knows no such order")));
    if phones.total() != displayed {
        let strange = phones.total().saturating_sub(displayed);
        differences.push(format!("the phones display {strange} messages the bot did not write"));
    }
    Summary { agree: differences.is_empty(), bot, store, phones: shown, unnotified, differences }
}

/// Where one order's three accounts differ, if they do.
fn difference(page: &Page, sends: &[&Sent], open: usize, times: u64) -> Option<String> {
    let told = page.ending == Ending::Told;
    let [send] = sends else { return Some(format!("the store has {} sends of it", sends.len())) };
    if told && !send.accepted {
        return Some("told by the bot, not accepted in the store".to_owned());
    }
    // What the bot gave up, the watchdog tries again.
    if if told { send.attempts != page.attempts } else { send.attempts < page.attempts } {
        return Some(format!("{} attempts of the bot, {} in the store", page.attempts, send.attempts));
    }
    if open != usize::from(!send.accepted) {
        return Some(format!(
            "{} by the bot, {} in the store, {open} open failed notifications",
            if told { "told" } else { "given up" },
            if send.accepted { "accepted" } else { "not accepted" },
        ));
    }
    (times != u64::from(send.accepted)).then(|| format!("displayed {times} times on the customer's phone"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::demo::order::Order;
    use crate::fake_waha::Shown;

    /// Two told orders, the second at its third attempt, and one given up, with everything as it should be.
    fn agreeing() -> (Vec<Page>, Records, Phones) {
        let page = |n, attempts, ending| Page { order: Order::nth(n), attempts, ending };
        let book = vec![page(1, 1, Ending::Told), page(2, 3, Ending::Told), page(3, 4, Ending::GivenUp)];
        let sent = |page: &Page| Sent {
            order_number: Some(page.order.number.clone()),
            accepted: page.ending == Ending::Told,
            attempts: page.attempts,
        };
        let records = Records {
            sends: book.iter().map(sent).collect(),
            open: vec![Some(book[2].order.number.clone())],
        };
        let mut phones = Phones::default();
        for page in &book[..2] {
            phones.by_chat.insert(page.order.chat.expose().to_owned(), vec![shown(&page.order.text())]);
        }
        (book, records, phones)
    }

    fn shown(text: &str) -> Shown {
        Shown {
            message_id: text.to_owned(),
            session: "default".to_owned(),
            text: text.to_owned(),
            times_displayed: 1,
            times_relayed: 1,
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_agrees_is_counted() {
        let (book, records, phones) = agreeing();
        let summary = compare(&book, &records, &phones);
        assert_eq!(summary.differences, Vec::<String>::new());
        assert!(summary.agree);
        assert_eq!((summary.bot.orders, summary.bot.told, summary.bot.given_up), (3, 2, 1));
        assert_eq!((summary.store.sends, summary.store.accepted, summary.store.attempts), (3, 2, 8));
        assert_eq!(summary.store.failed_notifications_open, 1);
        assert_eq!((summary.phones.orders_displayed, summary.phones.displayed_twice), (2, 0));
        assert_eq!(summary.unnotified, ["ORD-003"]);
    }

    /// Breaks one thing; exactly one difference must be found, and it must say so.
    #[track_caller]
    fn finds(breaks: impl FnOnce(&mut Vec<Page>, &mut Records, &mut Phones), says: &str) {
        let (mut book, mut records, mut phones) = agreeing();
        breaks(&mut book, &mut records, &mut phones);
        let summary = compare(&book, &records, &phones);
        assert!(!summary.agree);
        assert!(summary.differences.len() == 1 && summary.differences[0].contains(says), "{summary:?}");
    }

    #[test]
    fn what_differs_is_found() {
        finds(|_, records, _| drop(records.sends.remove(0)), "ORD-001: the store has 0 sends");
        finds(|_, records, _| records.sends.push(records.sends[0].clone()), "ORD-001: the store has 2 sends");
        finds(
            |_, records, _| records.sends[1].attempts = 2,
            "ORD-002: 3 attempts of the bot, 2 in the store",
        );
        finds(|_, records, _| records.sends[1].accepted = false, "ORD-002: told by the bot, not accepted");
        finds(
            |_, records, _| records.open.clear(),
            "ORD-003: given up by the bot, not accepted in the store, 0 open",
        );
        finds(
            |_, records, _| records.open.push(Some("ORD-001".into())),
            "ORD-001: told by the bot, accepted in the store, 1 open",
        );
        finds(|_, records, _| records.open.push(Some("ORD-9".into())), "ORD-9: in the store");
        finds(|_, records, _| records.open.push(None), "a failed notification without an order");
        finds(|_, _, phones| drop(phones.by_chat.pop_first()), "ORD-001: displayed 0 times");
        finds(
            |book, _, phones| {
                let again = shown(&book[0].order.text());
                phones.by_chat.entry(book[0].order.chat.expose().to_owned()).or_default().push(again);
            },
            "ORD-001: displayed 2 times",
        );
        finds(
            |_, _, phones| drop(phones.by_chat.insert("1@c.us".to_owned(), vec![shown("?")])),
            "1 messages the bot did not write",
        );
    }

    #[test]
    fn what_the_watchdog_sent_after_the_outage_is_told() {
        let (book, mut records, mut phones) = agreeing();
        (records.sends[2].accepted, records.sends[2].attempts) = (true, 6);
        records.open.clear();
        let shown = vec![shown(&book[2].order.text())];
        phones.by_chat.insert(book[2].order.chat.expose().to_owned(), shown);
        let summary = compare(&book, &records, &phones);
        assert!(summary.agree, "{summary:?}");
        assert_eq!((summary.store.accepted, summary.store.sent_again), (3, 1));
    }

    #[test]
    fn what_was_cut_short_is_judged_by_nobody() {
        let (mut book, records, phones) = agreeing();
        book[2].ending = Ending::Open;
        let summary = compare(&book, &records, &phones);
        assert!(summary.agree, "{summary:?}");
        assert_eq!((summary.bot.orders, summary.bot.cut_short, summary.store.sends), (2, 1, 2));
    }
}
