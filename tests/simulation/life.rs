//! One life: a queue of events on virtual time, and everybody who acts in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use waha_watchdog::domain::confirmation::{FeedItem, FeedState};
use waha_watchdog::domain::errand::{Looked, Report};
use waha_watchdog::domain::outcome::Reply;

use super::bot::Bot;
use super::check::Check;
use super::disk::{Disk, Waiter};
use super::month::{Month, Next};
use super::people::Wish;
use super::plan::{Chance, Plan, SESSIONS, Weather};
use super::planted::Planted;
use super::sidecar::Sidecar;
use super::story::Story;
use super::world::{Request, Waha};

/// After the faults so long passes until everything must be well, in milliseconds.
const QUIET: i64 = 32 * 60_000;
/// More events than any life has.
const EVENTS_MAX: u32 = 300_000;
/// The same of a month.
const EVENTS_OF_A_MONTH: u32 = 20_000_000;

/// What happens.
pub enum What {
    Speaks,
    Calls(usize),
    Impatient(usize),
    Broken(usize),
    Hears(usize, bool),
    Arrives(Box<Request>),
    /// A message leaves WAHA for WhatsApp.
    Leaves(usize),
    Weather(usize),
    Fair(usize),
    /// `true`: and another one later.
    Crash(bool),
    Boot,
    /// People do something; WAHA restarts a session at their wish.
    Act,
    Restarts(usize),
    DiskSick(bool),
    WallSteps,
    FeedFlaps,
    Peace,
    /// In a month of a shop.
    Shop(Next),
    /// Inside the process of this boot, and gone with it.
    Mine(u32, Inner),
}

/// What happens inside the process.
pub enum Inner {
    LookAgain(usize),
    Waited(Waiter, bool),
    Unwaited(Waiter),
    Written,
    Asked(u64, Looked),
    Answered(u64, Reply, Option<String>),
    Reported(Report),
    Heard(FeedItem),
    Feed(FeedState),
    /// Somebody wants something.
    Wished(usize, Wish),
    /// The pause before the proxy's next try is over.
    TryAgain(u64),
    Wake,
}

struct Due {
    at: i64,
    turn: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

pub struct Life {
    /// Milliseconds since it began.
    pub now: i64,
    queue: BinaryHeap<Reverse<Due>>,
    turns: u64,
    pub chance: Chance,
    pub plan: Plan,
    pub planted: Option<Planted>,
    pub bot: Bot,
    pub waha: Waha,
    pub disk: Disk,
    pub sidecar: Option<Sidecar>,
    pub boot: u32,
    /// How far the wall clock is off.
    pub wall: i64,
    pub connected: bool,
    pub check: Check,
    pub story: Story,
    pub month: Option<Box<Month>>,
}

/// How a life went.
pub struct Outcome {
    pub events: u32,
    /// What did not hold.
    pub broken: Option<String>,
    pub story: Vec<String>,
}

/// Lives one seed to its end, or until something does not hold.
pub fn live(seed: u64, planted: Option<Planted>, told: bool) -> Outcome {
    let mut chance = Chance::new(seed);
    let plan = Plan::of(&mut chance);
    let mut life = Life::new(chance, plan, planted, told);
    life.story.tell(0, || format!("seed {seed}: {:?}", life.plan));
    life.begin();
    let events = life.goes_on(EVENTS_MAX);
    Outcome { events, broken: life.check.broken.clone(), story: life.story.lines }
}

/// Lives through a month: how it went, and what was seen of it.
pub fn live_month(seed: u64, month: Month, told: bool) -> (Outcome, Month) {
    let mut life = Life::new(Chance::new(seed), month.plan(), None, told);
    life.month = Some(Box::new(month));
    life.boots();
    life.month_begins();
    let events = life.goes_on(EVENTS_OF_A_MONTH);
    let outcome = Outcome { events, broken: life.check.broken.clone(), story: life.story.lines };
    (outcome, life.month.map_or_else(|| Month::new(0, &[], 1), |month| *month))
}

impl Life {
    fn new(mut chance: Chance, plan: Plan, planted: Option<Planted>, told: bool) -> Self {
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            turns: 0,
            waha: Waha::new(&plan, &mut chance),
            check: Check::new(&plan),
            chance,
            plan,
            planted,
            bot: Bot::default(),
            disk: Disk::default(),
            sidecar: None,
            boot: 0,
            wall: 0,
            connected: true,
            story: Story::new(told),
            month: None,
        }
    }

    /// To its end, or until something does not hold.
    fn goes_on(&mut self, most: u32) -> u32 {
        let mut events = 0;
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > self.ends_at() || self.check.broken.is_some() {
                break;
            }
            self.now = due.at;
            events += 1;
            if events > most {
                self.check.breaks(self.now, "the life does not end".to_owned());
                break;
            }
            self.happens(due.what);
        }
        if self.check.broken.is_none() {
            self.now = self.ends_at();
            self.look_back();
        }
        if let Some(broken) = &self.check.broken {
            let broken = broken.clone();
            self.story.tell(self.now, || format!("BROKEN: {broken}"));
        }
        events
    }

    pub fn later(&mut self, wait: i64, what: What) {
        self.turns += 1;
        self.queue.push(Reverse(Due { at: self.now + wait.max(0), turn: self.turns, what }));
    }

    pub fn mine(&mut self, wait: i64, inner: Inner) {
        self.later(wait, What::Mine(self.boot, inner));
    }

    pub fn in_faults(&self) -> bool {
        self.now < self.plan.end
    }

    pub fn ends_at(&self) -> i64 {
        self.plan.end + QUIET
    }

    fn begin(&mut self) {
        self.boots();
        self.later(100, What::Speaks);
        let end = self.plan.end;
        self.later(end, What::Peace);
        for session in 0..self.plan.sessions {
            let first = self.chance.between(5_000, 120_000);
            self.later(first, What::Weather(session));
        }
        if self.plan.crashes {
            let first = self.chance.between(10_000, 240_000);
            self.later(first, What::Crash(true));
        }
        if self.plan.people > 0 {
            let first = self.chance.between(10_000, 120_000);
            self.later(first, What::Act);
        }
        if self.plan.sick_disk {
            let at = self.chance.between(10_000, end);
            self.later(at, What::DiskSick(true));
        }
        if self.plan.steps {
            let at = self.chance.between(10_000, end);
            self.later(at, What::WallSteps);
        }
        if self.plan.follow && self.plan.feed_trouble > 0 {
            let at = self.chance.between(10_000, end);
            self.later(at, What::FeedFlaps);
        }
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Speaks => self.speaks(),
            What::Calls(message) => self.calls(message),
            What::Impatient(call) => self.impatient(call),
            What::Broken(call) => self.broken(call),
            What::Hears(call, accepted) => {
                if self.bot.calls[call].open {
                    self.hears(call, accepted);
                }
            }
            What::Arrives(request) => self.arrives(*request),
            What::Leaves(message) => self.leaves(message),
            What::Weather(session) => self.weather_turns(session),
            What::Fair(session) => self.fair(session),
            What::Crash(again) => self.crash(again),
            What::Act => self.people_act(),
            What::Restarts(session) => self.restarts(session),
            What::Boot => {
                if self.sidecar.is_none() {
                    self.boots();
                }
            }
            What::DiskSick(sick) => {
                if self.in_faults() || !sick {
                    self.disk_sick(sick);
                }
            }
            What::WallSteps => {
                let spans = [-3_600_000, -300_000, -60_000, 60_000, 300_000, 3_600_000];
                self.wall += spans[self.chance.below(spans.len())];
                self.story
                    .tell(self.now, || format!("clock: the wall clock is off by {} s", self.wall / 1000));
            }
            What::FeedFlaps => {
                self.connected = !self.connected || !self.in_faults();
                let state = if self.connected { FeedState::Connected } else { FeedState::Connecting };
                self.mine(0, Inner::Feed(state));
                if self.in_faults() {
                    let wait = self.chance.between(1_000, 120_000);
                    self.later(wait, What::FeedFlaps);
                }
            }
            What::Peace => self.peace(),
            What::Shop(next) => self.shop(next),
            What::Mine(boot, inner) if boot == self.boot && self.sidecar.is_some() => self.inside(inner),
            What::Mine(..) => {}
        }
    }

    fn crash(&mut self, again: bool) {
        if !self.in_faults() || !again && self.sidecar.is_none() {
            return;
        }
        self.dies();
        let away = if self.chance.percent(70) {
            self.chance.between(200, 5_000)
        } else {
            self.chance.between(5_000, 120_000)
        };
        self.later(away, What::Boot);
        if again {
            let next = self.chance.between(1_000, 300_000);
            self.later(away + next, What::Crash(true));
        }
    }

    /// The process is gone, at once.
    pub fn dies(&mut self) {
        self.story.tell(self.now, || "CRASH".to_owned());
        // What was under way and has left: where there is no intent on disk either (SPEC 4.5), nobody knows of it afterwards.
        let runs = self.sidecar.take().map(|sidecar| sidecar.runs).unwrap_or_default();
        runs.values().filter(|run| run.left).for_each(|run| self.check.cut_off(run));
        self.disk_crashes();
        self.boot += 1;
        self.check.crashed(&self.disk);
        // The bot sees its connections break.
        let open: Vec<_> = (0..self.bot.calls.len()).filter(|call| self.bot.calls[*call].open).collect();
        for call in open {
            self.broken(call);
        }
    }

    /// Faults end.
    fn peace(&mut self) {
        self.story.tell(self.now, || "PEACE: no more faults".to_owned());
        (0..self.plan.sessions).for_each(|session| self.fair(session));
        self.disk.sick = false;
        if self.sidecar.is_none() {
            self.boots();
        }
        if self.plan.follow && !self.connected {
            self.connected = true;
            self.mine(0, Inner::Feed(FeedState::Connected));
        }
        if self.plan.people > 0 {
            // Once the disk is written again, so that it is heard.
            self.mine(10_000, Inner::Wished(0, Wish::Resume));
        }
    }

    fn weather_turns(&mut self, session: usize) {
        if !self.in_faults() {
            return;
        }
        let weather = self.plan.weathers[self.chance.below(self.plan.weathers.len())];
        self.waha.weather[session] = weather;
        self.story.tell(self.now, || format!("WAHA: {weather:?} in {}", SESSIONS[session]));
        let lasts = if self.chance.percent(30) {
            self.chance.between(500, 15_000)
        } else {
            self.chance.between(10_000, 360_000)
        };
        let pause = if self.chance.percent(30) {
            self.chance.between(500, 10_000)
        } else {
            self.chance.between(10_000, 200_000)
        };
        self.later(lasts, What::Fair(session));
        self.later(lasts + pause, What::Weather(session));
    }

    pub fn fair(&mut self, session: usize) {
        if self.waha.weather[session] != Weather::Fair {
            self.story.tell(self.now, || format!("WAHA: fair in {}", SESSIONS[session]));
            self.waha.weather[session] = Weather::Fair;
            self.stuck_leave(session);
        }
    }
}
