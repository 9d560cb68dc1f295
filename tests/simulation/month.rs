//! A month in the life of a shop: ordinary days, and outages planted into them.
//!
//! Ordinary are: orders by day and silence by night, 2 % of numbers that are not on WhatsApp, contacts that WhatsApp restricts (one afternoon
//! all new ones), phones that are off, single calls that fail or whose answer is lost, an event feed that breaks off, restarts of the sidecar
//! (clean ones and crashes) and of WAHA at night, blips of WAHA that the bot's own retries get over, and people who call whom the bot could
//! not reach. None of it may wake anybody.

use std::time::Duration;

use waha_watchdog::domain::confirmation::FeedState;
use waha_watchdog::domain::notification::Failure;
use waha_watchdog::domain::order::NotificationType;
use waha_watchdog::domain::outcome::Cause;
use waha_watchdog::domain::probe::SessionState;
use waha_watchdog::domain::status::Status;

use super::bot::Message;
use super::life::{Inner, Life, What};
use super::people::Wish;
use super::plan::{Plan, Weather};
use super::scrape::Recorder;

const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// A life begins at this hour of the day, and so does each of its days.
const FIRST_HOUR: i64 = 4;
/// Orders an hour, by the hour of the day.
const ORDERS: [i64; 24] = [0, 0, 0, 0, 0, 0, 0, 0, 4, 8, 12, 14, 16, 12, 10, 10, 12, 14, 16, 14, 10, 6, 0, 0];
/// Who is on call looks at the panel so often while an outage lasts, and once after it, and calls the customers.
const ON_CALL: i64 = 10 * MINUTE;

/// What a month has in store.
pub struct Month {
    pub days: i64,
    pub outages: Vec<Outage>,
    /// From one scrape to the next.
    pub every: i64,
    pub recorder: Recorder,
    /// Statuses that page, as the core took them: between two scrapes too.
    pub alarming: Vec<(i64, Status)>,
    /// What goes on besides the weather.
    pub now: Option<Kind>,
    customers: usize,
    restricted: bool,
}

/// Something breaks, and is put right again.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub kind: Kind,
    pub from: i64,
    pub until: i64,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WAHA is down.
    Refused,
    /// WAHA answers nothing.
    TimeOuts,
    /// WAHA answers 500 to all.
    Errors,
    /// The session wants its QR code scanned.
    ScanQr,
    /// The session is broken, at night: nobody sends.
    FailedAtNight,
    /// WAHA accepts, and nothing leaves.
    NeverAcked,
    /// WAHA refuses the bot's key.
    KeyRefused,
    /// Every second customer gets nothing.
    HalfLost,
    /// The sidecar is down.
    SidecarDown,
    /// Its disk cannot be written.
    DiskBroken,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::TimeOuts,
        Self::Errors,
        Self::ScanQr,
        Self::FailedAtNight,
        Self::NeverAcked,
        Self::KeyRefused,
        Self::HalfLost,
        Self::SidecarDown,
        Self::DiskBroken,
    ];

    /// The hour of the day it begins at, and how many minutes it lasts.
    const fn when(self) -> (i64, i64) {
        match self {
            Self::Refused => (12, 25),
            Self::TimeOuts => (17, 40),
            Self::Errors => (11, 45),
            Self::ScanQr => (10, 30),
            Self::FailedAtNight => (25, 60),
            Self::NeverAcked => (18, 30),
            Self::KeyRefused => (19, 20),
            Self::HalfLost => (16, 100),
            Self::SidecarDown => (13, 15),
            Self::DiskBroken => (12, 20),
        }
    }
}

/// What is next in the shop.
pub enum Next {
    Order,
    /// The next message of an order: its chat, its number, which.
    Says(usize, usize, NotificationType),
    Scrape,
    /// Restart of the sidecar: asked for, or by surprise; it is away for so long.
    Restart(bool, i64),
    /// WAHA is away for so long.
    Blip(i64),
    FeedBreaks(bool),
    /// New contacts are restricted, or no more.
    Restricted(bool),
    People(i64),
    Breaks(usize),
    Mended(usize),
    Day(i64),
}

impl Month {
    /// `days` of it, with `outages`, each on a day of its own.
    pub fn new(days: i64, outages: &[Kind], every: i64) -> Self {
        let count = i64::try_from(outages.len()).unwrap_or(1).max(1);
        let outages = outages.iter().zip(0..).map(|(kind, number)| {
            // Spread over the month; not on the first day, which the shop begins without a past.
            let day = if days > count { 1 + number * (days - 1) / count } else { number };
            let (hour, minutes) = kind.when();
            let from = day * DAY + (hour - FIRST_HOUR) * HOUR;
            Outage { kind: *kind, from, until: from + minutes * MINUTE }
        });
        Self {
            days,
            outages: outages.collect(),
            every,
            recorder: Recorder::default(),
            alarming: Vec::new(),
            now: None,
            customers: 0,
            restricted: false,
        }
    }

    pub fn plan(&self) -> Plan {
        Plan {
            end: self.days * DAY,
            pace: MINUTE,
            patience: 30 * SECOND,
            weathers: Vec::new(),
            lost_answer: 1,
            feed_trouble: 1,
            fifth: 5,
            crashes: false,
            slow_disk: 20,
            sick_disk: false,
            steps: false,
            follow: true,
            takes_id: true,
            looks: true,
            admin: true,
            mail: true,
            mail_trouble: 1,
            bad_chats: 0,
            sessions: 1,
            unlisted: false,
            people: 0,
            proxy: false,
            tries: 4,
        }
    }

    fn is_broken(&self, at: i64) -> bool {
        self.outages.iter().any(|outage| (outage.from..outage.until + HOUR).contains(&at))
    }
}

/// The hour of the day.
fn hour(at: i64) -> i64 {
    (at / HOUR + FIRST_HOUR) % 24
}

impl Life {
    pub fn month_begins(&mut self) {
        let Some(month) = &self.month else { return };
        let outages: Vec<_> = month.outages.iter().map(|outage| (outage.from, outage.until)).collect();
        let every = month.every;
        for (number, (from, until)) in outages.into_iter().enumerate() {
            self.later(from, What::Shop(Next::Breaks(number)));
            self.later(until, What::Shop(Next::Mended(number)));
        }
        self.later(every / 2, What::Shop(Next::Scrape));
        self.later(0, What::Shop(Next::Order));
        self.later(0, What::Shop(Next::Day(0)));
    }

    pub fn shop(&mut self, next: Next) {
        let now = self.now;
        match next {
            Next::Day(day) => self.a_day(day),
            Next::Order => self.order(),
            Next::Says(chat, order, kind) => self.says_of_order(chat, order, kind),
            Next::Scrape => {
                let every = self.month.as_ref().map_or(MINUTE, |month| month.every);
                let ends = self.month.as_ref().map_or(0, |month| month.days * DAY);
                if now + every < ends {
                    self.later(every, What::Shop(Next::Scrape));
                }
                self.is_scraped();
            }
            Next::Restart(asked, away) => self.sidecar_restarts(asked, away),
            Next::Blip(lasts) if self.waha.weather[0] == Weather::Fair => {
                self.waha.weather[0] = Weather::Down;
                self.later(lasts, What::Fair(0));
            }
            Next::Blip(_) => {}
            Next::FeedBreaks(breaks) => {
                self.connected = !breaks;
                let state = if breaks { FeedState::Connecting } else { FeedState::Connected };
                self.mine(0, Inner::Feed(state));
            }
            Next::Restricted(restricted) => {
                self.month.as_mut().iter_mut().for_each(|month| month.restricted = restricted);
            }
            Next::People(age) => self.people(age),
            Next::Breaks(number) => self.breaks(number),
            Next::Mended(number) => self.mended(number),
        }
    }

    /// What this day brings besides orders.
    fn a_day(&mut self, day: i64) {
        let Some(month) = &self.month else { return };
        let (days, begins) = (month.days, self.now);
        let free = |at: i64| !month.is_broken(begins + at);
        let mut coming = Vec::new();
        let chance = &mut self.chance;
        let by_day = |chance: &mut super::plan::Chance| chance.between(5 * HOUR, 17 * HOUR);
        // 04:30: the sidecar is updated; 05:00: WAHA restarts.
        coming.push((30 * MINUTE, Next::Restart(true, chance.between(SECOND, 4 * SECOND))));
        coming.push((HOUR, Next::Blip(chance.between(30 * SECOND, MINUTE))));
        coming.push((by_day(chance), Next::Restart(true, chance.between(SECOND, 4 * SECOND))));
        if day % 3 == 1 {
            coming.push((by_day(chance), Next::Restart(false, chance.between(2 * SECOND, 15 * SECOND))));
        }
        for _ in 0..2 {
            coming.push((by_day(chance), Next::Blip(chance.between(SECOND, 3 * SECOND))));
        }
        let breaks = by_day(chance);
        coming.push((breaks, Next::FeedBreaks(true)));
        coming.push((breaks + chance.between(10 * SECOND, 5 * MINUTE), Next::FeedBreaks(false)));
        if day % 10 == 4 {
            coming.push((11 * HOUR, Next::Restricted(true)));
            coming.push((14 * HOUR, Next::Restricted(false)));
        }
        coming.extend((10..36).map(|half| (half * HOUR / 2, Next::People(30 * MINUTE))));
        coming.retain(|(at, next)| {
            free(*at) || matches!(next, Next::People(_) | Next::FeedBreaks(false) | Next::Restricted(false))
        });
        for (at, next) in coming {
            self.later(at, What::Shop(next));
        }
        if day + 1 < days {
            self.later(DAY, What::Shop(Next::Day(day + 1)));
        }
    }

    fn order(&mut self) {
        let rate = ORDERS[usize::try_from(hour(self.now)).unwrap_or(0)];
        let Some(month) = &mut self.month else { return };
        if self.now + 2 * HOUR > month.days * DAY {
            return;
        }
        if rate == 0 {
            let wait = HOUR - self.now % HOUR + self.chance.between(0, 10 * MINUTE);
            return self.later(wait, What::Shop(Next::Order));
        }
        let wait = self.chance.between(SECOND, 2 * HOUR / rate);
        self.later(wait, What::Shop(Next::Order));
        let Some(month) = &mut self.month else { return };
        let chat = if month.customers > 50 && self.chance.percent(15) {
            month.customers - 1 - self.chance.below(50)
        } else {
            month.customers += 1;
            let chat = month.customers - 1;
            match self.chance.below(1000) {
                0..20 => self.waha.bad.push((chat, Cause::NumberNotOnWhatsapp)),
                20..27 => self.waha.bad.push((chat, Cause::ContactRestricted)),
                _ if month.restricted => self.waha.bad.push((chat, Cause::ContactRestricted)),
                _ => {}
            }
            chat
        };
        let order = self.bot.orders.len();
        self.bot.orders.push((0, chat, NotificationType::OrderReceived));
        self.says_of_order(chat, order, NotificationType::OrderReceived);
        if self.chance.percent(30) {
            self.says(format!("words {}", self.bot.messages.len()), chat, None);
        }
    }

    fn says_of_order(&mut self, chat: usize, order: usize, kind: NotificationType) {
        use NotificationType::{OrderConfirmed, OrderReceived, OrderShipped};
        let wait = match kind {
            OrderReceived => Some((OrderConfirmed, self.chance.between(2 * MINUTE, 10 * MINUTE))),
            OrderConfirmed => {
                let wait = self.chance.between(HOUR, 5 * HOUR);
                // Nothing is shipped at night.
                let late = !(8..22).contains(&hour(self.now + wait));
                Some((OrderShipped, if late { wait + 11 * HOUR } else { wait }))
            }
            _ => None,
        };
        let end = self.month.as_ref().map_or(0, |month| month.days * DAY);
        if let Some((kind, wait)) = wait.filter(|(_, wait)| self.now + wait + 2 * HOUR < end) {
            self.later(wait, What::Shop(Next::Says(chat, order, kind)));
        }
        self.says(format!("order {order} {}", kind.as_str()), chat, Some((order, kind)));
    }

    fn says(&mut self, text: String, chat: usize, order: Option<(usize, NotificationType)>) {
        self.bot.messages.push(Message {
            text,
            session: 0,
            chat,
            order,
            attempts: 0,
            heard: None,
            over: false,
        });
        self.calls(self.bot.messages.len() - 1);
    }

    /// The sidecar ends, cleanly or not, and comes back.
    fn sidecar_restarts(&mut self, asked: bool, away: i64) {
        let Some(sidecar) = &self.sidecar else { return };
        let busy = !sidecar.runs.is_empty() || !sidecar.asking.is_empty() || self.disk.is_busy();
        if asked && busy {
            // It drains.
            return self.later(200, What::Shop(Next::Restart(true, away)));
        }
        self.dies();
        self.later(away, What::Boot);
    }

    /// People call the customers the bot could not reach since `age`, and settle their records.
    fn people(&mut self, age: i64) {
        let now = self.clock();
        let Some(sidecar) = &self.sidecar else { return };
        let old = |failure: &Failure| {
            failure.is_open() && now.since(failure.created_at) >= Duration::from_millis(age.unsigned_abs())
        };
        let open = sidecar.state.cases().values().filter(|case| case.failure.as_ref().is_some_and(old));
        let called: Vec<_> = open.map(|case| case.send).collect();
        for send in called {
            self.obeys(0, Wish::Resolve(send));
        }
    }

    fn breaks(&mut self, number: usize) {
        let Some(outage) = self.month.as_ref().map(|month| month.outages[number]) else { return };
        self.story.tell(self.now, || format!("OUTAGE: {:?}", outage.kind));
        self.waha.weather[0] = match outage.kind {
            Kind::Refused => Weather::Down,
            Kind::TimeOuts => Weather::Hangs,
            Kind::Errors => Weather::Errors,
            Kind::ScanQr | Kind::FailedAtNight => Weather::NotWorking,
            Kind::NeverAcked => Weather::AckDead,
            _ => self.waha.weather[0],
        };
        match outage.kind {
            Kind::FailedAtNight => self.waha.state = SessionState::Failed,
            Kind::ScanQr => self.waha.state = SessionState::ScanQrCode,
            Kind::SidecarDown => self.dies(),
            Kind::DiskBroken => self.disk.sick = true,
            _ => {}
        }
        if let Some(month) = &mut self.month {
            month.now = Some(outage.kind);
        }
        let mut look = ON_CALL;
        while look < outage.until - outage.from {
            self.later(look, What::Shop(Next::People(0)));
            look += ON_CALL;
        }
    }

    fn mended(&mut self, number: usize) {
        let Some(outage) = self.month.as_ref().map(|month| month.outages[number]) else { return };
        self.story.tell(self.now, || format!("MENDED: {:?}", outage.kind));
        match outage.kind {
            Kind::SidecarDown => self.later(0, What::Boot),
            Kind::DiskBroken => self.disk.sick = false,
            _ => {}
        }
        if let Some(month) = &mut self.month {
            month.now = None;
        }
        self.fair(0);
        self.later(ON_CALL, What::Shop(Next::People(0)));
    }
}
