//! The story for people: which event is worth a line, and its words in Spanish or English.
//!
//! One line an order. Of the retries only those of the first order that needs them are told one by one: all others go the same way.

use std::time::Duration;

use super::Lang;
use super::closing::closing;
use super::event::{AttemptFailed, Event, Finishing, NotificationFailed, Started, StatusChanged, Told};
use super::order::Order;
use super::paint::Paint;
use crate::config::{Config, format_duration};
use crate::domain::time::Timestamp;

/// No line is longer, so that a usual terminal breaks none.
pub(super) const COLUMNS: usize = 98;
/// Before the texts of status and other asides.
const ASIDE: &str = "          ";

/// Tells the story.
pub(super) struct Story {
    lang: Lang,
    paint: Paint,
    start: Timestamp,
    /// Whose retries are told one by one.
    followed: Option<String>,
    /// Where the list of failed notifications is, until it was pointed at.
    list: Option<String>,
    /// Has WAHA been down?
    had_outage: bool,
    /// Is WAHA back, and nobody told since?
    waiting_for_first: bool,
}

impl Story {
    pub(super) const fn new(lang: Lang, paint: Paint, start: Timestamp) -> Self {
        Self { lang, paint, start, followed: None, list: None, had_outage: false, waiting_for_first: false }
    }

    /// The lines for an event at `now`; none for what is told with another one.
    pub(super) fn tell(&mut self, now: Timestamp, event: &Event) -> String {
        match event {
            Event::Started(started) => {
                self.start = now;
                self.list = Some(format!("{}/api/notifications/failed", started.admin));
                self.opening(started)
            }
            Event::OrderPlaced(_) | Event::GaveUp(_) => String::new(),
            Event::OrderTold(told) => self.told(now, told),
            Event::AttemptFailed(failed) => self.attempt_failed(now, failed),
            Event::NotificationFailed(listed) => self.not_told(now, listed),
            Event::NotificationMissing(placed) => {
                let what = self.lang.pick(
                    "el bot se rindió, y el registro NO la muestra",
                    "the bot gave up, and the store does NOT list it",
                );
                self.order(now, &self.paint.bad("!"), &placed.order, &self.paint.bad(what))
            }
            Event::OutageBegan => {
                let what = self.lang.pick("▼ WAHA SE CAE", "▼ WAHA GOES DOWN");
                let more = self.lang.pick(
                    "rechaza toda conexión; los clientes siguen comprando",
                    "it refuses every connection; customers go on ordering",
                );
                self.heading(now, &self.paint.bad(what), more)
            }
            Event::OutageEnded(ended) => {
                (self.had_outage, self.waiting_for_first) = (true, true);
                let what = self.lang.pick("▲ WAHA VUELVE", "▲ WAHA IS BACK");
                let more = ended.orders_unnotified.map(|orders| {
                    self.lang.pick(
                        format!("en la caída, {orders} clientes quedaron sin avisar"),
                        format!("in the outage, {orders} customers were not told"),
                    )
                });
                self.heading(now, &self.paint.good(what), &more.unwrap_or_default())
            }
            Event::StatusChanged(changed) => self.status(now, changed),
            Event::Finishing(finishing) => self.finishing(now, finishing),
            Event::Summary(summary) => closing(summary, self.lang, self.paint),
        }
    }

    fn opening(&self, started: &Started) -> String {
        let (lang, paint) = (self.lang, self.paint);
        let program = program();
        let host = started.admin.trim_start_matches("http://");
        let title = lang.pick("demo sin WhatsApp", "demo without WhatsApp");
        let real = lang.pick(
            "El bot, WAHA y los teléfonos son de mentira; el proxy, su registro y su estado son de verdad.",
            "The bot, WAHA and the phones are pretend; the proxy, its records and its status are real.",
        );
        let labels = lang.pick(
            ["panel", "estado", "sin avisar", "métricas", "proxy", "WAHA", "registro"],
            ["panel", "status", "not told", "metrics", "proxy", "WAHA", "store"],
        );
        let kept = if started.store_kept {
            lang.pick("se conserva", "is kept")
        } else {
            lang.pick(
                "se borra al terminar; --store FILE lo conserva",
                "goes at the end; --store FILE keeps it",
            )
        };
        let values = [
            format!("{}/", started.admin),
            format!("{}/api/bot/status", started.admin),
            format!("{}/api/notifications/failed", started.admin),
            format!("{}/metrics", started.admin),
            lang.pick(
                format!("{}   (aquí apunta el bot)", started.proxy),
                format!("{}   (where the bot's WAHA URL points)", started.proxy),
            ),
            lang.pick(format!("{}   (de mentira)", started.waha), format!("{}   (pretend)", started.waha)),
            started.store.clone(),
        ];
        let mut text = format!("\n{}\n", paint.strong(&format!("waha-watchdog · {title}")));
        text += &aside("", real);
        text += "\n";
        for (label, value) in labels.iter().zip(values) {
            text += &format!("  {label:<12}{value}\n");
        }
        text += &format!("  {:<12}{}\n\n", "", paint.faint(&format!("({kept})")));
        text += lang.pick("En otra terminal, mientras corre:\n", "In another terminal, while this runs:\n");
        for command in ["failed list", "status"] {
            text += &format!("  WAHA_WATCHDOG__ADMIN__LISTEN={host} {program} {command}\n");
        }
        text += &format!("  curl {host}/metrics\n\n");
        let plan = &started.plan;
        let (every, down) = (spoken(plan.every), spoken(plan.outage_after));
        let up = spoken(plan.outage_after + plan.outage_for);
        let end = plan.length.map(spoken).map_or_else(
            || {
                lang.pick(
                    "Ctrl-C termina, con un resumen.".to_owned(),
                    "Ctrl-C ends it, with a summary.".to_owned(),
                )
            },
            |end| {
                lang.pick(
                    format!("Termina a los {end}, o con Ctrl-C."),
                    format!("It ends after {end}, or with Ctrl-C."),
                )
            },
        );
        let script = lang.pick(
            format!("El guion: una orden cada {every}; WAHA se cae a los {down} y vuelve a los {up}. {end}"),
            format!("The script: an order every {every}; WAHA goes down after {down} and is back after {up}. {end}"),
        );
        text + &aside("", &script) + "\n"
    }

    fn told(&mut self, now: Timestamp, told: &Told) -> String {
        let mark = self.paint.good("✓");
        let mut what = match told.attempts {
            1 => self.lang.pick("cliente avisado", "customer told").to_owned(),
            n => self
                .lang
                .pick(format!("cliente avisado al intento {n}"), format!("customer told at attempt {n}")),
        };
        if std::mem::take(&mut self.waiting_for_first) {
            what += self.lang.pick(": primero tras la caída", ": first after the outage");
        }
        self.order(now, &mark, &told.order, &what)
    }

    fn attempt_failed(&mut self, now: Timestamp, failed: &AttemptFailed) -> String {
        let number = &failed.order.number;
        let is_first = self.followed.is_none();
        if self.followed.get_or_insert_with(|| number.clone()) != number {
            return String::new();
        }
        // The last one is told together with what becomes of it.
        let Some(wait) = failed.retry_in_ms else { return String::new() };
        let wait = u64::try_from(wait).map(Duration::from_millis).unwrap_or_default();
        let (attempt, of, wait) = (failed.attempt, failed.of, spoken(wait));
        let why = failed.status.map_or_else(|| failed.error.clone(), |status| status.to_string());
        let what = self.lang.pick(
            format!("intento {attempt} de {of} falla ({why}); otro en {wait}"),
            format!("attempt {attempt} of {of} fails ({why}); again in {wait}"),
        );
        let mut text = self.order(now, &self.paint.warning("·"), &failed.order, &what);
        if is_first {
            let others = self.lang.pick(
                "(las demás órdenes reintentan igual: de ellas se cuenta solo cómo terminan)",
                "(all other orders are retried the same way: of them only the end is told)",
            );
            text += &format!("{ASIDE}{}\n", self.paint.faint(others));
        }
        text
    }

    fn not_told(&mut self, now: Timestamp, listed: &NotificationFailed) -> String {
        let attempts = listed.attempts;
        let what = self.lang.pick(
            format!("SIN AVISAR: {attempts} intentos → notificación fallida"),
            format!("NOT TOLD: {attempts} attempts → failed notification"),
        );
        let mut text = self.order(now, &self.paint.bad("✗"), &listed.order, &self.paint.bad(&what));
        if let Some(list) = self.list.take() {
            let look = self.lang.pick("(la lista, con nombre y teléfono:", "(the list, with name and phone:");
            text += &format!("{ASIDE}{}\n", self.paint.faint(&format!("{look} {list})")));
        }
        text
    }

    fn status(&self, now: Timestamp, changed: &StatusChanged) -> String {
        if changed.from.is_none() && changed.to == "unknown" {
            // Nothing is known before the first order, and nobody expects it to be.
            return String::new();
        }
        let to = self.status_word(&changed.to);
        let to = match changed.to.as_str() {
            "online" => self.paint.good(to),
            "degraded" | "offline" => self.paint.warning(to),
            "unknown" => to.to_owned(),
            _ => self.paint.bad(to),
        };
        let from = changed.from.as_deref().map(|from| format!("{} → ", self.status_word(from)));
        let word = self.lang.pick("Estado:", "Status:");
        let what =
            format!("{} {}{}", self.paint.strong(word), from.unwrap_or_default(), self.paint.strong(&to));
        let mut text = format!("{}  ● {what}\n", self.clock(now));
        for line in wrap(&changed.interpretation, COLUMNS - ASIDE.len()) {
            text += &format!("{ASIDE}{}\n", self.paint.faint(&line));
        }
        if self.had_outage && changed.to == "degraded" {
            let memory = spoken(Config::default().status.window);
            let what = self.lang.pick(
                format!("(seguirá así unos {memory} aunque todo salga: el estado recuerda la caída)"),
                format!("(it stays so for some {memory} even if all goes well: it remembers the outage)"),
            );
            text += &format!("{ASIDE}{}\n", self.paint.faint(&what));
        }
        text
    }

    fn status_word<'a>(&self, status: &'a str) -> &'a str {
        match status {
            "online" => self.lang.pick("en línea", "online"),
            "degraded" => self.lang.pick("degradado", "degraded"),
            "incommunicado" => self.lang.pick("INCOMUNICADO", "INCOMMUNICADO"),
            "incommunicado_critico" => self.lang.pick("INCOMUNICADO CRÍTICO", "INCOMMUNICADO, CRITICAL"),
            "offline" => self.lang.pick("sin tráfico", "offline"),
            "unknown" => self.lang.pick("sin datos aún", "unknown yet"),
            other => other,
        }
    }

    fn finishing(&self, now: Timestamp, finishing: &Finishing) -> String {
        let orders = finishing.open_orders;
        let seconds = finishing.within_ms.div_ceil(1_000).max(1);
        let what = self.lang.pick(
            format!(
                "No entran más órdenes. El bot aún reintenta {orders}: hasta {seconds} s (Ctrl-C: sin esperar)"
            ),
            format!(
                "No more orders. The bot still retries {orders}: up to {seconds} s (Ctrl-C: no waiting)"
            ),
        );
        format!("{}  … {what}\n", self.clock(now))
    }

    fn heading(&self, now: Timestamp, what: &str, more: &str) -> String {
        format!("\n{}  {}  {more}\n\n", self.clock(now), self.paint.strong(what))
    }

    /// One order's line.
    fn order(&self, now: Timestamp, mark: &str, order: &Order, what: &str) -> String {
        let Order { number, customer_name, total, .. } = order;
        format!("{}  {mark} {number}  {customer_name:<15} {total:>8}  {what}\n", self.clock(now))
    }

    /// Minutes and seconds since the start.
    fn clock(&self, now: Timestamp) -> String {
        let seconds = now.since(self.start).as_secs();
        self.paint.faint(&format!("{:>3}:{:02}", seconds / 60, seconds % 60))
    }
}

/// A span as it is said: 60 s and not 1m, 15 min and not 15m.
fn spoken(span: Duration) -> String {
    let (seconds, rest) = (span.as_secs(), span.subsec_nanos());
    match (seconds, rest) {
        (0, _) => format!("{} ms", span.as_millis()),
        (1..=180, 0) => format!("{seconds} s"),
        (_, 0) if seconds.is_multiple_of(60) && seconds < 7_200 => format!("{} min", seconds / 60),
        _ => format_duration(span),
    }
}

/// This program, as it was called: what can be typed again.
pub(super) fn program() -> String {
    let called = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
    called.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}

/// A text in lines, each after `before`.
pub(super) fn aside(before: &str, text: &str) -> String {
    let lines = wrap(text, COLUMNS - before.chars().count());
    lines.iter().map(|line| format!("{before}{line}\n")).collect()
}

/// Breaks a text between words.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::bot::ATTEMPTS;
    use crate::demo::event::{OutageEnded, Placed};

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn failed(n: usize, attempt: u32) -> Event {
        Event::AttemptFailed(AttemptFailed {
            order: Order::nth(n),
            attempt,
            of: ATTEMPTS,
            status: Some(502),
            error: "upstream_unreachable".to_owned(),
            retry_in_ms: (attempt < ATTEMPTS).then_some(1_000),
        })
    }

    fn told(n: usize, attempts: u32) -> Event {
        Event::OrderTold(Told { order: Order::nth(n), attempts, send_id: None })
    }

    fn listed(n: usize) -> Event {
        Event::NotificationFailed(NotificationFailed {
            order: Order::nth(n),
            id: "id".to_owned(),
            cause: "connection_refused".to_owned(),
            attempts: u64::from(ATTEMPTS),
        })
    }

    #[test]
    fn an_order_is_one_line_but_for_the_first_that_is_retried() {
        for lang in [Lang::Es, Lang::En] {
            let mut story = Story::new(lang, Paint::none(), START);
            let mut tell = |event: &Event| story.tell(START + Duration::from_secs(75), event);
            assert_eq!(tell(&Event::OrderPlaced(Placed { order: Order::nth(1) })), "");
            let line = tell(&told(1, 1));
            assert_eq!(line.lines().count(), 1);
            assert!(line.starts_with("  1:15  ✓ ORD-001"), "{line}");
            assert_eq!(tell(&failed(2, 1)).lines().count(), 2, "the line and what goes for all others");
            assert_eq!(tell(&failed(3, 1)), "");
            assert_eq!(tell(&failed(2, 2)).lines().count(), 1);
            assert_eq!(tell(&failed(2, ATTEMPTS)), "");
            assert!(tell(&listed(2)).contains("ORD-002"));
            assert!(tell(&listed(3)).contains("ORD-003"));
        }
    }

    #[test]
    fn the_first_success_after_the_outage_is_told_once() {
        let mut story = Story::new(Lang::En, Paint::none(), START);
        story.tell(START, &Event::OutageEnded(OutageEnded { orders_unnotified: Some(7) }));
        assert!(story.tell(START, &told(1, 3)).contains("customer told at attempt 3: first after"));
        assert!(!story.tell(START, &told(2, 1)).contains("first"));
    }

    #[test]
    fn no_line_is_too_long() {
        for lang in [Lang::Es, Lang::En] {
            let mut story = Story::new(lang, Paint::none(), START);
            let status = Event::StatusChanged(StatusChanged {
                from: Some("incommunicado".to_owned()),
                to: "incommunicado_critico".to_owned(),
                reason_code: "sends_given_up".to_owned(),
                reason: String::new(),
                interpretation: "palabras ".repeat(40),
            });
            let finishing = Event::Finishing(Finishing { open_orders: 10_000, within_ms: 700_000 });
            let ended = Event::OutageEnded(OutageEnded { orders_unnotified: Some(10_000) });
            for event in [
                failed(10_000, 1),
                ended,
                told(10_000, 4),
                listed(10_000),
                status,
                finishing,
                Event::OutageBegan,
            ] {
                for line in story.tell(START + Duration::from_secs(9_000), &event).lines() {
                    assert!(line.chars().count() <= COLUMNS, "{line}");
                }
            }
        }
    }

    #[test]
    fn spans_are_said_as_people_do() {
        for (millis, said) in [
            (250, "250 ms"),
            (15_000, "15 s"),
            (60_000, "60 s"),
            (900_000, "15 min"),
            (1_500, "1500ms"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(spoken(Duration::from_millis(millis)), said);
        }
    }

    #[test]
    fn texts_break_between_words() {
        assert_eq!(wrap("uno dos  tres", 7), ["uno dos", "tres"]);
        assert_eq!(wrap("", 7), Vec::<String>::new());
        assert_eq!(wrap("larguísima palabra", 3), ["larguísima", "palabra"]);
    }
}
