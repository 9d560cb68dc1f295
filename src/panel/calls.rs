//! Which orders wait for people, in which order, and what one of them says: the call list, and what is like it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::frame::{self, Key};
use super::guard::Ask;
use super::say::Say;
use super::shown::{self, Look, Number, Stamp};
use super::{Panel, Settings};
use crate::domain::case::Case;
use crate::domain::decide::{Policy, State};
use crate::domain::notification::{Attention, Failure};
use crate::domain::order::{NotificationType, OrderFacts};
use crate::domain::recovery::Held;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::words;

/// Orders on a page.
pub(super) const PAGE: usize = 50;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Nobody was reached: call them.
    Unnotified,
    /// Somebody was reached: see to the order.
    Manual,
    /// Only a person can decide.
    Undecided,
}

/// Who has taken it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Claimed {
    #[default]
    Any,
    Nobody,
    Me,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// The longest waiting first.
    #[default]
    Oldest,
    Newest,
    /// The largest amount first.
    Amount,
}

/// What is asked of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) search: String,
    pub(super) kind: Option<NotificationType>,
    pub(super) session: String,
    pub(super) claimed: Claimed,
    pub(super) sort: Sort,
    /// From 1.
    pub(super) page: usize,
}

impl Filter {
    pub(super) fn of(ask: &Ask) -> Self {
        let query = &ask.query;
        Self {
            search: query.get("q").trim().chars().take(100).collect::<String>().to_lowercase(),
            kind: NotificationType::parse(query.get("type")),
            session: query.get("session").to_owned(),
            claimed: match query.get("claimed") {
                "nobody" => Claimed::Nobody,
                "me" => Claimed::Me,
                _ => Claimed::Any,
            },
            sort: match query.get("sort") {
                "newest" => Sort::Newest,
                "amount" => Sort::Amount,
                _ => Sort::Oldest,
            },
            page: query.get("page").parse().unwrap_or(1).max(1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.search.is_empty()
            && self.kind.is_none()
            && self.session.is_empty()
            && self.claimed == Claimed::Any
    }

    fn fits(&self, group: &Group<'_>, who: &str) -> bool {
        let of_kind = |kind| {
            group.cases.iter().any(|case| case.what.order.notification_type.unwrap_or_default() == kind)
        };
        let claimed = group.claimed();
        self.kind.is_none_or(of_kind)
            && (self.session.is_empty()
                || group
                    .cases
                    .iter()
                    .any(|case| case.what.session.as_ref().is_some_and(|name| name.as_str() == self.session)))
            && match self.claimed {
                Claimed::Any => true,
                Claimed::Nobody => claimed.is_none(),
                Claimed::Me => claimed == Some(who),
            }
            && (self.search.is_empty() || group.cases.iter().any(|case| self.finds(case)))
    }

    /// Number, id, name, or digits of the phone.
    fn finds(&self, case: &Case) -> bool {
        let order = &case.what.order;
        let texts = [&order.order_number, &order.order_id, &order.customer_name];
        let in_text = texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&self.search));
        let digits: String = self.search.chars().filter(char::is_ascii_digit).collect();
        let in_phone = digits.len() >= 4
            && shown::phone(case).is_some_and(|(phone, _)| phone.digits().contains(&digits));
        in_text || in_phone
    }
}

/// An order and its open notifications, the oldest first.
pub(super) struct Group<'a> {
    pub(super) cases: Vec<&'a Case>,
    since: Timestamp,
}

impl Group<'_> {
    /// Since when its customer waits.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    fn claimed(&self) -> Option<&str> {
        self.failures().find_map(|failure| failure.claimed_by.as_deref())
    }

    fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.cases.iter().filter_map(|case| case.failure.as_ref())
    }

    /// Each notification may know something that the others do not.
    pub(super) fn facts(&self) -> OrderFacts {
        let all = self.cases.iter().map(|case| case.what.order.clone());
        all.reduce(OrderFacts::or).unwrap_or_default()
    }

    /// For sorting by amount.
    fn amount(&self) -> u64 {
        let total = self.cases.iter().find_map(|case| case.what.order.order_total.as_deref());
        total.map_or(0, amount)
    }
}

/// Hundredths of whatever the currency is; good enough to sort by. The last point or comma before one or two digits divides them.
fn amount(total: &str) -> u64 {
    let digits: Vec<char> = total.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | ',')).collect();
    let split = digits.iter().rposition(|c| !c.is_ascii_digit());
    let decimals = split.map_or(0, |at| digits.len() - at - 1);
    let is_fraction = matches!(decimals, 1 | 2);
    let whole: String = digits.iter().filter(|c| c.is_ascii_digit()).collect();
    let number: u64 = whole.chars().take(17).collect::<String>().parse().unwrap_or(0);
    match (is_fraction, decimals) {
        (true, 1) => number.saturating_mul(10),
        (true, _) => number,
        _ => number.saturating_mul(100),
    }
}

/// The orders of a list that fit, sorted, and how many there are without the filter.
pub(super) fn groups<'a>(
    state: &'a State,
    list: List,
    filter: &Filter,
    who: &str,
    now: Timestamp,
    policy: &Policy,
) -> (Vec<Group<'a>>, usize) {
    let mut by_order: BTreeMap<Key<'a>, Vec<&'a Case>> = BTreeMap::new();
    for case in frame::open(state) {
        by_order.entry(frame::key(case)).or_default().push(case);
    }
    let of_list = |cases: &Vec<&Case>| match list {
        List::Unnotified => !all_manual(cases),
        List::Manual => all_manual(cases),
        List::Undecided => {
            cases.iter().any(|case| frame::waits_for_decision(state, case, now, policy).is_some())
        }
    };
    let mut groups: Vec<_> = by_order.into_values().filter(of_list).map(group).collect();
    let total = groups.len();
    groups.retain(|group| filter.fits(group, who));
    match filter.sort {
        Sort::Oldest => groups.sort_by_key(|group| group.since),
        Sort::Newest => groups.sort_by_key(|group| Reverse(group.since)),
        Sort::Amount => groups.sort_by_cached_key(|group| (Reverse(group.amount()), group.since)),
    }
    (groups, total)
}

fn all_manual(cases: &[&Case]) -> bool {
    let manual =
        |case: &&Case| case.failure.as_ref().is_some_and(|failure| failure.attention == Attention::Manual);
    cases.iter().all(manual)
}

fn group(mut cases: Vec<&Case>) -> Group<'_> {
    let created = |case: &&Case| case.failure.as_ref().map(|failure| failure.created_at).unwrap_or_default();
    cases.sort_by_key(|case| (created(case), case.send));
    let since = cases.first().map(created).unwrap_or_default();
    Group { cases, since }
}

/// One notification, as if it were an order's only one.
pub(super) fn alone(case: &Case) -> Group<'_> {
    group(vec![case])
}

/// One notification of an order.
pub(super) struct Part {
    pub(super) id: String,
    pub(super) kind: &'static str,
}

/// An order on a page.
pub(super) struct Row {
    /// Its first notification.
    pub(super) id: String,
    pub(super) parts: Vec<Part>,
    pub(super) order: Option<String>,
    pub(super) customer: Option<String>,
    pub(super) total: Option<String>,
    pub(super) number: Option<Number>,
    pub(super) since: Stamp,
    pub(super) last_attempt: Stamp,
    pub(super) attempts: u32,
    pub(super) cause: &'static str,
    /// The channel was dead when it failed.
    pub(super) was_dead: Option<&'static str>,
    pub(super) claimed: Option<String>,
    pub(super) is_mine: bool,
    /// Why the watchdog does not send it by itself.
    pub(super) held: Option<&'static str>,
    /// It may have arrived: another one may be the second.
    pub(super) doubtful: bool,
    pub(super) may_retry: bool,
    pub(super) link: Option<String>,
    pub(super) session: String,
    pub(super) evidence: Option<String>,
}

/// With what rows are made.
pub(super) struct Eye<'a> {
    pub(super) panel: &'a Panel,
    pub(super) settings: &'a Settings,
    pub(super) ask: &'a Ask,
    pub(super) state: &'a State,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
}

impl Eye<'_> {
    pub(super) fn row(&self, group: &Group<'_>) -> Option<Row> {
        let t = self.ask.say();
        let (first, last) = (group.cases.first()?, group.cases.last()?);
        let failure = last.failure.as_ref()?;
        let facts = group.facts();
        let held = self.state.held(last, self.now, self.policy);
        let shown_to = &self.ask.csrf;
        let with_phone = group.cases.iter().find(|case| shown::phone(case).is_some()).unwrap_or(first);
        let is_shown = self.panel.revealed.is_shown(shown_to, with_phone.send, self.now);
        let claimed = group.claimed();
        let parts = group.cases.iter().map(|case| Part {
            id: case.send.to_string(),
            kind: t.kind(case.what.order.notification_type.unwrap_or_default()),
        });
        let dead = group
            .failures()
            .map(|failure| failure.status_at_creation)
            .find(|status| matches!(status, Status::Incommunicado | Status::IncommunicadoCritico));
        Some(Row {
            id: with_phone.send.to_string(),
            parts: parts.collect(),
            order: shown::order(&facts),
            customer: shown::plain(facts.customer_name.as_deref()),
            total: shown::plain(facts.order_total.as_deref()),
            number: shown::number(with_phone, is_shown),
            since: Stamp::new(group.since, self.now, t),
            last_attempt: Stamp::new(last.last_at, self.now, t),
            attempts: group.cases.iter().map(|case| case.attempts).sum(),
            cause: words::cause(failure.cause, self.ask.language),
            was_dead: dead.map(|_| t.was_dead()),
            is_mine: claimed == Some(self.ask.who()),
            claimed: claimed.map(str::to_owned),
            held: held.map(|held| t.held(held)),
            doubtful: last.doubt.is_some() || held == Some(Held::NotConfirmed),
            may_retry: may_retry(last),
            link: shown::order_link(self.settings.order_url.as_deref(), &facts),
            session: self.state.session_of(&last.what).as_str().to_owned(),
            evidence: last.finding.as_deref().map(|finding| words::evidence(finding, self.ask.language)),
        })
    }
}

/// Can sending it again be asked for at all?
pub(super) fn may_retry(case: &Case) -> bool {
    case.replayable && case.outcome != crate::domain::outcome::Outcome::Rejected
}

/// How the way back goes, for a list.
pub(super) struct Progress {
    pub(super) look: Look,
    pub(super) text: String,
    pub(super) pending: usize,
    pub(super) held: usize,
    pub(super) finish: Option<Stamp>,
    pub(super) paused: bool,
    pub(super) sent: u32,
    pub(super) of: u32,
}

/// What is pending in all sessions.
pub(super) fn progress(state: &State, policy: &Policy, now: Timestamp, t: Say) -> Progress {
    let outlooks: Vec<_> = state.sessions().keys().map(|name| state.outlook(name, now, policy)).collect();
    let pending: usize = outlooks.iter().map(|one| one.pending).sum();
    let held = outlooks.iter().map(|one| one.held).sum();
    let finish = outlooks.iter().filter_map(|one| one.finish).max().map(|at| Stamp::new(at, now, t));
    let paused = state.is_paused();
    let sent = state.incidents().values().map(|incident| incident.replayed).sum();
    let of = u32::try_from(pending).unwrap_or(u32::MAX).saturating_add(sent);
    let (look, text) = match (paused, &finish, pending) {
        (true, _, _) => (Look::warn(t.recovery_paused()), t.recovery_paused_text()),
        (_, Some(_), _) => {
            (Look { tone: "good", icon: "retry", word: t.recovery_running() }, t.recovery_running_text())
        }
        _ if !policy.recovery.enabled => (Look::calm(t.recovery_off()), t.recovery_off_text()),
        (_, None, 0) => (Look::good(t.recovery_idle()), t.recovery_idle_text()),
        (_, None, _) => (Look::calm(t.recovery_waiting()), t.recovery_waiting_text()),
    };
    Progress { look, text: text.to_owned(), pending, held, finish, paused, sent, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_sort_whatever_the_shop_writes() {
        let rows = [
            ("$45.00", 4500),
            ("$ 1,234.50", 123_450),
            ("R$ 1.234,50", 123_450),
            ("45", 4500),
            ("12.345", 1_234_500),
            ("1.5", 150),
            ("", 0),
            ("gratis", 0),
        ];
        for (total, hundredths) in rows {
            assert_eq!(amount(total), hundredths, "{total}");
        }
        assert!(amount(&"9".repeat(400)) > 0);
    }
}
