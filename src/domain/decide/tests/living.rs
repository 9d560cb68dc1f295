//! The bot is asked at its own health URL: when, what silence there means, whom that is told, and what a restart leaves of it.

use super::bench::*;
use super::*;
use crate::domain::bot::BotFound;
use crate::domain::errand::Errand;
use crate::domain::incident::Incident;
use crate::domain::status::Reason;

const GONE: (Status, Reason) = (Status::Offline, Reason::BotGone);

impl Bench {
    fn asked_by_probe() -> Self {
        let mut bench = Self::new();
        bench.policy.liveness = Liveness::Probe;
        bench
    }

    /// Time passes; whenever the bot is asked, this is found. Gives how often it was.
    fn lives_on(&mut self, seconds: u64, found: BotFound) -> usize {
        let mut asked = 0;
        for _ in 0..seconds {
            self.pass(1);
            if self.asks_the_bot() {
                asked += 1;
                self.event(Event::Report(Report::BotProbed { found }));
            }
        }
        asked
    }

    fn asks_the_bot(&mut self) -> bool {
        let before = self.errands.len();
        self.errands.retain(|errand| *errand != Errand::ProbeBot);
        before > self.errands.len()
    }

    fn incident(&self) -> Option<&Incident> {
        self.state.incidents().values().next()
    }
}

#[test]
fn a_bot_that_answers_is_asked_every_three_minutes_and_is_no_matter() {
    let mut bench = Bench::asked_by_probe();
    assert_eq!(bench.lives_on(1800, BotFound::Alive), 10);
    assert_ne!(bench.status(), GONE);
    assert!(bench.raised().is_empty() && bench.incident().is_none());
}

#[test]
fn by_its_traffic_nobody_asks_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.lives_on(1800, BotFound::Unreachable), 0);
}

#[test]
fn one_that_does_not_answer_for_ten_minutes_is_gone_and_that_is_told_once() {
    let mut bench = Bench::asked_by_probe();
    bench.lives_on(2, BotFound::Alive);
    let asked = bench.lives_on(599, BotFound::Unwell);
    assert!((25..=30).contains(&asked), "every 15 s from the first failure on: {asked}");
    assert_ne!(bench.status(), GONE, "ten minutes are not over");
    bench.lives_on(10, BotFound::TimedOut);
    assert_eq!(bench.status(), GONE);
    assert!(bench.incident().is_some());
    bench.lives_on(600, BotFound::Unreachable);
    assert_eq!(bench.raised(), ["bot_gone"]);
    bench.lives_on(15, BotFound::Alive);
    assert_ne!(bench.status(), GONE, "one answer shows that it lives");
    bench.lives_on(125, BotFound::Alive);
    assert!(bench.incident().is_none());
}

#[test]
fn a_single_answer_that_failed_to_come_is_no_silence() {
    let mut bench = Bench::asked_by_probe();
    bench.policy.probe.interval = Duration::from_secs(1200);
    bench.lives_on(1200, BotFound::Alive);
    bench.lives_on(3, BotFound::TimedOut);
    assert_ne!(bench.status(), GONE, "nobody asked for twenty minutes, and once it failed");
    bench.lives_on(20, BotFound::TimedOut);
    assert_eq!(bench.status(), GONE, "twice in a row, and no answer for twenty minutes");
}

#[test]
fn a_restart_changes_nothing_and_tells_nobody() {
    let mut bench = Bench::asked_by_probe();
    bench.lives_on(2, BotFound::Alive);
    bench.lives_on(700, BotFound::Unreachable);
    assert_eq!((bench.status(), bench.raised()), (GONE, vec!["bot_gone"]));
    bench.answer(None);
    bench.restart();
    bench.lives_on(120, BotFound::Unreachable);
    assert_eq!((bench.status(), bench.raised()), (GONE, vec![]));
    bench.restart();
    bench.lives_on(10, BotFound::Alive);
    assert_ne!(bench.status(), GONE);
    // And one that lived when the process ended has two minutes.
    bench.now = bench.now + Duration::from_secs(3600);
    bench.restart();
    bench.lives_on(110, BotFound::Unreachable);
    assert_ne!(bench.status(), GONE);
    bench.lives_on(20, BotFound::Unreachable);
    assert_eq!(bench.status(), GONE);
}

#[test]
fn nobody_asking_is_not_nobody_answering() {
    let mut bench = Bench::asked_by_probe();
    bench.lives_on(2, BotFound::Alive);
    bench.lives_on(1200, BotFound::NotAsked);
    assert_ne!(bench.status(), GONE);
}

#[test]
fn with_several_sessions_one_tells_and_one_tells_the_end() {
    let mut bench = Bench::asked_by_probe();
    let names = ["default", "sales"].map(|name| SessionName::new(name).unwrap());
    bench.state = State::new(&names, bench.now, [7; 16]);
    bench.lives_on(2, BotFound::Alive);
    bench.lives_on(700, BotFound::Unreachable);
    assert_eq!(bench.state.incidents().len(), 2);
    bench.lives_on(200, BotFound::Alive);
    assert!(bench.state.incidents().is_empty());
    assert_eq!(bench.raised(), ["bot_gone", "recovery"]);
}
