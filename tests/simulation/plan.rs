//! Chance, and the faults of one seed: each seed has a random few of them, at random rates. All at once would hide what one alone shows.

use waha_watchdog::domain::decide::OTHER_SESSIONS;

/// SplitMix64: small, quick, and the same everywhere.
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `low..high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from((high - low).max(1)).unwrap_or(1);
        low + i64::try_from(self.next() % span).unwrap_or(0)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// True in so many of a hundred.
    pub fn percent(&mut self, share: u32) -> bool {
        self.next() % 100 < u64::from(share)
    }

    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        bytes
    }
}

/// How WAHA is for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Nobody listens.
    Down,
    /// The session does not work.
    NotWorking,
    /// Calls hang until WAHA gives up after two minutes; the message may leave any time.
    Hangs,
    /// 500, sent or not, at once or late.
    Errors,
    /// Accepts everything, and nothing reaches WhatsApp for now.
    AckDead,
}

/// What one seed has in store.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Faults end then, in milliseconds.
    pub end: i64,
    /// From one new message of the bot to the next, at the most.
    pub pace: i64,
    /// How long the bot waits for an answer.
    pub patience: i64,
    /// Bad weathers that may come.
    pub weathers: Vec<Weather>,
    /// Percent: an answer of WAHA is lost on its way, a feed event comes twice, is lost, or late.
    pub lost_answer: u32,
    pub feed_trouble: u32,
    /// Percent: a bot that gave up tries a fifth time.
    pub fifth: u32,
    pub crashes: bool,
    /// How long a commit takes, at the most.
    pub slow_disk: i64,
    pub sick_disk: bool,
    /// The wall clock steps.
    pub steps: bool,
    /// WAHA's event feed is followed.
    pub follow: bool,
    /// WAHA takes the caller's message id; WAHA can be asked for messages.
    pub takes_id: bool,
    pub looks: bool,
    pub admin: bool,
    /// Alerts go by mail too; percent of mails the server does not take.
    pub mail: bool,
    pub mail_trouble: u32,
    /// Chats that are not on WhatsApp, or restricted.
    pub bad_chats: u32,
    /// Sessions, each with its own weather; the last may be one that the configuration does not name.
    pub sessions: usize,
    pub unlisted: bool,
    /// From one thing that people do to the next, at the most: often in half of the lives, now and then in the others. 0 in a month of a shop.
    pub people: i64,
    /// The proxy tries again (`retry.mode = "proxy"`), and the bot so often itself.
    pub proxy: bool,
    pub tries: u32,
}

/// All sessions there may be.
pub const SESSIONS: [&str; 3] = ["default", "sales", "support"];

impl Plan {
    pub fn of(chance: &mut Chance) -> Self {
        let all = [Weather::Down, Weather::NotWorking, Weather::Hangs, Weather::Errors, Weather::AckDead];
        let mut weathers: Vec<_> = all.into_iter().filter(|_| chance.percent(40)).collect();
        if weathers.is_empty() {
            weathers.push(all[chance.below(all.len())]);
        }
        let some = |chance: &mut Chance, share, most| {
            if chance.percent(share) { u32::try_from(chance.between(1, most)).unwrap_or(0) } else { 0 }
        };
        let plan = Self {
            end: chance.between(4, 20) * 60_000,
            pace: chance.between(5, 60) * 1000,
            patience: chance.between(2, 40) * 1000,
            weathers,
            lost_answer: some(chance, 40, 25),
            feed_trouble: some(chance, 40, 40),
            fifth: some(chance, 50, 80),
            crashes: chance.percent(50),
            slow_disk: if chance.percent(30) { chance.between(50, 3000) } else { 6 },
            sick_disk: chance.percent(15),
            steps: chance.percent(25),
            follow: chance.percent(60),
            takes_id: chance.percent(50),
            looks: chance.percent(70),
            admin: chance.percent(85),
            bad_chats: some(chance, 35, 3),
            // Drawn last, so that earlier seeds live as they did.
            mail: chance.percent(50),
            mail_trouble: some(chance, 50, 60),
            sessions: 1,
            unlisted: false,
            people: 0,
            proxy: false,
            tries: 4,
        };
        Self::more(plan, chance)
    }

    /// What came later: several sessions, people who act, a proxy that tries again.
    fn more(plan: Self, chance: &mut Chance) -> Self {
        let sessions = [1, 1, 2, 2, 3][chance.below(5)];
        let proxy = chance.percent(30);
        Self {
            sessions,
            unlisted: sessions > 1 && chance.percent(25),
            people: if chance.percent(50) { chance.between(3, 60) } else { chance.between(60, 600) } * 1000,
            proxy,
            tries: if proxy && chance.percent(60) { 1 } else { 4 },
            ..plan
        }
    }

    /// The sessions of the configuration.
    pub fn listed(&self) -> &'static [&'static str] {
        &SESSIONS[..self.sessions - usize::from(self.unlisted)]
    }

    /// The name under which what happens in a session counts.
    pub fn counted(&self, session: usize) -> &'static str {
        self.listed().get(session).copied().unwrap_or(OTHER_SESSIONS)
    }
}
