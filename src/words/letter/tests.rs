//! Every template, in every language, in every state it can meet.

use std::sync::Arc;

use super::super::evidence::tests::{FINDING, ways};
use super::super::instruction::tests::results;
use super::*;
use crate::domain::alert::OrderLine;
use crate::domain::id::{ChatId, Phone, RecordId, SendId, SessionName};
use crate::domain::order::{FACT_MAX, NotificationType, OrderFacts};
use crate::domain::send::SendKind;
use crate::domain::status::Confidence;
use crate::domain::time::Timestamp;

const AT: Timestamp = Timestamp::from_millis(1_762_178_700_000);

fn description(order: OrderFacts, chat: Option<&str>) -> Arc<Description> {
    Arc::new(Description {
        identity: None,
        session: None,
        chat: chat.and_then(ChatId::new),
        kind: SendKind::Text,
        path: "/api/anything".into(),
        order,
    })
}

fn full() -> OrderFacts {
    OrderFacts {
        order_id: Some("8f14".into()),
        order_number: Some("ORD-123".into()),
        order_total: Some("$45.00".into()),
        customer_name: Some("Juan Pérez".into()),
        customer_phone: Phone::new("+58 424-1234567"),
        notification_type: Some(NotificationType::OrderReceived),
    }
}

/// With and without each fact, for every type and for none.
fn every_order() -> Vec<OrderFacts> {
    let types = NotificationType::ALL.into_iter().map(Some).chain([None]);
    let with = |mask: u32, bit: u32, text: &str| (mask & 1 << bit != 0).then(|| smol_str::SmolStr::new(text));
    types
        .flat_map(|notification_type| {
            (0..32).map(move |mask| OrderFacts {
                order_id: with(mask, 0, "8f14"),
                order_number: with(mask, 1, "ORD-123"),
                order_total: with(mask, 2, "$45.00"),
                customer_name: with(mask, 3, "Juan Pérez"),
                customer_phone: with(mask, 4, "+58 424-1234567").and_then(|phone| Phone::new(&phone)),
                notification_type,
            })
        })
        .collect()
}

fn orders(names: &[Option<&str>], count: u32) -> Orders {
    let line = |(at, order): (usize, &Option<&str>)| OrderLine {
        send: SendId::from_bytes([u8::try_from(at).unwrap(); 16]),
        order: order.map(str::to_owned),
    };
    Orders { named: names.iter().enumerate().map(line).collect(), count }
}

fn every_list() -> Vec<Orders> {
    let long = "x".repeat(FACT_MAX);
    vec![
        orders(&[], 0),
        orders(&[Some("ORD-1")], 1),
        orders(&[None], 1),
        orders(&[Some("ORD-1"), None, Some("ORD-1"), Some("ORD-2")], 4),
        orders(&[Some(long.as_str()); 20], 20),
        orders(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"].map(Some), 5000),
    ]
}

pub(in super::super) fn alert(says: Says) -> LetterText {
    LetterText::Alert(Box::new(Alert {
        id: RecordId::from_bytes([1; 16]),
        session: SessionName::new("default").unwrap(),
        incident: None,
        at: AT,
        says,
        deliveries: Vec::new(),
    }))
}

fn loss(orders: Orders, status: Status, reason: Reason, finding: Option<Finding>) -> LetterText {
    let assessment = Assessment { status, confidence: Confidence::High, reason };
    alert(Says::TotalLoss { orders, finding: finding.map(Box::new), assessment })
}

pub(in super::super) fn every_alert() -> Vec<LetterText> {
    let mut all: Vec<_> = results().into_iter().map(|result| alert(Says::Preventive(result))).collect();
    all.extend([Says::Trouble(Trouble::KeyRefused), Says::TroubleOver(Trouble::KeyRefused)].map(alert));
    for who in ["ana", "", "<b>\n*x*"].map(str::to_owned) {
        all.extend([Says::Drill { who: who.clone() }, Says::Test { who }].map(alert));
    }
    for since in [AT, Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX)] {
        all.extend([Says::BotGone { since }, Says::DrillOver { start: since }].map(alert));
        all.extend(every_list().into_iter().map(|orders| alert(Says::StillLost { since, orders })));
    }
    for list in every_list() {
        all.push(alert(Says::ManualAttention(list.clone())));
        all.push(alert(Says::Restricted(list.clone())));
        for reason in Reason::ALL {
            for status in [Status::Incommunicado, Status::IncommunicadoCritico] {
                all.push(loss(list.clone(), status, reason, None));
                all.push(loss(list.clone(), status, reason, Some(FINDING)));
            }
        }
        for probe in results() {
            let finding = Finding { probe: Some(probe), ..FINDING };
            all.push(loss(list.clone(), Status::IncommunicadoCritico, Reason::TotalLoss, Some(finding)));
        }
    }
    for (user, admin) in
        ways().into_iter().flat_map(|user| ways().into_iter().map(move |admin| (user, admin)))
    {
        for cause in Cause::ALL {
            let finding = Finding { user, admin, cause, number_exists: Some(false), ..FINDING };
            let list = orders(&[Some("ORD-1")], 1);
            all.push(loss(list, Status::IncommunicadoCritico, Reason::TotalLoss, Some(finding)));
        }
    }
    for worst in Status::ALL {
        for (affected, replayed, left) in
            [(0, 0, 0), (1, 1, 0), (1, 0, 1), (9, 4, 3), (1, 5, 5), (u32::MAX, 0, 2)]
        {
            for start in [AT, Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX)] {
                all.push(alert(Says::Recovered { start, end: AT, worst, affected, replayed, left }));
            }
        }
    }
    all
}

fn every_letter() -> Vec<LetterText> {
    let mut all = every_alert();
    all.push(LetterText::Canary);
    for order in every_order() {
        let chats = [None, Some("584241234567"), Some("120363@g.us")];
        for what in chats.map(|chat| description(order.clone(), chat)) {
            all.push(LetterText::QuickMessage(what.clone()));
            let cause = Cause::ConnectionRefused;
            for (attempts, others) in [(0, 0), (1, 1), (4, 50)] {
                all.push(LetterText::AdminNotice { what: what.clone(), attempts, cause, others });
            }
        }
    }
    for cause in Cause::ALL {
        let what = description(full(), None);
        all.push(LetterText::AdminNotice { what, attempts: 4, cause, others: 0 });
    }
    all
}

/// As `letter`, but a failing template fails the test.
fn rendered(text: &LetterText, language: Language) -> String {
    let written = letter(text, language);
    assert_ne!(written, instead(text.kind(), language), "the template of {text:?} failed");
    written
}

#[test]
fn every_letter_is_whole_and_short() {
    for language in Language::ALL {
        for text in every_letter() {
            let written = rendered(&text, language);
            let lines: Vec<_> = written.lines().collect();
            assert!(written.chars().count() <= 1000 && lines.len() <= 12, "{written}");
            assert!(
                lines.len() >= 2 && !written.contains("\n\n\n") && written.trim() == written,
                "{written}"
            );
            assert!(lines.iter().all(|line| line.trim() == *line && !line.contains("  ")), "{written}");
            assert!(
                !written.contains(['{', '}']) && !written.contains("..") && !written.contains(":."),
                "{written}"
            );
            for word in written.split(|c: char| !c.is_alphanumeric()) {
                assert!(!["none", "None", "undefined", "null", "true", "false"].contains(&word), "{written}");
            }
        }
    }
}

#[test]
fn the_requirement_documents_texts() {
    let quick = LetterText::QuickMessage(description(full(), None));
    assert_eq!(
        rendered(&quick, Language::Es),
        "🤝 *Hemos recibido tu orden*\n\nHola, Juan Pérez:\n*Orden:* ORD-123\n*Total:* $45.00\n\n\
         Un agente se comunicará contigo pronto para completar tu pedido.\n¡Gracias por tu paciencia! 😊"
    );
    let nothing_known = LetterText::QuickMessage(description(OrderFacts::default(), None));
    assert_eq!(
        rendered(&nothing_known, Language::Es),
        "💬 *Tenemos un mensaje para ti*\n\n\
         Un agente se comunicará contigo con los detalles.\n¡Gracias por tu paciencia! 😊"
    );
    let notice = LetterText::AdminNotice {
        what: description(full(), None),
        attempts: 4,
        cause: Cause::ConnectionRefused,
        others: 1,
    };
    assert_eq!(
        rendered(&notice, Language::Es),
        "🚨 *Atención requerida*\n\n*Orden:* ORD-123\n*Cliente:* Juan Pérez\n*Teléfono:* +58 424-1234567\n\
         *Total:* $45.00\n*Aviso:* orden recibida\n\n\
         No se le pudo avisar (4 intentos). Nadie escucha en la dirección de WAHA.\n\
         Por favor contacta al cliente manualmente.\nHay 1 aviso más en la misma situación."
    );
}

#[test]
fn an_uncertain_send_is_told_as_uncertain() {
    let of =
        |cause| LetterText::AdminNotice { what: description(full(), None), attempts: 1, cause, others: 0 };
    for cause in Cause::ALL {
        let written = rendered(&of(cause), Language::En);
        assert_eq!(written.contains("It is not known"), cause.outcome() == Outcome::Ambiguous, "{written}");
    }
}

#[test]
fn alerts_tell_what_happened_and_what_to_do() {
    let named = orders(&[Some("ORD-1"), Some("ORD-2"), None], 3);
    let dead = loss(named.clone(), Status::IncommunicadoCritico, Reason::TotalLoss, Some(FINDING));
    assert_eq!(
        rendered(&dead, Language::Es),
        "🚨 *BOT COMPLETAMENTE INCOMUNICADO* (sesión default)\n\
         El diagnóstico de un envío fallido no pudo llegar a nadie, y nada fue aceptado desde entonces. \
         Detectado a las 14:05 UTC (2025-11-03). Quedan pendientes 3 avisos a clientes.\n\
         Órdenes: ORD-1, ORD-2 y 1 más.\n\
         Tras 4 intentos: nadie escucha en la dirección de WAHA. Healthcheck: no hay conexión con WAHA. \
         Otros 3 chats también fallan. El mensaje al cliente no salió (misma causa). \
         El mensaje al admin no salió (misma causa).\n\
         *Qué hacer:* Revisa que WAHA esté en marcha y que waha.url sea correcta; si está caído, levántalo. \
         Y llama a esos clientes."
    );
    let restricted = rendered(&alert(Says::Restricted(named)), Language::En);
    assert!(restricted.contains("Restart nothing"), "{restricted}");
    let over = Says::Recovered {
        start: Timestamp::from_millis(AT.millis() - 7_500_000),
        end: AT,
        worst: Status::IncommunicadoCritico,
        affected: 9,
        replayed: 5,
        left: 1,
    };
    assert_eq!(
        rendered(&alert(over), Language::Pt),
        "✅ *Sistema recuperado* (sessão default)\n\
         Ficou incomunicável por 2 h 5 min: de 12:00 UTC (2025-11-03) a 14:05 UTC (2025-11-03).\n\
         Avisos afetados: 9. Reenviados pelo watchdog: 5. Pendentes para uma pessoa: 1. Resolvidos de outra forma: 3.\n\
         *O que fazer:* Contate o cliente que ficou pendente; está no painel."
    );
}

#[test]
fn strangers_cannot_forge_a_line() {
    let forged = "Eva\r\n*Total:* $0\u{2028}{{ session }} {% if x %}\u{202e}gnp\u{202c}\u{0}<b>&amp;";
    let long = "ñ\n".repeat(FACT_MAX);
    for evil in [forged, &long] {
        let order = OrderFacts {
            order_id: Some(evil.into()),
            order_number: Some(evil.into()),
            order_total: Some(evil.into()),
            customer_name: Some(evil.into()),
            customer_phone: Phone::new("+58\n{{ x }}\u{202e}"),
            notification_type: Some(NotificationType::OrderReceived),
        };
        let calm = description(full(), None);
        let what = description(order, None);
        let cause = Cause::ConnectionRefused;
        let pairs = [
            (LetterText::QuickMessage(what.clone()), LetterText::QuickMessage(calm.clone())),
            (
                LetterText::AdminNotice { what, attempts: 4, cause, others: 0 },
                LetterText::AdminNotice { what: calm, attempts: 4, cause, others: 0 },
            ),
            (
                alert(Says::ManualAttention(orders(&[Some(evil); 3], 3))),
                alert(Says::ManualAttention(orders(&[Some("ORD-1"); 3], 3))),
            ),
        ];
        for (hostile, calm) in pairs {
            let (hostile, calm) = (rendered(&hostile, Language::Es), rendered(&calm, Language::Es));
            assert_eq!(hostile.lines().count(), calm.lines().count(), "{hostile}");
            assert!(!hostile.contains(['\r', '\u{2028}', '\u{202e}', '\u{202c}', '\u{0}']), "{hostile:?}");
            assert!(hostile.chars().count() <= 1000, "{hostile}");
        }
    }
    let name = OrderFacts { customer_name: Some("{{ order }}<b>".into()), ..OrderFacts::default() };
    let written = rendered(&LetterText::QuickMessage(description(name, None)), Language::En);
    assert!(written.contains("Hello {{ order }}<b>,"), "{written}");
}

#[test]
fn the_phone_is_the_orders_else_the_chats() {
    let notice = |order, chat| {
        let cause = Cause::Dns;
        letter(
            &LetterText::AdminNotice { what: description(order, chat), attempts: 1, cause, others: 0 },
            Language::Es,
        )
    };
    assert!(notice(full(), Some("584240000000")).contains("*Teléfono:* +58 424-1234567\n"));
    assert!(notice(OrderFacts::default(), Some("584240000000")).contains("*Teléfono:* +584240000000\n"));
    assert!(!notice(OrderFacts::default(), Some("120363@g.us")).contains("Teléfono"));
}
