//! What stands, for Alertmanager's annotations.

use super::{Language, plain};
use crate::domain::standing::{Standing, Stands};

/// Longest name of a session.
const SESSION_MAX: usize = 40;

/// What stands, in one sentence.
pub fn standing(standing: &Standing, language: Language) -> String {
    let session = plain(standing.session.as_str(), SESSION_MAX).unwrap_or_else(|| "?".to_owned());
    let (what, of) = match standing.what {
        Stands::IncommunicadoCritico => (
            language.pick(
                "Bot completamente incomunicado: ningún mensaje sale",
                "Bot completely cut off: no message goes out",
                "Bot completamente incomunicável: nenhuma mensagem sai",
            ),
            language.pick("sesión", "session", "sessão"),
        ),
        Stands::Incommunicado => (
            language.pick(
                "Bot incomunicado: los envíos fallan y ninguno fue aceptado desde entonces",
                "Bot cut off: sends fail, and none was accepted since",
                "Bot incomunicável: os envios falham e nenhum foi aceito desde então",
            ),
            language.pick("sesión", "session", "sessão"),
        ),
        Stands::Drill => (
            language.pick(
                "SIMULACRO: se prueba que los avisos llegan; no pasa nada",
                "DRILL: the way of alerts is tried; nothing is wrong",
                "SIMULADO: testa-se se os avisos chegam; nada de errado",
            ),
            language.pick("sesión", "session", "sessão"),
        ),
    };
    format!("{what} ({of} {session})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionName;
    use crate::domain::time::Timestamp;

    #[test]
    fn everything_that_stands_has_a_sentence_in_every_language() {
        for what in Stands::ALL {
            let session = SessionName::new("default").unwrap();
            let one = Standing { what, session, since: Timestamp::EPOCH };
            let sentences = Language::ALL.map(|language| standing(&one, language));
            assert!(sentences.iter().all(|sentence| sentence.ends_with(" default)")), "{sentences:?}");
            assert!(sentences[0] != sentences[1] && sentences[1] != sentences[2], "{sentences:?}");
        }
    }
}
