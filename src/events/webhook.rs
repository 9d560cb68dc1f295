//! Webhooks that WAHA delivers to us: who sent one, is it fresh, is it new. How it came here is the admin's.
//!
//! Only the body is signed, so time and name of a delivery keep out accidents rather than whoever could listen in; what could be gained by
//! sending an old event again is little, since acks and states only ever tell what was so.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;

use crate::domain::confirmation::FeedItem;
use crate::domain::time::Timestamp;
use crate::waha::events::{EVENT_MAX, parse};

/// Largest body, in bytes.
pub const BODY_MAX: usize = EVENT_MAX;
/// How far the clocks of WAHA and ours may lie apart, waits of its retries included.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How long a delivery's name is remembered: as long as its time can be within the tolerance, from either end.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Names remembered at once; beyond it the oldest are forgotten.
const SEEN_MAX: usize = 10_000;
/// Longest name of a delivery; WAHA's have 26.
const NAME_MAX: usize = 128;
/// Bytes of an SHA-512.
const DIGEST: usize = 64;

/// One delivery, as it came: the headers of `crate::waha::events`, where they are there and text, and the body untouched.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The signature of the body.
    pub signature: Option<&'a str>,
    /// How it is signed.
    pub algorithm: Option<&'a str>,
    /// When it was sent, in milliseconds.
    pub timestamp: Option<&'a str>,
    /// Its name, the same each time it is delivered again.
    pub request_id: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

impl fmt::Debug for Delivery<'_> {
    /// The body names people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("request_id", &self.request_id)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a delivery is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The body is too large.
    #[error("the body has more than {BODY_MAX} bytes")]
    TooLarge,
    /// It is not signed, or not as WAHA signs.
    #[error("not signed with sha512: set the same secret as hmac key of WAHA's webhook")]
    Unsigned,
    /// The signature is not that of the body.
    #[error("the signature is wrong: WAHA's hmac key and events.webhook_secret differ")]
    Forged,
    /// It was sent too long ago, or will be sent in future.
    #[error("sent more than {} s away from now: too late, or the clocks differ", TOLERANCE.as_secs())]
    Stale,
    /// It has no name, or one that WAHA gives to none.
    #[error("without a sound request id")]
    Nameless,
}

/// Takes deliveries.
pub struct Hook {
    secret: Box<[u8]>,
    seen: Seen,
}

impl fmt::Debug for Hook {
    /// The secret is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("seen", &self.seen.names.len()).finish_non_exhaustive()
    }
}

impl Hook {
    /// One that knows the secret which signs the deliveries.
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.as_bytes().into(), seen: Seen::default() }
    }

    /// What a delivery says; nothing where it tells nothing we follow, or nothing new: WAHA delivers again whatever was not answered 2xx,
    /// so a repetition is no error.
    ///
    /// # Errors
    /// Where it is not WAHA's, or not of now.
    pub fn accept(&mut self, delivery: &Delivery<'_>, now: Timestamp) -> Result<Vec<FeedItem>, HookError> {
        if delivery.body.len() > BODY_MAX {
            return Err(HookError::TooLarge);
        }
        self.verify(delivery)?;
        let sent = delivery.timestamp.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
        if sent.is_none_or(|sent| now.since(sent).max(sent.since(now)) > TOLERANCE) {
            return Err(HookError::Stale);
        }
        let name = delivery.request_id.filter(|name| (1..=NAME_MAX).contains(&name.len()));
        if self.seen.is_new(name.ok_or(HookError::Nameless)?, now) {
            Ok(parse(delivery.body).into_iter().collect())
        } else {
            Ok(Vec::new())
        }
    }

    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), HookError> {
        if !delivery.algorithm.is_some_and(|name| name.eq_ignore_ascii_case("sha512")) {
            return Err(HookError::Unsigned);
        }
        let given = delivery.signature.and_then(digest).ok_or(HookError::Unsigned)?;
        // A key of any length does.
        let mut mac = Hmac::<Sha512>::new_from_slice(&self.secret).map_err(|_| HookError::Unsigned)?;
        mac.update(delivery.body);
        let right: bool = mac.finalize().into_bytes().as_slice().ct_eq(&given).into();
        if right { Ok(()) } else { Err(HookError::Forged) }
    }
}

/// The bytes that 128 hexadecimal digits stand for.
fn digest(hex: &str) -> Option<[u8; DIGEST]> {
    let digits = hex.as_bytes();
    if digits.len() != 2 * DIGEST {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; DIGEST];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(bytes)
}

/// The names of the deliveries of the last minutes.
#[derive(Default)]
struct Seen {
    names: HashSet<Arc<str>>,
    order: VecDeque<(Timestamp, Arc<str>)>,
}

impl Seen {
    /// Notes a name; false where it is known.
    fn is_new(&mut self, name: &str, now: Timestamp) -> bool {
        while let Some((at, _)) = self.order.front()
            && now.since(*at) > REMEMBERED
        {
            self.forget_oldest();
        }
        if self.names.contains(name) {
            return false;
        }
        if self.names.len() == SEEN_MAX {
            self.forget_oldest();
        }
        let name: Arc<str> = Arc::from(name);
        self.order.push_back((now, Arc::clone(&name)));
        self.names.insert(name)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::confirmation::News;
    use crate::domain::probe::SessionState;

    type Taken = Result<Vec<FeedItem>, HookError>;

    const SECRET: &str = "0123456789abcdef";
    const BODY: &[u8] = br#"{"event":"session.status","session":"shop","payload":{"status":"FAILED"}}"#;
    const NOW: i64 = 1_795_484_594_000;

    fn signed(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    /// A sound delivery, changed; and what becomes of it `late_by` milliseconds after it was sent.
    fn accept(hook: &mut Hook, late_by: i64, change: impl for<'a> FnOnce(&mut Delivery<'a>)) -> Taken {
        let (signature, timestamp) = (signed(SECRET, BODY), NOW.to_string());
        let mut delivery = Delivery {
            signature: Some(&signature),
            algorithm: Some("sha512"),
            timestamp: Some(&timestamp),
            request_id: Some("01J0000000000000000000000A"),
            body: BODY,
        };
        change(&mut delivery);
        hook.accept(&delivery, Timestamp::from_millis(NOW + late_by))
    }

    #[test]
    fn what_is_signed_fresh_and_new_is_taken() {
        let mut hook = Hook::new(SECRET);
        let items = accept(&mut hook, 200, |_| {}).unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].session.as_str(), &items[0].news), ("shop", &News::State(SessionState::Failed)));
        assert_eq!(
            accept(&mut hook, 4_000, |_| {}),
            Ok(Vec::new()),
            "a repetition is no error and nothing new"
        );
        assert_eq!(accept(&mut hook, 0, |delivery| delivery.request_id = Some("B")).unwrap().len(), 1);
        assert_eq!(
            accept(&mut hook, 0, |d| (d.algorithm, d.request_id) = (Some("SHA512"), Some("C")))
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn what_is_not_wahas_is_refused() {
        let other = signed("fedcba9876543210", BODY);
        let upper = signed(SECRET, BODY).to_uppercase();
        let hook = || Hook::new(SECRET);
        let rows: [(Result<usize, HookError>, Taken); 13] = [
            (Ok(1), accept(&mut hook(), 0, |d| d.request_id = Some("B"))),
            (Err(HookError::Unsigned), accept(&mut hook(), 0, |d| d.signature = None)),
            (Err(HookError::Unsigned), accept(&mut hook(), 0, |d| d.signature = Some("abc"))),
            (Err(HookError::Unsigned), accept(&mut hook(), 0, |d| d.algorithm = None)),
            (Err(HookError::Unsigned), accept(&mut hook(), 0, |d| d.algorithm = Some("sha256"))),
            (Err(HookError::Forged), accept(&mut hook(), 0, |d| d.body = b"{}")),
            (Err(HookError::Forged), accept(&mut Hook::new("fedcba9876543210"), 0, |_| {})),
            (Err(HookError::Stale), accept(&mut hook(), 300_001, |_| {})),
            (Err(HookError::Stale), accept(&mut hook(), -300_001, |_| {})),
            (Err(HookError::Stale), accept(&mut hook(), 0, |d| d.timestamp = None)),
            (Err(HookError::Stale), accept(&mut hook(), 0, |d| d.timestamp = Some("yesterday"))),
            (Err(HookError::Nameless), accept(&mut hook(), 0, |d| d.request_id = None)),
            (Ok(1), accept(&mut hook(), 300_000, |_| {})),
        ];
        for (at, (expected, got)) in rows.into_iter().enumerate() {
            assert_eq!(got.map(|items| items.len()), expected, "row {at}");
        }
        let delivery = |signature| Delivery {
            signature: Some(signature),
            algorithm: Some("sha512"),
            timestamp: Some("1795484594000"),
            request_id: Some("A"),
            body: BODY,
        };
        let now = Timestamp::from_millis(NOW);
        assert_eq!(hook().accept(&delivery(&other), now), Err(HookError::Forged));
        assert_eq!(hook().accept(&delivery(&upper), now).unwrap().len(), 1, "hexadecimal has no case");
        let large = vec![b' '; BODY_MAX + 1];
        let large = Delivery { body: &large, ..delivery(&other) };
        assert_eq!(hook().accept(&large, now), Err(HookError::TooLarge));
    }

    #[test]
    fn the_signature_is_the_documented_one() {
        // WAHA's documentation: key `my-secret-key`, this body, this signature.
        let delivery = Delivery {
            signature: Some(
                "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89",
            ),
            algorithm: Some("sha512"),
            timestamp: Some("1795484594000"),
            request_id: Some("A"),
            body: br#"{"event":"message","session":"default","engine":"WEBJS"}"#,
        };
        let taken = Hook::new("my-secret-key").accept(&delivery, Timestamp::from_millis(NOW));
        assert_eq!(taken, Ok(Vec::new()), "it says nothing we follow");
    }

    #[test]
    fn an_unsigned_delivery_leaves_no_name() {
        let mut hook = Hook::new(SECRET);
        assert!(accept(&mut hook, 0, |d| d.body = b"{}").is_err());
        assert!(accept(&mut hook, 400_000, |_| {}).is_err());
        assert_eq!(accept(&mut hook, 0, |_| {}).unwrap().len(), 1);
    }

    #[test]
    fn names_are_forgotten_in_time_and_beyond_the_limit() {
        let mut seen = Seen::default();
        let now = Timestamp::from_millis(NOW);
        assert!(seen.is_new("a", now));
        assert!(!seen.is_new("a", now + REMEMBERED));
        assert!(seen.is_new("a", now + REMEMBERED + Duration::from_millis(1)));
        for n in 0..2 * SEEN_MAX {
            assert!(seen.is_new(&n.to_string(), now));
        }
        assert_eq!((seen.names.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert!(seen.is_new("0", now) && !seen.is_new(&(2 * SEEN_MAX - 1).to_string(), now));
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let shown = format!("{:?}", Hook::new(SECRET));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
