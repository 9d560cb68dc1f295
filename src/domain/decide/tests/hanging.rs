//! Sends that hang: WAHA is asked how it is long before their time is over.

use super::bench::{Bench, attempt};
use super::*;
use crate::domain::errand::Errand;
use crate::domain::probe::ProbeResult;
use crate::domain::status::Reason;

impl Bench {
    fn begin(&mut self, send: u8) {
        let ended = attempt(send, 1, Via::Bot, None, self.now);
        let what = Arc::clone(&ended.what);
        let (attempt, started) = (ended.attempt, self.now);
        let intent = Intent { attempt, via: Via::Bot, first_at: started, started, what, request: None };
        self.position += 1;
        self.event(Event::Entry(Position(self.position), Entry::Intent(intent)));
    }

    fn probes(&mut self) -> usize {
        let errands = std::mem::take(&mut self.errands);
        errands.iter().filter(|errand| matches!(errand, Errand::Probe(_))).count()
    }
}

fn probed() -> Bench {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.working();
    bench.probes();
    bench
}

#[test]
fn a_send_that_hangs_makes_waha_be_asked() {
    let mut bench = probed();
    bench.pass(20);
    bench.begin(1);
    bench.pass(9);
    assert_eq!(bench.probes(), 0, "WAHA may take its time");
    bench.pass(7);
    assert_eq!(bench.probes(), 1);
    bench.probe(ProbeResult::TimedOut);
    bench.pass(15);
    assert_eq!(bench.probes(), 1);
    bench.probe(ProbeResult::TimedOut);
    assert_eq!(bench.status(), (Status::Degraded, Reason::HealthcheckFailing));
    assert_eq!(bench.raised(), ["preventive"]);
}

#[test]
fn one_slow_send_is_one_question_where_waha_is_well() {
    let mut bench = probed();
    bench.begin(1);
    bench.pass(16);
    assert_eq!(bench.probes(), 1);
    bench.working();
    bench.pass(120);
    assert_eq!(bench.probes(), 0, "asked since it hangs, and well");
    bench.begin(2);
    bench.pass(16);
    assert_eq!(bench.probes(), 1, "another one");
}
