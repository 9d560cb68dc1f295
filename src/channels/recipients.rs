//! Who has an alert already: where one recipient of several could not be told, the others are not told again with the next try, nor after a
//! crash.
//!
//! Each is reported as soon as they have it, so that the heart can write it down: a digest, no phone and no address.

use std::cell::RefCell;

use sha2::{Digest as _, Sha256};

use crate::domain::alert::Alert;
use crate::domain::delivery::{Channel, Recipient};

/// Whom one try tells.
pub(super) struct Recipients<'a> {
    alert: &'a Alert,
    channel: Channel,
    new: RefCell<Vec<Recipient>>,
    report: &'a dyn Fn(Recipient),
}

impl<'a> Recipients<'a> {
    /// Those of an alert on a channel; each who has it is reported.
    pub(super) fn new(alert: &'a Alert, channel: Channel, report: &'a dyn Fn(Recipient)) -> Self {
        Self { alert, channel, new: RefCell::default(), report }
    }

    /// Has this one the alert?
    pub(super) fn has(&self, who: &str) -> bool {
        let who = self.known_as(who);
        self.alert.on(self.channel).is_some_and(|delivery| delivery.reached.contains(&who))
    }

    /// This one has it.
    pub(super) fn note(&self, who: &str) {
        let who = self.known_as(who);
        self.new.borrow_mut().push(who);
        (self.report)(who);
    }

    /// Who has it since this try.
    pub(super) fn into_new(self) -> Vec<Recipient> {
        self.new.into_inner()
    }

    /// Another name for each alert, so that nobody can be followed from one to the next.
    fn known_as(&self, who: &str) -> Recipient {
        let mut digest = Sha256::new();
        digest.update(self.alert.id.as_bytes());
        digest.update(self.channel.as_str());
        digest.update([0]);
        digest.update(who);
        let digest: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Recipient::from_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::drill;
    use super::*;
    use crate::domain::delivery::Delivery;

    #[test]
    fn who_was_reached_is_known_again_by_a_digest_that_says_nothing() {
        let reported = RefCell::new(Vec::new());
        let report = |who| reported.borrow_mut().push(who);
        let mut alert = drill(1);
        let first = Recipients::new(&alert, Channel::Sms, &report);
        assert!(!first.has("+15550002222"));
        first.note("+15550002222");
        let new = first.into_new();
        assert_eq!(new, *reported.borrow());
        assert!(!format!("{new:?}").contains("15550002222"), "{new:?}");
        alert.deliveries = vec![Delivery { reached: new.clone(), ..Delivery::new(Channel::Sms, alert.at) }];
        let again = Recipients::new(&alert, Channel::Sms, &report);
        assert!(again.has("+15550002222") && !again.has("+15550003333"));
        assert!(!Recipients::new(&alert, Channel::Email, &report).has("+15550002222"));
        let mut other = drill(2);
        other.deliveries.clone_from(&alert.deliveries);
        assert!(!Recipients::new(&other, Channel::Sms, &report).has("+15550002222"), "of another alert");
    }
}
