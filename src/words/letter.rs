//! The messages that the watchdog writes itself: to customers, and to admins.
//!
//! What strangers wrote comes in as one plain line of bounded length ([`plain`]), so no name can forge a line of a letter. Letters hold
//! names and phones: they go to WhatsApp (and email) alone, never into a log.

use minijinja::{Value, context};

use super::{Language, Links, cause, duration, evidence, instruction, moment, plain, reason, seen, template};
use crate::domain::alert::{Alert, Orders, Says, Trouble};
use crate::domain::diagnosis::Finding;
use crate::domain::errand::{LetterKind, LetterText};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::send::Description;
use crate::domain::status::{Assessment, Reason, Status};

/// Most characters of each fact: what is longer is no order number, name or total, and crowds out the rest.
const ORDER_MAX: usize = 40;
const NAME_MAX: usize = 60;
const TOTAL_MAX: usize = 30;
const PHONE_MAX: usize = 30;
const SESSION_MAX: usize = 40;

/// Most orders that a letter names; the panel shows them all.
const ORDERS_SHOWN: usize = 10;

/// Who may read an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eyes {
    /// The admins alone: WhatsApp, e-mail, the API.
    Private,
    /// Services of others: names nobody.
    Others,
}

/// The text of a letter, with a link into the panel where it is an alert.
pub fn letter_with(text: &LetterText, language: Language, links: &Links) -> String {
    let written = letter(text, language);
    match text {
        LetterText::Alert(alert) => {
            links.of(&alert.says).map_or(written.clone(), |link| format!("{written}\n{link}"))
        }
        _ => written,
    }
}

/// The text of a letter. Never empty: where its template fails, a plain sentence takes its place and the fault is logged.
pub fn letter(text: &LetterText, language: Language) -> String {
    let (name, facts) = match text {
        LetterText::QuickMessage(what) => ("quick_message", quick_message(what)),
        LetterText::AdminNotice { what, attempts, cause, others } => {
            ("admin_notice", admin_notice(what, *attempts, *cause, *others, language))
        }
        LetterText::Alert(alert) => return alert_text(alert, Eyes::Private, language),
        LetterText::Canary => ("canary", context!()),
    };
    written(name, facts, text.kind(), language)
}

/// The text of an alert.
pub(super) fn alert_text(alert: &Alert, eyes: Eyes, language: Language) -> String {
    let (name, facts) = told(alert, eyes, language);
    written(name, facts, LetterKind::Alert, language)
}

fn written(name: &str, facts: Value, kind: LetterKind, language: Language) -> String {
    match template::render(name, facts, language) {
        Ok(written) if !written.is_empty() => written,
        failed => {
            let error = failed.err();
            tracing::error!(
                template = name,
                ?language,
                kind = ?error,
                "a template failed, a plain sentence is sent instead"
            );
            instead(kind, language).to_owned()
        }
    }
}

/// What is said where a template fails: less, but true.
const fn instead(kind: LetterKind, language: Language) -> &'static str {
    match kind {
        LetterKind::QuickMessage => language.pick(
            "Tenemos un mensaje para ti. Un agente se comunicará contigo.",
            "We have a message for you. An agent will contact you.",
            "Temos uma mensagem para você. Um atendente falará com você.",
        ),
        LetterKind::AdminNotice => language.pick(
            "Atención requerida: no se pudo avisar a un cliente. Los detalles están en el panel del watchdog.",
            "Attention required: a customer could not be told. The watchdog's panel has the details.",
            "Atenção necessária: não foi possível avisar um cliente. Os detalhes estão no painel do watchdog.",
        ),
        LetterKind::Alert => language.pick(
            "El watchdog tiene una alerta. Los detalles están en su panel.",
            "The watchdog has an alert. Its panel has the details.",
            "O watchdog tem um alerta. Os detalhes estão no painel dele.",
        ),
        LetterKind::Canary => language.pick(
            "Mensaje de prueba del watchdog.",
            "Test message of the watchdog.",
            "Mensagem de teste do watchdog.",
        ),
    }
}

fn quick_message(what: &Description) -> Value {
    let order = &what.order;
    context! {
        type => order.notification_type.map(|kind| kind.as_str()),
        about_order => order.names_order(),
        order => fact(order.order_number.as_deref(), ORDER_MAX), // an id of the shop says nothing to its customer
        name => fact(order.customer_name.as_deref(), NAME_MAX),
        total => fact(order.order_total.as_deref(), TOTAL_MAX),
    }
}

fn admin_notice(what: &Description, attempts: u32, why: Cause, others: u32, language: Language) -> Value {
    let order = &what.order;
    context! {
        type => order.notification_type.map(|kind| kind.as_str()),
        order => fact(order.order_number.as_deref(), ORDER_MAX).or_else(|| fact(order.order_id.as_deref(), ORDER_MAX)),
        name => fact(order.customer_name.as_deref(), NAME_MAX),
        phone => what.phone().and_then(|phone| plain(phone.expose(), PHONE_MAX)),
        total => fact(order.order_total.as_deref(), TOTAL_MAX),
        uncertain => why.outcome() == Outcome::Ambiguous,
        attempts,
        cause => cause(why, language),
        others,
    }
}

/// An alert's template, and what it says.
fn told(alert: &Alert, eyes: Eyes, language: Language) -> (&'static str, Value) {
    let session = plain(alert.session.as_str(), SESSION_MAX).unwrap_or_else(|| "?".to_owned());
    let common = context! { session, at => moment(alert.at) };
    // Who tries an alert has a name too.
    let by = |who: &str| somebody(if eyes == Eyes::Private { who } else { "" }, language);
    let (name, facts) = match &alert.says {
        Says::Preventive(result) => ("alert_preventive", about(*result, language)),
        Says::ManualAttention(orders) => ("alert_manual_attention", list(orders)),
        Says::TotalLoss { orders, finding, assessment } => {
            let finding = finding.as_deref();
            let facts = context! {
                critical => assessment.status == Status::IncommunicadoCritico,
                reason => reason(assessment.reason, language),
                evidence => finding.map(|finding| evidence(finding, language)),
                action => action(*assessment, finding, language),
            };
            ("alert_total_loss", context! { ..facts, ..list(orders) })
        }
        Says::StillLost { since, orders } => {
            let facts = context! { since => moment(*since), lasting => duration(alert.at.since(*since)) };
            ("alert_still_lost", context! { ..facts, ..list(orders) })
        }
        Says::Restricted(orders) => ("alert_restricted", list(orders)),
        Says::BotGone { since } => ("alert_bot_gone", context! { since => moment(*since) }),
        Says::Drill { who } => ("alert_drill", context! { who => by(who) }),
        Says::DrillOver { start } => {
            let lasting = duration(alert.at.since(*start));
            ("alert_drill_over", context! { start => moment(*start), lasting })
        }
        Says::Test { who } => ("alert_test", context! { who => by(who) }),
        Says::Recovered { start, end, worst, affected, replayed, left } => {
            let facts = context! {
                cut_off => worst.badness() >= Status::Incommunicado.badness(),
                downtime => duration(end.since(*start)),
                start => moment(*start),
                end => moment(*end),
                affected,
                replayed,
                left,
                otherwise => affected.saturating_sub(replayed.saturating_add(*left)),
            };
            ("alert_recovered", facts)
        }
        Says::Trouble(Trouble::KeyRefused) => ("alert_trouble", about(ProbeResult::Unauthorized, language)),
        Says::TroubleOver(Trouble::KeyRefused) => ("alert_trouble_over", context!()),
    };
    (name, context! { ..facts, ..common })
}

/// Who did it, where they have a name.
fn somebody(who: &str, language: Language) -> String {
    fact(Some(who), NAME_MAX).unwrap_or_else(|| language.pick("Alguien", "Somebody", "Alguém").to_owned())
}

/// What a probe found, and the one right action.
fn about(result: ProbeResult, language: Language) -> Value {
    context! { seen => seen(result, language), action => instruction(result, language) }
}

/// The orders of an alert by name, each once, and how many more there are.
fn list(orders: &Orders) -> Value {
    let mut shown: Vec<String> = Vec::new();
    let mut covered = 0_u32;
    for line in &orders.named {
        let Some(order) = fact(line.order.as_deref(), ORDER_MAX) else { continue };
        let known = shown.contains(&order);
        if known || shown.len() < ORDERS_SHOWN {
            covered = covered.saturating_add(1);
        }
        if !known && shown.len() < ORDERS_SHOWN {
            shown.push(order);
        }
    }
    let more = orders.count.saturating_sub(covered);
    context! {
        count => orders.count,
        orders => shown.join(", "),
        single => shown.len() == 1 && more == 0,
        more,
    }
}

/// What to do about a dead channel: what the probe saw decides, where it could see and saw anything wrong.
fn action(given: Assessment, finding: Option<&Finding>, language: Language) -> &'static str {
    let probe = finding.and_then(|finding| finding.probe);
    match (given.reason, probe) {
        (Reason::Unacknowledged, _) => language.pick(
            "Revisa que el teléfono de la tienda tenga internet y WhatsApp abierto, y reinicia la sesión.",
            "Check that the shop's phone is online with WhatsApp open, and restart the session.",
            "Verifique se o telefone da loja tem internet e o WhatsApp aberto, e reinicie a sessão.",
        ),
        (_, None | Some(ProbeResult::Unauthorized)) => language.pick(
            "Revisa que WAHA esté en marcha y que la sesión funcione.",
            "Check that WAHA runs and that the session works.",
            "Verifique se o WAHA está rodando e se a sessão funciona.",
        ),
        (_, Some(ProbeResult::State { state: SessionState::Working, restriction, .. }))
            if !restriction.holds_new_contacts() =>
        {
            language.pick(
                "Reinicia la sesión: dice que funciona, pero los envíos fallan.",
                "Restart the session: it says that it works, but sends fail.",
                "Reinicie a sessão: ela diz que funciona, mas os envios falham.",
            )
        }
        (_, Some(result)) => instruction(result, language),
    }
}

/// A fact of strangers, where it is known and there is something to see.
fn fact(text: Option<&str>, longest: usize) -> Option<String> {
    text.and_then(|text| plain(text, longest))
}

#[cfg(test)]
pub(super) mod tests;
