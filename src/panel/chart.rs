//! Small pictures, drawn here as shapes: how sends went minute by minute, how the status went over a day. The colours are the style's.

use super::say::Say;
use super::shown;
use crate::domain::status::{Status, StatusChange};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;

/// Minutes shown.
const MINUTES: i64 = 60;
/// Height of the bars.
const HIGH: f64 = 44.0;
/// Width of a bar with its gap.
const STEP: f64 = 8.0;
/// Width of a bar.
const WIDE: f64 = 6.0;
/// A strip is so wide, whatever it shows.
pub(super) const STRIP: f64 = 1000.0;
/// Hours a strip shows.
pub(super) const HOURS: i64 = 24;

/// A rectangle.
pub(super) struct Bar {
    pub(super) tone: &'static str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

/// Sends of the last hour.
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) accepted: u32,
    pub(super) failed: u32,
}

impl Bars {
    pub(super) const fn is_empty(&self) -> bool {
        self.accepted == 0 && self.failed == 0
    }
}

/// Accepted below, given up above, a bar a minute.
pub(super) fn bars<'a>(windows: impl Iterator<Item = &'a Window> + Clone, now: Timestamp) -> Bars {
    let last = now.minute().millis() / 60_000;
    let minutes = (0..MINUTES).map(|at| {
        let start = (last - MINUTES + 1 + at) * 60_000;
        let of_minute = windows
            .clone()
            .flat_map(|window| window.minutes.iter())
            .filter(|minute| minute.start.millis() == start);
        of_minute.fold((0_u32, 0_u32), |(accepted, failed), minute| {
            (accepted.saturating_add(minute.accepted), failed.saturating_add(minute.exhausted))
        })
    });
    let minutes: Vec<_> = minutes.collect();
    let most = minutes.iter().map(|(accepted, failed)| accepted.saturating_add(*failed)).max().unwrap_or(0);
    let scale = HIGH / f64::from(most.max(4));
    let mut bars = Vec::new();
    let mut x = 0.0;
    for (accepted, failed) in &minutes {
        let (low, high) = (f64::from(*accepted) * scale, f64::from(*failed) * scale);
        if *accepted > 0 {
            bars.push(Bar { tone: "good", x, y: HIGH - low, w: WIDE, h: low });
        }
        if *failed > 0 {
            bars.push(Bar { tone: "bad", x, y: (HIGH - low - high).max(0.0), w: WIDE, h: high });
        }
        if *accepted == 0 && *failed == 0 {
            bars.push(Bar { tone: "none", x, y: HIGH - 1.5, w: WIDE, h: 1.5 });
        }
        x += STEP;
    }
    let sum = |pick: fn(&(u32, u32)) -> u32| minutes.iter().map(pick).fold(0, u32::saturating_add);
    Bars { bars, accepted: sum(|one| one.0), failed: sum(|one| one.1) }
}

/// The status of a session over the last day, from its changes, the newest first.
pub(super) fn strip(
    changes: &[&StatusChange],
    present: Status,
    since: Timestamp,
    now: Timestamp,
    t: Say,
) -> Vec<Bar> {
    let from = Timestamp::from_millis(now.millis() - HOURS * 3_600_000);
    let span = (now.millis() - from.millis()) as f64;
    let place = |at: Timestamp| ((at.millis() - from.millis()) as f64 / span * STRIP).clamp(0.0, STRIP);
    let mut bars = Vec::new();
    let (mut status, mut until, mut began) = (present, now, since);
    let mut rest = changes.iter();
    loop {
        let change = rest.next();
        if let Some(change) = change {
            began = change.at;
        }
        let (left, right) = (place(began.max(from)), place(until));
        if right > left {
            // A short outage must be seen too.
            let wide = (right - left).max(3.0);
            let tone = if status == Status::Unknown { "none" } else { shown::status(status, t).tone };
            bars.push(Bar { tone, x: left, y: 0.0, w: wide, h: 12.0 });
        }
        let Some(change) = change.filter(|change| change.at > from) else { break };
        (status, until) = (change.from, change.at);
        if rest.len() == 0 {
            began = from;
        }
    }
    bars.reverse();
    bars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionName;
    use crate::domain::status::{Assessment, Confidence, Reason};
    use crate::words::Language;
    use std::time::Duration;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    #[test]
    fn bars_stand_on_the_ground_and_fit() {
        let mut window = Window::default();
        window.exhausted(at(70));
        for _ in 0..9 {
            window.accepted(at(100), Duration::ZERO);
        }
        window.exhausted(at(100));
        let drawn = bars([&window].into_iter(), at(101));
        assert_eq!((drawn.accepted, drawn.failed), (9, 2));
        for bar in &drawn.bars {
            assert!(bar.y >= 0.0 && bar.y + bar.h <= HIGH + 0.01 && bar.x < STEP * MINUTES as f64);
        }
        assert_eq!(drawn.bars.iter().filter(|bar| bar.tone == "bad").count(), 2);
        assert!(bars([&Window::default()].into_iter(), at(101)).is_empty());
    }

    #[test]
    fn a_strip_covers_the_day() {
        let change = |minute, from, to| StatusChange {
            session: SessionName::new("default").unwrap(),
            at: at(minute),
            from,
            to: Assessment { status: to, confidence: Confidence::High, reason: Reason::AllWell },
        };
        let day = 24 * 60;
        let now = at(10 * day);
        let changes = [
            change(10 * day - 60, Status::IncommunicadoCritico, Status::Online),
            change(10 * day - 120, Status::Online, Status::IncommunicadoCritico),
            change(8 * day, Status::Unknown, Status::Online),
        ];
        let changes: Vec<_> = changes.iter().collect();
        let tones = |bars: &[Bar]| bars.iter().map(|bar| bar.tone).collect::<Vec<_>>();
        let drawn = strip(&changes, Status::Online, at(10 * day - 60), now, Say(Language::Es));
        assert_eq!(tones(&drawn), ["good", "bad", "good"]);
        assert!(drawn[0].x < 0.01 && (drawn[2].x + drawn[2].w - STRIP).abs() < 0.01);
        let drawn = strip(&[], Status::Online, at(9 * day + 720), now, Say(Language::Es));
        assert_eq!((tones(&drawn), drawn[0].x.round()), (vec!["good"], 500.0));
    }
}
