//! The modelled bot: orders with their notifications, four attempts at 0, 1, 2 and 4 seconds, sometimes a late fifth; it leaves a call that
//! takes too long, and says the same words again only after it has heard of a success.

use waha_watchdog::domain::order::NotificationType;

use super::life::{Life, What};
use super::plan::SESSIONS;

/// Chats of customers.
pub const CHATS: usize = 6;

/// Something the bot wants delivered.
pub struct Message {
    pub text: String,
    pub session: usize,
    pub chat: usize,
    pub order: Option<(usize, NotificationType)>,
    pub attempts: u32,
    /// The bot knows that it succeeded, since then.
    pub heard: Option<i64>,
    pub over: bool,
}

/// One call to the sidecar.
pub struct Call {
    pub message: usize,
    /// The bot still waits.
    pub open: bool,
    /// Of the proxy: it was told to look again, and did.
    pub looked: bool,
    pub boot: u32,
}

/// What it remembers.
#[derive(Default)]
pub struct Bot {
    pub messages: Vec<Message>,
    pub calls: Vec<Call>,
    /// Per order: its session, its chat, and how far it came.
    pub orders: Vec<(usize, usize, NotificationType)>,
}

impl Life {
    /// The bot has something to say.
    pub fn speaks(&mut self) {
        let again = self.in_faults();
        let wait = if again {
            self.chance.between(200, self.plan.pace)
        } else {
            150_000 + self.chance.between(0, 60_000)
        };
        if self.now + wait < self.ends_at() - 120_000 {
            self.later(wait, What::Speaks);
        }
        let message = self.something();
        self.story.tell(self.now, || {
            let told = &self.bot.messages[message];
            format!("bot: message {message} for chat {} of {}", told.chat, SESSIONS[told.session])
        });
        self.calls(message);
    }

    fn something(&mut self) -> usize {
        use NotificationType::{OrderConfirmed, OrderReceived, OrderShipped};
        // The same words again: only where everybody has heard of all the earlier ones, and a while ago.
        let long_heard = |one: &Message| one.heard.is_some_and(|at| self.now - at > 180_000);
        let said =
            |one: &Message| self.bot.messages.iter().filter(|other| other.text == one.text).all(long_heard);
        let wordy = |one: &&Message| one.order.is_none() && said(one);
        let earlier =
            self.bot.messages.iter().find(wordy).map(|one| (one.text.clone(), one.session, one.chat));
        let number = self.bot.messages.len();
        let session = if self.plan.sessions > 1 { self.chance.below(self.plan.sessions) } else { 0 };
        let (text, session, chat, order) = if self.chance.percent(20) {
            match earlier {
                Some((text, session, chat)) => (text, session, chat, None),
                None => (format!("words {number}"), session, self.chance.below(CHATS), None),
            }
        } else {
            let unfinished = self.bot.orders.iter().rposition(|(_, _, kind)| *kind != OrderShipped);
            let order = match unfinished.filter(|_| self.chance.percent(40)) {
                Some(order) => {
                    let kind = &mut self.bot.orders[order].2;
                    *kind = if *kind == OrderReceived { OrderConfirmed } else { OrderShipped };
                    order
                }
                None => {
                    self.bot.orders.push((session, self.chance.below(CHATS), OrderReceived));
                    self.bot.orders.len() - 1
                }
            };
            let (session, chat, kind) = self.bot.orders[order];
            (format!("order {order} {}", kind.as_str()), session, chat, Some((order, kind)))
        };
        self.bot.messages.push(Message { text, session, chat, order, attempts: 0, heard: None, over: false });
        number
    }

    /// The bot calls.
    pub fn calls(&mut self, message: usize) {
        let told = &mut self.bot.messages[message];
        if told.heard.is_some() {
            return;
        }
        told.attempts += 1;
        let attempt = told.attempts;
        let boot = self.boot;
        self.bot.calls.push(Call { message, open: true, looked: false, boot });
        let call = self.bot.calls.len() - 1;
        self.story.tell(self.now, || format!("bot: attempt {attempt} of message {message}"));
        if self.sidecar.is_none() {
            self.later(1, What::Broken(call));
            return;
        }
        self.later(self.plan.patience, What::Impatient(call));
        self.call_arrives(call);
    }

    /// No answer came: the bot goes away.
    pub fn impatient(&mut self, call: usize) {
        if self.bot.calls[call].open {
            self.story.tell(self.now, || {
                format!("bot: leaves the call of message {}", self.bot.calls[call].message)
            });
            self.broken(call);
        }
    }

    /// The call broke off.
    pub fn broken(&mut self, call: usize) {
        if !std::mem::replace(&mut self.bot.calls[call].open, false) {
            return;
        }
        if self.bot.calls[call].boot == self.boot {
            self.client_gone(call);
        }
        self.unsuccessful(call);
    }

    /// An answer came.
    pub fn hears(&mut self, call: usize, accepted: bool) {
        self.bot.calls[call].open = false;
        let message = self.bot.calls[call].message;
        if accepted {
            self.bot.messages[message].heard = Some(self.now);
            self.story.tell(self.now, || format!("bot: message {message} has succeeded"));
        } else {
            self.unsuccessful(call);
        }
    }

    fn unsuccessful(&mut self, call: usize) {
        let message = self.bot.calls[call].message;
        let attempts = self.bot.messages[message].attempts;
        let most = self.plan.tries;
        match attempts {
            _ if attempts < most => self.later(500 << attempts, What::Calls(message)),
            _ if attempts == most && self.chance.percent(self.plan.fifth) => {
                let wait = self.chance.between(2_000, 480_000);
                self.later(wait, What::Calls(message));
            }
            _ => self.bot.messages[message].over = true,
        }
    }
}
