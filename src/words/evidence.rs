//! What a diagnosis found out, as a person would tell it in one breath: the text of a communication failure and of its alert.
//!
//! It names nobody, so that it may go to every channel.

use super::cause::{cause, clause};
use super::{Language, seen};
use crate::domain::diagnosis::{Finding, NotTried, Reached, Rung};
use crate::domain::outcome::Cause;
use crate::domain::probe::ProbeResult;

/// The evidence of a verdict, on one line.
pub fn evidence(finding: &Finding, language: Language) -> String {
    let parts = [
        attempts(finding.attempts, finding.cause, language),
        finding.probe.map(|result| probe(result, language)).unwrap_or_default(),
        others(finding.others_accepted, finding.others_failed, language),
        reached(Rung::Customer, finding.user, finding.cause, language),
        reached(Rung::Admin, finding.admin, finding.cause, language),
        number(finding, language).to_owned(),
    ];
    let told: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    told.join(" ")
}

fn attempts(count: u32, given: Cause, language: Language) -> String {
    let sentence = cause(given, language);
    let why = clause(sentence);
    match (count, language) {
        (0, _) => sentence.to_owned(),
        _ if given == Cause::ReportedByBot => sentence.to_owned(), // its attempts are the bot's own tale
        (1, Language::Es) => format!("Tras 1 intento: {why}."),
        (1, Language::En) => format!("After 1 attempt: {why}."),
        (1, Language::Pt) => format!("Após 1 tentativa: {why}."),
        (_, Language::Es) => format!("Tras {count} intentos: {why}."),
        (_, Language::En) => format!("After {count} attempts: {why}."),
        (_, Language::Pt) => format!("Após {count} tentativas: {why}."),
    }
}

fn probe(result: ProbeResult, language: Language) -> String {
    format!("Healthcheck: {}.", clause(seen(result, language)))
}

/// How it went with other chats. Accepted is what was seen; whether it was delivered is not known here.
fn others(accepted: u32, failed: u32, language: Language) -> String {
    let fine = match (accepted, language) {
        (0, _) => String::new(),
        (1, Language::Es) => "WAHA sí aceptó otro envío en el minuto anterior".to_owned(),
        (1, Language::En) => "WAHA did accept another send in the minute before".to_owned(),
        (1, Language::Pt) => "O WAHA aceitou outro envio no minuto anterior".to_owned(),
        (_, Language::Es) => format!("WAHA sí aceptó envíos a otros {accepted} chats"),
        (_, Language::En) => format!("WAHA did accept sends to {accepted} other chats"),
        (_, Language::Pt) => format!("O WAHA aceitou envios para outros {accepted} chats"),
    };
    let bad = match (failed, language) {
        (0, _) => String::new(),
        (1, Language::Es) => "otro chat también falla".to_owned(),
        (1, Language::En) => "another chat fails too".to_owned(),
        (1, Language::Pt) => "outro chat também falha".to_owned(),
        (_, Language::Es) => format!("otros {failed} chats también fallan"),
        (_, Language::En) => format!("{failed} other chats fail too"),
        (_, Language::Pt) => format!("outros {failed} chats também falham"),
    };
    match (fine.is_empty(), bad.is_empty()) {
        (true, true) => language
            .pick(
                "No hubo otros chats con que comparar.",
                "There were no other chats to compare with.",
                "Não houve outros chats para comparar.",
            )
            .to_owned(),
        (false, true) => format!("{fine}."),
        (false, false) => format!("{fine}; {bad}."),
        (true, false) => {
            let mut letters = bad.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            format!("{}.", first.chain(letters).collect::<String>())
        }
    }
}

/// How it went with the customer or the admin; `known` is the cause that was told already.
fn reached(rung: Rung, how: Reached, known: Cause, language: Language) -> String {
    let whom = match rung {
        Rung::Customer => language.pick("al cliente", "to the customer", "ao cliente"),
        Rung::Admin => language.pick("al admin", "to the admin", "ao admin"),
    };
    let same = language.pick("misma causa", "same cause", "mesma causa");
    let because = |why| if why == known { same.to_owned() } else { clause(cause(why, language)) };
    match (how, language) {
        (Reached::Yes, Language::Es) => format!("WAHA aceptó el mensaje {whom}."),
        (Reached::Yes, Language::En) => format!("WAHA accepted the message {whom}."),
        (Reached::Yes, Language::Pt) => format!("O WAHA aceitou a mensagem {whom}."),
        (Reached::No(why), Language::Es) => format!("El mensaje {whom} no salió ({}).", because(why)),
        (Reached::No(why), Language::En) => format!("The message {whom} did not go out ({}).", because(why)),
        (Reached::No(why), Language::Pt) => format!("A mensagem {whom} não saiu ({}).", because(why)),
        (Reached::Unknown(why), Language::Es) => {
            format!("No se sabe si el mensaje {whom} salió ({}).", because(why))
        }
        (Reached::Unknown(why), Language::En) => {
            format!("Whether the message {whom} went out is not known ({}).", because(why))
        }
        (Reached::Unknown(why), Language::Pt) => {
            format!("Não se sabe se a mensagem {whom} saiu ({}).", because(why))
        }
        (Reached::NotTried(why), _) => not_tried(rung, why, language).to_owned(),
    }
}

/// Why nobody wrote.
const fn not_tried(rung: Rung, why: NotTried, language: Language) -> &'static str {
    match (rung, why) {
        (Rung::Customer, NotTried::MayHaveArrived) => language.pick(
            "Al cliente no se le escribió: el aviso pudo haberle llegado.",
            "The customer was not written to: the original may have arrived.",
            "O cliente não recebeu outra mensagem: o aviso pode ter chegado.",
        ),
        (Rung::Customer, NotTried::WrittenToLately) => language.pick(
            "Al cliente no se le escribió: ya se le escribió hace poco.",
            "The customer was not written to: that was done a moment ago.",
            "O cliente não recebeu outra mensagem: já recebeu uma há pouco.",
        ),
        (Rung::Customer, NotTried::Restricted) => language.pick(
            "Al cliente no se le escribió: WhatsApp restringe los mensajes a este contacto.",
            "The customer was not written to: WhatsApp restricts messages to this contact.",
            "O cliente não recebeu outra mensagem: o WhatsApp restringe as mensagens a este contato.",
        ),
        (Rung::Customer, NotTried::Nobody) => language.pick(
            "Al cliente no se le escribió: no se conoce su chat.",
            "The customer was not written to: the chat is not known.",
            "O cliente não recebeu outra mensagem: não se conhece o chat.",
        ),
        (Rung::Customer, NotTried::NotNeeded) => language.pick(
            "Al cliente no hizo falta escribirle.",
            "There was no need to write to the customer.",
            "Não foi preciso escrever ao cliente.",
        ),
        (Rung::Customer, NotTried::Shared) => language.pick(
            "A este cliente no se le escribió: vale el diagnóstico de otro aviso que falló a la vez.",
            "This customer was not written to: the diagnosis of another send that failed with it holds.",
            "Este cliente não recebeu outra mensagem: vale o diagnóstico de outro aviso que falhou junto.",
        ),
        (Rung::Customer, NotTried::Unrecorded) => language.pick(
            "Al cliente no se le escribió: no se puede escribir en el registro, y a un cliente no se le escribe sin registrarlo.",
            "The customer was not written to: the store cannot be written, and no customer is written to unrecorded.",
            "O cliente não recebeu outra mensagem: não dá para gravar no registro, e nenhum cliente recebe mensagem sem registro.",
        ),
        (Rung::Admin, NotTried::Unrecorded) => language.pick(
            "Al admin no se le escribió: no se puede escribir en el registro.",
            "The admin was not written to: the store cannot be written.",
            "O admin não recebeu mensagem: não dá para gravar no registro.",
        ),
        (Rung::Admin, NotTried::Nobody) => language.pick(
            "Al admin no se le escribió: no hay número configurado (alerts.admin_phone).",
            "The admin was not written to: no number is configured (alerts.admin_phone).",
            "O admin não recebeu mensagem: não há número configurado (alerts.admin_phone).",
        ),
        (Rung::Admin, NotTried::NotNeeded) => language.pick(
            "Al admin no hizo falta escribirle.",
            "There was no need to write to the admin.",
            "Não foi preciso escrever ao admin.",
        ),
        (Rung::Admin, NotTried::WrittenToLately) => language.pick(
            "Al admin no se le escribió: ya se le escribió hace poco.",
            "The admin was not written to: that was done a moment ago.",
            "O admin não recebeu outra mensagem: já recebeu uma há pouco.",
        ),
        (Rung::Admin, NotTried::MayHaveArrived) => language.pick(
            "Al admin no se le escribió: un mensaje anterior pudo haberle llegado.",
            "The admin was not written to: an earlier message may have arrived.",
            "O admin não recebeu outra mensagem: uma anterior pode ter chegado.",
        ),
        (Rung::Admin, NotTried::Restricted) => language.pick(
            "Al admin no se le escribió: WhatsApp restringe la cuenta.",
            "The admin was not written to: WhatsApp restricts the account.",
            "O admin não recebeu mensagem: o WhatsApp restringe a conta.",
        ),
        (Rung::Admin, NotTried::Shared) => language.pick(
            "Al admin no se le escribió: vale el diagnóstico de otro aviso que falló a la vez.",
            "The admin was not written to: the diagnosis of another send that failed with it holds.",
            "O admin não recebeu mensagem: vale o diagnóstico de outro aviso que falhou junto.",
        ),
    }
}

/// Is the number on WhatsApp? Left out where nobody asked, or a cause has said it.
fn number(finding: &Finding, language: Language) -> &'static str {
    let said = finding.cause == Cause::NumberNotOnWhatsapp
        || finding.user == Reached::No(Cause::NumberNotOnWhatsapp);
    match (finding.number_exists, said) {
        (None, _) | (Some(false), true) => "",
        (Some(false), _) => language.pick(
            "El número no está en WhatsApp.",
            "The number is not on WhatsApp.",
            "O número não está no WhatsApp.",
        ),
        (Some(true), _) => language.pick(
            "El número sí está en WhatsApp.",
            "The number is on WhatsApp.",
            "O número está, sim, no WhatsApp.",
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;
    use crate::domain::id::RecordId;
    use crate::domain::probe::SessionState;
    use crate::domain::time::Timestamp;

    pub(in crate::words) const FINDING: Finding = Finding {
        id: RecordId::from_bytes([1; 16]),
        verdict: Verdict::TotalLoss,
        at: Timestamp::EPOCH,
        user: Reached::No(Cause::ConnectionRefused),
        admin: Reached::No(Cause::ConnectionRefused),
        number_exists: None,
        attempts: 4,
        cause: Cause::ConnectionRefused,
        probe: Some(ProbeResult::Unreachable),
        others_accepted: 0,
        others_failed: 3,
        resolved_at: None,
    };

    /// Every way a step can end, with the known cause and with another one.
    pub(in crate::words) fn ways() -> Vec<Reached> {
        let skipped = [
            NotTried::MayHaveArrived,
            NotTried::WrittenToLately,
            NotTried::Restricted,
            NotTried::Nobody,
            NotTried::NotNeeded,
            NotTried::Shared,
            NotTried::Unrecorded,
        ];
        let tried = [
            Reached::Yes,
            Reached::No(Cause::ConnectionRefused),
            Reached::No(Cause::SessionNotWorking),
            Reached::Unknown(Cause::ResponseTimeout),
        ];
        tried.into_iter().chain(skipped.map(Reached::NotTried)).collect()
    }

    #[test]
    fn it_reads_like_a_person_wrote_it() {
        assert_eq!(
            evidence(&FINDING, Language::Es),
            "Tras 4 intentos: nadie escucha en la dirección de WAHA. Healthcheck: no hay conexión con WAHA. \
             Otros 3 chats también fallan. El mensaje al cliente no salió (misma causa). \
             El mensaje al admin no salió (misma causa)."
        );
        let bad_number = Finding {
            verdict: Verdict::WebhookOnly,
            user: Reached::No(Cause::NumberNotOnWhatsapp),
            admin: Reached::Yes,
            number_exists: Some(false),
            attempts: 1,
            cause: Cause::ServerError,
            probe: Some(ProbeResult::of(SessionState::Working)),
            others_accepted: 1,
            others_failed: 0,
            ..FINDING
        };
        assert_eq!(
            evidence(&bad_number, Language::En),
            "After 1 attempt: WAHA answered with an internal error. Healthcheck: the session works. \
             WAHA did accept another send in the minute before. \
             The message to the customer did not go out (the number is not on WhatsApp). \
             WAHA accepted the message to the admin."
        );
        let lost = Finding {
            user: Reached::NotTried(NotTried::MayHaveArrived),
            admin: Reached::Unknown(Cause::ResponseTimeout),
            cause: Cause::ResponseTimeout,
            probe: None,
            others_accepted: 2,
            others_failed: 1,
            ..FINDING
        };
        assert_eq!(
            evidence(&lost, Language::Pt),
            "Após 4 tentativas: o WAHA não respondeu a tempo. O WAHA aceitou envios para outros 2 chats; \
             outro chat também falha. O cliente não recebeu outra mensagem: o aviso pode ter chegado. \
             Não se sabe se a mensagem ao admin saiu (mesma causa)."
        );
    }

    #[test]
    fn every_finding_is_told_in_a_few_words() {
        for language in Language::ALL {
            for finding in findings() {
                let told = evidence(&finding, language);
                assert!(told.ends_with('.') && !told.contains("  "), "{told}");
                assert!(told.chars().count() <= 420, "{} {told}", told.chars().count());
            }
            for one in Cause::ALL {
                let usual =
                    Finding { cause: one, user: Reached::No(one), admin: Reached::No(one), ..FINDING };
                let told = evidence(&usual, language);
                assert!(told.chars().count() <= 300, "{} {told}", told.chars().count());
            }
        }
    }

    /// All combinations of what is worded apart.
    fn findings() -> impl Iterator<Item = Finding> {
        let counts = [(0, 0), (0, 1), (1, 0), (1, 1), (12, 345)];
        let number = [None, Some(true), Some(false)];
        let probes = [None, Some(ProbeResult::Unreachable)];
        let pairs = ways().into_iter().flat_map(|user| ways().into_iter().map(move |admin| (user, admin)));
        pairs.flat_map(move |(user, admin)| {
            let mut all = Vec::new();
            for (attempts, probe) in [0, 1, 4].into_iter().flat_map(|n| probes.iter().map(move |p| (n, *p))) {
                for (number_exists, (others_accepted, others_failed)) in
                    number.into_iter().flat_map(|number| counts.map(|counts| (number, counts)))
                {
                    all.push(Finding {
                        user,
                        admin,
                        attempts,
                        probe,
                        number_exists,
                        others_accepted,
                        others_failed,
                        ..FINDING
                    });
                }
            }
            all
        })
    }
}
