//! Which series there are from the start, and what notices and the state make of them.

use std::sync::Arc;

use super::super::Metrics;
use super::*;
use crate::domain::alert::{Alert, OrderLine, Orders, Says, Trouble};
use crate::domain::confirmation::{Confirmation, FeedItem, FeedState, MessageId, News};
use crate::domain::decide::tests::POLICY;
use crate::domain::decide::{Event, Stored};
use crate::domain::delivery::{Channel, Delivered, Delivery};
use crate::domain::diagnosis::{Finding, NotTried, Reached, Verdict};
use crate::domain::errand::{Looked, Report};
use crate::domain::id::{ChatId, RecordId, SendId};
use crate::domain::incident::Incident;
use crate::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use crate::domain::order::OrderFacts;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::send::{Description, SendKind};
use crate::domain::status::{Assessment, Confidence, Reason, Status};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn default() -> SessionName {
    SessionName::new("default").unwrap()
}

fn metrics() -> Metrics {
    Metrics::new(&[default()]).unwrap()
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode()).unwrap()
}

/// Each of these lines must be there; names without the prefix.
#[track_caller]
fn has(metrics: &Metrics, lines: &[&str]) {
    let text = text(metrics);
    for line in lines {
        let line = format!("waha_watchdog_{line}");
        let family = line.split(['{', ' ']).next().unwrap();
        let lines: Vec<_> = text.lines().filter(|one| one.starts_with(family)).collect();
        assert!(lines.contains(&line.as_str()), "no {line} in\n{lines:#?}");
    }
}

fn described(chat: &str) -> Arc<Description> {
    Arc::new(Description {
        identity: None,
        session: Some(default()),
        chat: ChatId::new(chat),
        kind: SendKind::Text,
        path: "/send".into(),
        order: OrderFacts::default(),
    })
}

/// An attempt at `send` to a chat of its own, ended at `seconds`.
fn ended(send: u8, seconds: i64, cause: Option<Cause>) -> Event {
    let ended = Ended {
        attempt: AttemptId { send: SendId::from_bytes([send; 16]), number: 1 },
        via: Via::Bot,
        first_at: at(seconds),
        started: at(seconds),
        ended: at(seconds),
        what: described(&format!("58424{send:07}")),
        outcome: cause.map_or(Outcome::Accepted, Cause::outcome),
        cause,
        status: None,
        detail: None,
        message_id: cause.is_none().then(|| format!("3EB0{send}").into()),
        given_up: false,
        unheard: None,
        request: None,
    };
    Event::Entry(Position(u64::from(send)), Entry::Ended(Box::new(ended)))
}

fn finding(verdict: Verdict, user: Reached, admin: Reached) -> Notice {
    let finding = Finding {
        id: RecordId::from_bytes([1; 16]),
        verdict,
        at: at(20),
        user,
        admin,
        number_exists: None,
        attempts: 4,
        cause: Cause::ConnectionRefused,
        probe: None,
        others_accepted: 0,
        others_failed: 1,
        resolved_at: None,
    };
    let took = Duration::from_secs(12);
    Notice::Diagnosed { session: default(), finding: Box::new(finding), took, sends: 3 }
}

#[test]
fn every_series_is_there_from_the_start() {
    let text = text(&metrics());
    let of_session = [
        "healthchecks_total result working not_working unauthorized timeout error",
        "healthcheck_duration_seconds_count",
        "healthcheck_last_success_timestamp_seconds",
        "healthcheck_consecutive_failures",
        "waha_session_status status working starting scan_qr_code passkey_required failed stopped other",
        "signal_failing signal healthcheck webhook confirmation key",
        "diagnostics_total result user_reached admin_reached total_loss inconclusive",
        "diagnostic_duration_seconds_count",
        "communication_failures_total failure WEBHOOK_ONLY TOTAL_COMMUNICATION_LOSS",
        "communication_failures_open failure WEBHOOK_ONLY TOTAL_COMMUNICATION_LOSS",
        "confirmations_total level none server device read error",
        "last_server_ack_timestamp_seconds",
        "last_device_ack_timestamp_seconds",
        "unacknowledged_seconds",
        "awaiting_confirmation",
        "event_feed_blind",
        "recovery_orders_total result sent failed skipped",
        "recovery_runs_total result complete cut",
        "looks_total result found absent impossible failed",
        "recovery_holds held nothing_kept rejected not_confirmed bot_has_it not_looked may_have_arrived too_old superseded restricted",
        "notification_resolution_seconds_count",
        "failed_notifications notification ORDER_RECEIVED ORDER_CONFIRMED ORDER_SHIPPED OTHER",
        "orders_unnotified priority normal critical",
        "orders_unnotified_hidden",
        "recovery_pending",
        "recovery_held",
        "orders_unnotified priority normal critical",
        "orders_unnotified_oldest_timestamp_seconds",
        "orders_unnotified_critical_oldest_timestamp_seconds",
        "recovery_finish_timestamp_seconds",
        "incidents_total worst degraded incommunicado incommunicado_critico offline",
        "incident_open",
        "incident_start_timestamp_seconds",
    ];
    let mut wanted = vec![
        "event_feed_connected".to_owned(),
        "event_feed_followed".to_owned(),
        "recovery_paused".to_owned(),
        r#"alerts_sent_total{channel="whatsapp",result="ok"}"#.to_owned(),
        r#"alert_queue_length{channel="whatsapp"}"#.to_owned(),
        r#"alert_channel_last_success_timestamp_seconds{channel="whatsapp"}"#.to_owned(),
    ];
    wanted.extend(Says::WORDS.map(|says| format!(r#"alerts_total{{says="{says}"}}"#)));
    for session in ["default", "other"] {
        for family in of_session {
            let mut words = family.split(' ');
            let (name, label) = (words.next().unwrap(), words.next());
            let Some(label) = label else {
                wanted.push(format!(r#"{name}{{session="{session}"}}"#));
                continue;
            };
            for value in words {
                let mut labels = [format!(r#"session="{session}""#), format!(r#"{label}="{value}""#)];
                labels.sort();
                wanted.push(format!("{name}{{{}}}", labels.join(",")));
            }
        }
    }
    for series in &wanted {
        let line = format!("waha_watchdog_{series} 0");
        assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
    }
}

#[test]
fn notices_make_no_new_series() {
    let metrics = metrics();
    let series = |text: &str| text.lines().filter(|line| !line.contains("process_")).count();
    let before = series(&text(&metrics));
    let state = State::new(&[default()], at(0), [0; 16]);
    let results = [
        ProbeResult::Missing,
        ProbeResult::Unauthorized,
        ProbeResult::Unreachable,
        ProbeResult::TimedOut,
        ProbeResult::Strange,
    ];
    for result in SessionState::ALL.map(ProbeResult::of).into_iter().chain(results) {
        let took = Duration::from_millis(20);
        metrics.mind.notice("default", &Notice::Probed { session: default(), result, took }, at(5));
    }
    for confirmation in Confirmation::ALL {
        metrics.mind.notice("default", &Notice::Confirmed { session: default(), confirmation }, at(5));
    }
    let (no, skipped) = (Reached::No(Cause::Dns), Reached::NotTried(NotTried::NotNeeded));
    for notice in [
        finding(Verdict::WebhookOnly, Reached::Yes, skipped),
        finding(Verdict::WebhookOnly, no, Reached::Yes),
        finding(Verdict::TotalLoss, no, no),
        finding(Verdict::Inconclusive, skipped, skipped),
    ] {
        metrics.mind.notice("default", &notice, at(5));
    }
    for outcome in Outcome::ALL {
        metrics.mind.notice("default", &Notice::Replayed { what: described("584240000001"), outcome }, at(5));
    }
    metrics.mind.notice("default", &Notice::NotReplayed { session: default() }, at(5));
    for cut in [true, false, false] {
        metrics.mind.notice("default", &Notice::RunOver { session: default(), cut }, at(5));
    }
    let message = MessageId::new("3EB0A").unwrap();
    let found = Looked::Found { message, confirmation: Confirmation::Server };
    for found in [found, Looked::Absent, Looked::Impossible, Looked::Failed, Looked::Failed] {
        metrics.mind.notice("default", &Notice::Looked { session: default(), found }, at(5));
    }
    for says in [Says::Trouble(Trouble::KeyRefused), Says::TroubleOver(Trouble::KeyRefused)] {
        let id = RecordId::from_bytes([1; 16]);
        let alert = Alert { id, session: default(), incident: None, at: at(1), says, deliveries: Vec::new() };
        metrics.mind.notice("default", &Notice::Alerting(Box::new(alert.clone())), at(5));
        metrics.mind.notice(
            "default",
            &Notice::Delivered {
                session: default(),
                alert: id,
                channel: Channel::Whatsapp,
                how: Delivered::Ok,
            },
            at(5),
        );
    }
    let to = |status| Assessment { status, confidence: Confidence::High, reason: Reason::TotalLoss };
    let mut incident = Incident::open(RecordId::from_bytes([2; 16]), default(), at(1), to(Status::Degraded));
    metrics.mind.notice("default", &Notice::IncidentOpened(Box::new(incident.clone())), at(5));
    incident.note(at(2), to(Status::IncommunicadoCritico));
    metrics.mind.notice("default", &Notice::IncidentClosed(Box::new(incident)), at(5));
    metrics.mind.show(&state, at(10), &POLICY);
    assert_eq!(series(&text(&metrics)), before);
    has(
        &metrics,
        &[
            r#"healthchecks_total{result="working",session="default"} 1"#,
            r#"healthchecks_total{result="not_working",session="default"} 7"#,
            r#"healthchecks_total{result="error",session="default"} 2"#,
            r#"healthcheck_duration_seconds_count{session="default"} 12"#,
            r#"confirmations_total{level="device",session="default"} 1"#,
            r#"diagnostics_total{result="user_reached",session="default"} 1"#,
            r#"diagnostics_total{result="admin_reached",session="default"} 1"#,
            r#"communication_failures_total{failure="WEBHOOK_ONLY",session="default"} 6"#,
            r#"communication_failures_total{failure="TOTAL_COMMUNICATION_LOSS",session="default"} 3"#,
            r#"recovery_orders_total{result="sent",session="default"} 1"#,
            r#"recovery_orders_total{result="failed",session="default"} 3"#,
            r#"recovery_orders_total{result="skipped",session="default"} 1"#,
            r#"recovery_runs_total{result="cut",session="default"} 1"#,
            r#"recovery_runs_total{result="complete",session="default"} 2"#,
            r#"looks_total{result="found",session="default"} 1"#,
            r#"looks_total{result="failed",session="default"} 2"#,
            r#"alerts_total{says="trouble"} 1"#,
            r#"alerts_sent_total{channel="whatsapp",result="ok"} 2"#,
            r#"alerts_sent_total{channel="email",result="failed"} 0"#,
            r#"alert_channel_last_success_timestamp_seconds{channel="whatsapp"} 5"#,
            r#"incidents_total{session="default",worst="degraded"} 0"#,
            r#"incidents_total{session="default",worst="incommunicado_critico"} 1"#,
        ],
    );
}

#[test]
fn the_gauges_show_the_state_and_forget_what_is_over() {
    let metrics = metrics();
    let mut state = State::new(&[default()], at(0), [0; 16]);
    let mut happens = |event, seconds| _ = state.decide(event, at(seconds), &POLICY);
    let probed = |result| {
        Event::Report(Report::Probed { session: default(), result, took: Duration::from_millis(20) })
    };
    happens(probed(ProbeResult::of(SessionState::Working)), 1);
    happens(Event::Feed(FeedState::Connected), 2);
    for send in [1, 2] {
        happens(ended(send, 10, None), 10);
        let message = MessageId::new(&format!("3EB0{send}")).unwrap();
        happens(Event::Heard(FeedItem { session: default(), news: News::Echo(message) }), 11);
    }
    happens(Event::Tick, 80);
    happens(probed(ProbeResult::of(SessionState::ScanQrCode)), 81);
    happens(probed(ProbeResult::of(SessionState::ScanQrCode)), 90);
    happens(ended(3, 91, Some(Cause::NotFound)), 91);
    metrics.mind.show(&state, at(92), &POLICY);
    has(
        &metrics,
        &[
            r#"healthcheck_last_success_timestamp_seconds{session="default"} 1"#,
            r#"healthcheck_consecutive_failures{session="default"} 2"#,
            r#"waha_session_status{session="default",status="scan_qr_code"} 1"#,
            r#"waha_session_status{session="default",status="working"} 0"#,
            r#"signal_failing{session="default",signal="healthcheck"} 1"#,
            r#"signal_failing{session="default",signal="confirmation"} 1"#,
            r#"signal_failing{session="default",signal="key"} 0"#,
            r#"unacknowledged_seconds{session="default"} 70"#,
            r#"awaiting_confirmation{session="default"} 2"#,
            "event_feed_connected 1",
            "event_feed_followed 1",
            r#"event_feed_blind{session="default"} 0"#,
            r#"recovery_held{session="default"} 1"#,
            r#"incident_open{session="default"} 1"#,
            r#"incident_start_timestamp_seconds{session="default"} 80"#,
            // That probes fail, and the order that was rejected.
            r#"alert_queue_length{channel="whatsapp"} 2"#,
            r#"incident_open{session="other"} 0"#,
        ],
    );
    let mut happens = |event, seconds| _ = state.decide(event, at(seconds), &POLICY);
    for send in [1, 2] {
        let message = MessageId::new(&format!("3EB0{send}")).unwrap();
        let news = News::Ack(message, Confirmation::Server);
        happens(Event::Heard(FeedItem { session: default(), news }), 100);
    }
    happens(probed(ProbeResult::Unauthorized), 101);
    metrics.mind.show(&state, at(102), &POLICY);
    has(
        &metrics,
        &[
            r#"last_server_ack_timestamp_seconds{session="default"} 100"#,
            r#"last_device_ack_timestamp_seconds{session="default"} 0"#,
            r#"unacknowledged_seconds{session="default"} 0"#,
            r#"awaiting_confirmation{session="default"} 0"#,
            r#"waha_session_status{session="default",status="scan_qr_code"} 0"#,
            r#"signal_failing{session="default",signal="confirmation"} 0"#,
            r#"signal_failing{session="default",signal="key"} 1"#,
        ],
    );
}

#[test]
fn a_reminder_for_later_is_no_queue_and_what_was_tried_in_vain_is() {
    let metrics = metrics();
    let mut state = State::new(&[default()], at(0), [0; 16]);
    let alert = |id: u8, channel, due, tries| Alert {
        id: RecordId::from_bytes([id; 16]),
        session: default(),
        incident: None,
        at: at(100),
        says: Says::StillLost { since: at(90), orders: Orders::default() },
        deliveries: vec![Delivery { tries, ..Delivery::new(channel, at(due)) }],
    };
    let alerts = vec![
        alert(1, Channel::Email, 100 + 1800, 0),
        alert(2, Channel::Sms, 100 + 600, 3),
        alert(3, Channel::Webhook, 130, 0),
    ];
    state.restore(Stored { alerts, ..Stored::default() }, &POLICY);
    metrics.mind.show(&state, at(100), &POLICY);
    has(
        &metrics,
        &[
            r#"alert_queue_length{channel="email"} 0"#,
            r#"alert_queue_length{channel="sms"} 1"#,
            r#"alert_queue_length{channel="webhook"} 1"#,
        ],
    );
}

#[test]
fn the_words_of_alerts_are_all_listed() {
    let (id, assessment) = (SendId::from_bytes([3; 16]), Assessment::UNKNOWN);
    let mut orders = Orders::default();
    orders.add(OrderLine { send: id, order: None });
    let (start, end, worst) = (at(1), at(2), Status::Degraded);
    let all = [
        Says::Preventive(ProbeResult::Missing),
        Says::ManualAttention(orders.clone()),
        Says::TotalLoss { orders: orders.clone(), finding: None, assessment },
        Says::StillLost { since: start, orders: orders.clone() },
        Says::Restricted(orders),
        Says::BotGone { since: start },
        Says::Recovered { start, end, worst, affected: 0, replayed: 0, left: 0 },
        Says::Trouble(Trouble::KeyRefused),
        Says::TroubleOver(Trouble::KeyRefused),
        Says::Drill { who: "ana".to_owned() },
        Says::DrillOver { start },
        Says::Test { who: "ana".to_owned() },
    ];
    assert_eq!(all.map(|says| says.as_str()), Says::WORDS);
}
