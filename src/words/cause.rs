//! Why an attempt was not accepted, in one short sentence that a person of the shop understands.

use super::Language;
use crate::domain::outcome::Cause;

/// What went wrong.
pub const fn cause(cause: Cause, language: Language) -> &'static str {
    match cause {
        Cause::ConnectionRefused => language.pick(
            "Nadie escucha en la dirección de WAHA.",
            "Nobody listens at WAHA's address.",
            "Ninguém escuta no endereço do WAHA.",
        ),
        Cause::Dns => language.pick(
            "El nombre del servidor de WAHA no existe.",
            "The name of WAHA's server does not exist.",
            "O nome do servidor do WAHA não existe.",
        ),
        Cause::Tls => language.pick(
            "No se logró una conexión segura con WAHA.",
            "No secure connection to WAHA could be made.",
            "Não foi possível uma conexão segura com o WAHA.",
        ),
        Cause::ConnectTimeout => language.pick(
            "WAHA no aceptó la conexión a tiempo.",
            "WAHA did not take the connection in time.",
            "O WAHA não aceitou a conexão a tempo.",
        ),
        Cause::TooManyRequests => language.pick(
            "WAHA recibe demasiados envíos y pide ir más despacio.",
            "WAHA gets too many sends and asks to slow down.",
            "O WAHA recebe envios demais e pede para ir mais devagar.",
        ),
        Cause::Unavailable => language.pick(
            "WAHA dice que no está disponible.",
            "WAHA says that it is not available.",
            "O WAHA diz que não está disponível.",
        ),
        Cause::SessionMissing => language.pick(
            "La sesión no existe en WAHA.",
            "The session does not exist in WAHA.",
            "A sessão não existe no WAHA.",
        ),
        Cause::SessionNotWorking => language.pick(
            "La sesión de WhatsApp no está funcionando.",
            "The WhatsApp session is not working.",
            "A sessão do WhatsApp não está funcionando.",
        ),
        Cause::Unauthorized => language.pick(
            "WAHA rechazó la clave del bot.",
            "WAHA refused the bot's key.",
            "O WAHA recusou a chave do bot.",
        ),
        Cause::Redirected => language.pick(
            "Respondió una redirección y no WAHA.",
            "A redirect answered, not WAHA.",
            "Respondeu um redirecionamento, não o WAHA.",
        ),
        Cause::BadRequest => language.pick(
            "WAHA dice que el pedido del bot está mal hecho.",
            "WAHA says that the bot's request is malformed.",
            "O WAHA diz que a requisição do bot está malformada.",
        ),
        Cause::NotFound => language.pick(
            "WAHA no conoce lo que el bot pidió.",
            "WAHA does not know what the bot asked for.",
            "O WAHA não conhece o que o bot pediu.",
        ),
        Cause::TooLarge => language.pick(
            "El mensaje es más grande de lo que WAHA acepta.",
            "The message is larger than WAHA takes.",
            "A mensagem é maior do que o WAHA aceita.",
        ),
        Cause::NotImplemented => language.pick(
            "Este WAHA no sabe hacer lo que el bot pidió.",
            "This WAHA cannot do what the bot asked for.",
            "Este WAHA não sabe fazer o que o bot pediu.",
        ),
        Cause::NumberNotOnWhatsapp => language.pick(
            "El número no está en WhatsApp.",
            "The number is not on WhatsApp.",
            "O número não está no WhatsApp.",
        ),
        Cause::ContactRestricted => language.pick(
            "WhatsApp no deja escribir a este contacto.",
            "WhatsApp does not allow writing to this contact.",
            "O WhatsApp não deixa escrever para este contato.",
        ),
        Cause::RefusedByWhatsapp => language.pick(
            "WhatsApp rechazó este mensaje.",
            "WhatsApp refused this message.",
            "O WhatsApp recusou esta mensagem.",
        ),
        Cause::IncompleteRequest => language.pick(
            "El bot no terminó de mandar su pedido.",
            "The bot did not send its whole request.",
            "O bot não terminou de mandar a requisição.",
        ),
        Cause::ResponseTimeout => language.pick(
            "WAHA no respondió a tiempo.",
            "WAHA did not answer in time.",
            "O WAHA não respondeu a tempo.",
        ),
        Cause::ConnectionLost => language.pick(
            "La conexión con WAHA se cortó a mitad del envío.",
            "The connection to WAHA broke in mid-send.",
            "A conexão com o WAHA caiu no meio do envio.",
        ),
        Cause::ServerError => language.pick(
            "WAHA respondió con un error interno.",
            "WAHA answered with an internal error.",
            "O WAHA respondeu com um erro interno.",
        ),
        Cause::TruncatedAnswer => language.pick(
            "La respuesta de WAHA llegó cortada.",
            "WAHA's answer was cut short.",
            "A resposta do WAHA chegou cortada.",
        ),
        Cause::SaidFailed => language.pick(
            "WAHA respondió que el envío falló, sin decir por qué.",
            "WAHA answered that the send failed, not why.",
            "O WAHA respondeu que o envio falhou, sem dizer por quê.",
        ),
        Cause::Interrupted => language.pick(
            "El watchdog se detuvo antes de saber cómo terminó.",
            "The watchdog stopped before it knew how it ended.",
            "O watchdog parou antes de saber como terminou.",
        ),
        Cause::NeverConfirmed => language.pick(
            "WAHA lo aceptó, pero WhatsApp nunca lo confirmó.",
            "WAHA took it, but WhatsApp never confirmed it.",
            "O WAHA aceitou, mas o WhatsApp nunca confirmou.",
        ),
        Cause::DeliveryFailed => language.pick(
            "WAHA lo aceptó, pero WhatsApp dijo que falló.",
            "WAHA took it, but WhatsApp said that it failed.",
            "O WAHA aceitou, mas o WhatsApp disse que falhou.",
        ),
        Cause::ReportedByBot => language.pick(
            "El bot informó que no pudo avisar al cliente.",
            "The bot reported that it could not tell the customer.",
            "O bot informou que não conseguiu avisar o cliente.",
        ),
    }
}

/// A sentence as part of a longer one: without its full stop, and small at the beginning where no name stands there.
pub(super) fn clause(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let first_word = sentence.split_whitespace().next().unwrap_or_default();
    let is_name = first_word.chars().skip(1).any(char::is_uppercase);
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if !is_name => first.to_lowercase().chain(letters).collect(),
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cause_has_its_own_short_sentence() {
        for language in Language::ALL {
            let sentences: BTreeSet<_> = Cause::ALL.into_iter().map(|one| cause(one, language)).collect();
            assert_eq!(sentences.len(), Cause::ALL.len(), "{language:?}");
            for sentence in sentences {
                assert!(sentence.ends_with('.') && sentence.chars().count() <= 60, "{sentence}");
            }
        }
    }

    #[test]
    fn names_keep_their_capital() {
        assert_eq!(clause("WAHA no respondió a tiempo."), "WAHA no respondió a tiempo");
        assert_eq!(clause("WhatsApp refused this message."), "WhatsApp refused this message");
        assert_eq!(clause("El número no está."), "el número no está");
        assert_eq!(clause("A redirect answered."), "a redirect answered");
        assert_eq!(clause(""), "");
    }
}
