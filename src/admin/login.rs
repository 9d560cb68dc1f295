//! Who has logged in to the panel, until when; and how often one may try (SPEC 11).
//!
//! A login is kept here, in memory: what the browser holds is a random name of it. It ends by rest, by age, by log-out, at a restart, and as
//! soon as its token is gone. Failed tries are counted per client and in all, within bounds. Here too: the answer to *does this form come from
//! our own page?*, a digest under a key that only this process knows.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::Token;
use crate::domain::time::Timestamp;

/// A login nobody used for so long is over.
pub const RESTS_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// So is one this old, used or not: a night's shift.
pub const LASTS_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Logins open at once; beyond them the one that rests longest goes.
const OPEN_MAX: usize = 256;
/// Failed tries of one client within [`TRIES_WITHIN`].
const TRIES_MAX: usize = 10;
/// Failed tries of all clients together within [`TRIES_WITHIN`].
const TRIES_ALL_MAX: usize = 200;
/// The time within which failed tries count.
const TRIES_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Clients whose failed tries are remembered; beyond them the one that was quiet longest is forgotten.
const CLIENTS_MAX: usize = 1024;

/// All logins.
#[derive(Debug)]
pub struct Logins {
    key: [u8; 32],
    open: Mutex<BTreeMap<[u8; 32], Login>>,
    tries: Mutex<Tries>,
}

#[derive(Debug)]
struct Login {
    token: Holder,
    began: Timestamp,
    used: Timestamp,
}

/// Whose login it is: a token by its name and digest, so that another secret under the same name is another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) digest: [u8; 32],
}

impl Logins {
    /// Nobody is logged in. `key`: 32 bytes nobody can guess.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, open: Mutex::default(), tries: Mutex::default() }
    }

    /// The holder of `token` logs in. `secret`: 32 bytes nobody can guess. Gives the name of the login, for the browser alone.
    pub fn open(&self, token: &Token, secret: [u8; 32], now: Timestamp) -> String {
        let name = hex(&secret);
        let mut open = self.logins();
        open.retain(|_, login| login.lives(now));
        if open.len() >= OPEN_MAX
            && let Some(longest) = open.iter().min_by_key(|(_, login)| login.used).map(|(name, _)| *name)
        {
            open.remove(&longest);
        }
        open.insert(digest(&name), Login { token: token.holder(), began: now, used: now });
        name
    }

    /// Whose login this is; `None` where there is none, or none any more. `used`: by the person, not by a page that refreshes itself.
    pub(super) fn holder(&self, name: &str, now: Timestamp, used: bool) -> Option<Holder> {
        let mut open = self.logins();
        let key = digest(name);
        let login = open.get_mut(&key)?;
        if !login.lives(now) {
            open.remove(&key);
            return None;
        }
        if used {
            login.used = now;
        }
        Some(login.token.clone())
    }

    /// Is this login still one? That is no use of it.
    pub fn lives(&self, name: &str, now: Timestamp) -> bool {
        self.holder(name, now, false).is_some()
    }

    /// Logs out.
    pub fn close(&self, name: &str) {
        self.logins().remove(&digest(name));
    }

    /// What a form of ours carries: only a page that was made for `anchor` (a login, or a browser) knows it.
    pub fn csrf(&self, anchor: &str) -> String {
        hex(&self.mac(anchor))
    }

    /// Is `given` what a page made for `anchor` carries?
    pub fn knows_csrf(&self, anchor: &str, given: &str) -> bool {
        let expected = self.csrf(anchor);
        bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
    }

    fn mac(&self, anchor: &str) -> [u8; 32] {
        // A key of any length is taken.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return [0; 32] };
        mac.chain_update(b"csrf").chain_update(anchor.as_bytes()).finalize().into_bytes().into()
    }

    /// May this client try a secret now? Else how long it must wait.
    pub fn may_try(&self, client: IpAddr, now: Timestamp) -> Result<(), Duration> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).may(group(client), now)
    }

    /// It tried one in vain.
    pub fn tried_in_vain(&self, client: IpAddr, now: Timestamp) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).failed(group(client), now);
    }

    fn logins(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Login>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.used) < RESTS_MAX && now.since(self.began) < LASTS_MAX
    }
}

/// Failed tries.
#[derive(Debug, Default)]
struct Tries {
    by_client: BTreeMap<IpAddr, VecDeque<Timestamp>>,
    all: VecDeque<Timestamp>,
}

impl Tries {
    fn may(&mut self, client: IpAddr, now: Timestamp) -> Result<(), Duration> {
        forget(&mut self.all, now);
        let own = self.by_client.get_mut(&client).and_then(|tries| wait(tries, TRIES_MAX, now));
        let all = wait(&mut self.all, TRIES_ALL_MAX, now);
        own.max(all).map_or(Ok(()), Err)
    }

    fn failed(&mut self, client: IpAddr, now: Timestamp) {
        if self.all.len() < TRIES_ALL_MAX {
            self.all.push_back(now);
        }
        if self.by_client.len() >= CLIENTS_MAX && !self.by_client.contains_key(&client) {
            self.by_client.retain(|_, tries| {
                forget(tries, now);
                !tries.is_empty()
            });
            let quiet = self.by_client.iter().min_by_key(|(_, tries)| tries.back().copied());
            if let Some(quiet) =
                quiet.map(|(client, _)| *client).filter(|_| self.by_client.len() >= CLIENTS_MAX)
            {
                self.by_client.remove(&quiet);
            }
        }
        let tries = self.by_client.entry(client).or_default();
        if tries.len() < TRIES_MAX {
            tries.push_back(now);
        }
    }
}

fn forget(tries: &mut VecDeque<Timestamp>, now: Timestamp) {
    while tries.front().is_some_and(|at| now.since(*at) >= TRIES_WITHIN) {
        tries.pop_front();
    }
}

/// How long until there are fewer than `most`; `None` where there are.
fn wait(tries: &mut VecDeque<Timestamp>, most: usize, now: Timestamp) -> Option<Duration> {
    forget(tries, now);
    if tries.len() < most {
        return None;
    }
    tries.front().map(|first| TRIES_WITHIN.saturating_sub(now.since(*first)))
}

/// Whoever has one IPv6 address mostly has 2^64 of them.
fn group(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name.as_bytes()).into()
}

/// As lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::access::TokenRole;
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn token(name: &str, secret: &str) -> Token {
        Token::new(name.into(), TokenRole::Operator, secret)
    }

    #[test]
    fn a_login_ends_by_rest_by_age_and_by_log_out() {
        let logins = Logins::new([1; 32]);
        let ana = token("ana", "secret-of-ana-0001");
        let name = logins.open(&ana, [7; 32], at(0));
        assert_eq!(name.len(), 64);
        assert_eq!(logins.holder(&name, at(119), true), Some(ana.holder()));
        assert_eq!(logins.holder(&name, at(237), true), Some(ana.holder()), "used 118 minutes ago");
        assert_eq!(logins.holder(&name, at(300), false), Some(ana.holder()), "a refresh");
        assert_eq!(logins.holder(&name, at(357), true), None, "a refresh is no use");
        assert_eq!(logins.holder(&name, at(237), true), None, "and it is gone");

        let name = logins.open(&ana, [8; 32], at(0));
        for hour in 1..12 {
            assert!(logins.holder(&name, at(60 * hour), true).is_some());
        }
        assert_eq!(logins.holder(&name, at(720), true), None, "twelve hours");

        let name = logins.open(&ana, [9; 32], at(0));
        logins.close(&name);
        assert_eq!(logins.holder(&name, at(0), true), None);
        assert_eq!(logins.holder("", at(0), true), None);
    }

    #[test]
    fn logins_are_bounded_and_the_one_that_rests_longest_goes() {
        let logins = Logins::new([1; 32]);
        let ana = token("ana", "secret-of-ana-0001");
        let seed = |n: usize| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_le_bytes());
            seed
        };
        let first = logins.open(&ana, seed(0), at(0));
        let second = logins.open(&ana, seed(1), at(0));
        assert!(logins.holder(&first, at(1), true).is_some());
        for n in 2..=OPEN_MAX {
            logins.open(&ana, seed(n), at(1));
        }
        assert_eq!(logins.logins().len(), OPEN_MAX);
        assert!(logins.holder(&first, at(1), true).is_some());
        assert_eq!(logins.holder(&second, at(1), true), None);
    }

    #[test]
    fn a_form_is_known_by_what_it_carries() {
        let (ours, other) = (Logins::new([1; 32]), Logins::new([2; 32]));
        let given = ours.csrf("a-login");
        assert!(ours.knows_csrf("a-login", &given));
        assert!(!ours.knows_csrf("another", &given) && !other.knows_csrf("a-login", &given));
        assert!(!ours.knows_csrf("a-login", "") && !ours.knows_csrf("a-login", &given[1..]));
    }

    #[test]
    fn tries_are_bounded_per_client_and_in_all() {
        let logins = Logins::new([1; 32]);
        let client = |n: u8| IpAddr::from([10, 0, 0, n]);
        for _ in 0..TRIES_MAX {
            assert_eq!(logins.may_try(client(1), at(0)), Ok(()));
            logins.tried_in_vain(client(1), at(0));
        }
        assert_eq!(logins.may_try(client(1), at(4)), Err(Duration::from_secs(6 * 60)));
        assert_eq!(logins.may_try(client(2), at(4)), Ok(()));
        assert_eq!(logins.may_try(client(1), at(10)), Ok(()));
        for n in 0..TRIES_ALL_MAX {
            logins.tried_in_vain(client(u8::try_from(n % 250).unwrap()), at(20));
        }
        assert!(logins.may_try(client(251), at(20)).is_err(), "all together");
        assert_eq!(logins.may_try(client(251), at(30)), Ok(()));
    }

    #[test]
    fn neighbours_of_one_network_are_one_client_and_clients_are_bounded() {
        let logins = Logins::new([1; 32]);
        let address = |host: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, host, 2, 3, 4));
        for n in 0..10 {
            logins.tried_in_vain(address(n), at(0));
        }
        assert!(logins.may_try(address(99), at(0)).is_err());
        assert!(logins.may_try("::ffff:10.0.0.1".parse().unwrap(), at(0)).is_ok());
        for n in 0..3000_u16 {
            let [high, low] = n.to_be_bytes();
            logins.tried_in_vain(IpAddr::from([11, 0, high, low]), at(1));
        }
        let tries = logins.tries.lock().unwrap();
        assert_eq!((tries.by_client.len(), tries.all.len()), (CLIENTS_MAX, TRIES_ALL_MAX));
    }
}
