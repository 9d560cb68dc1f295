//! What a probe found, and the one right action. A code wants a phone, a lost login a person, a refused key a key: a restart
//! is named only where it can help.

use super::Language;
use crate::domain::probe::{ProbeResult, SessionState};

/// What the probe found.
pub const fn seen(result: ProbeResult, language: Language) -> &'static str {
    match result {
        ProbeResult::State { state, restriction, .. } => match state {
            SessionState::Working if restriction.holds_new_contacts() => language.pick(
                "La sesión funciona, pero WhatsApp restringe la cuenta.",
                "The session works, but WhatsApp restricts the account.",
                "A sessão funciona, mas o WhatsApp restringe a conta.",
            ),
            SessionState::Working => {
                language.pick("La sesión funciona.", "The session works.", "A sessão funciona.")
            }
            SessionState::Starting => language.pick(
                "La sesión está arrancando (STARTING).",
                "The session is starting (STARTING).",
                "A sessão está iniciando (STARTING).",
            ),
            SessionState::ScanQrCode => language.pick(
                "La sesión espera que alguien escanee un código QR.",
                "The session waits for somebody to scan a QR code.",
                "A sessão espera que alguém escaneie um código QR.",
            ),
            SessionState::PasskeyRequired => language.pick(
                "La sesión espera que alguien confirme con una passkey.",
                "The session waits for somebody to confirm with a passkey.",
                "A sessão espera que alguém confirme com uma passkey.",
            ),
            SessionState::Failed => language.pick(
                "La sesión falló o fue desvinculada (FAILED).",
                "The session broke or was logged out (FAILED).",
                "A sessão falhou ou foi desvinculada (FAILED).",
            ),
            SessionState::Stopped => language.pick(
                "La sesión está detenida (STOPPED).",
                "The session is switched off (STOPPED).",
                "A sessão está parada (STOPPED).",
            ),
            SessionState::Other => language.pick(
                "La sesión está en un estado desconocido.",
                "The session is in an unknown state.",
                "A sessão está em um estado desconhecido.",
            ),
        },
        ProbeResult::Missing => language.pick(
            "La sesión no existe en WAHA.",
            "The session does not exist in WAHA.",
            "A sessão não existe no WAHA.",
        ),
        ProbeResult::Unauthorized => language.pick(
            "WAHA rechaza la clave del propio watchdog.",
            "WAHA refuses the watchdog's own key.",
            "O WAHA recusa a chave do próprio watchdog.",
        ),
        ProbeResult::Unreachable => language.pick(
            "No hay conexión con WAHA.",
            "There is no connection to WAHA.",
            "Não há conexão com o WAHA.",
        ),
        ProbeResult::TimedOut => language.pick(
            "WAHA no respondió a tiempo.",
            "WAHA did not answer in time.",
            "O WAHA não respondeu a tempo.",
        ),
        ProbeResult::Strange => language.pick(
            "En la dirección de WAHA responde algo que no es WAHA.",
            "Something that is not WAHA answers at WAHA's address.",
            "No endereço do WAHA responde algo que não é o WAHA.",
        ),
    }
}

/// What to do about it.
pub const fn instruction(result: ProbeResult, language: Language) -> &'static str {
    match result {
        ProbeResult::State { state, restriction, .. } => match state {
            SessionState::Working if restriction.holds_new_contacts() => language.pick(
                "No reinicies la sesión: no ayuda. Pausa los mensajes a contactos nuevos hasta que WhatsApp levante la restricción.",
                "Do not restart the session: it does not help. Pause messages to new contacts until WhatsApp lifts the restriction.",
                "Não reinicie a sessão: não adianta. Pause as mensagens para contatos novos até o WhatsApp retirar a restrição.",
            ),
            SessionState::Working => language.pick(
                "La sesión se ve bien: si los envíos fallan igual, reiníciala.",
                "The session looks well: if sends fail all the same, restart it.",
                "A sessão parece bem: se os envios falharem mesmo assim, reinicie-a.",
            ),
            SessionState::Starting => language.pick(
                "Espera unos minutos: suele quedar lista sola. Si no avanza, reiníciala.",
                "Wait a few minutes: it mostly gets ready by itself. If it does not, restart it.",
                "Espere alguns minutos: costuma ficar pronta sozinha. Se não avançar, reinicie-a.",
            ),
            SessionState::ScanQrCode => language.pick(
                "Toma el teléfono de la tienda y escanea el QR de esta sesión en WAHA (WhatsApp > Dispositivos vinculados). Reiniciar no ayuda.",
                "Take the shop's phone and scan this session's QR code in WAHA (WhatsApp > Linked devices). A restart does not help.",
                "Pegue o telefone da loja e escaneie o QR desta sessão no WAHA (WhatsApp > Dispositivos conectados). Reiniciar não adianta.",
            ),
            SessionState::PasskeyRequired => language.pick(
                "Abre WAHA y confirma la passkey con el teléfono de la tienda. Reiniciar no ayuda.",
                "Open WAHA and confirm the passkey with the shop's phone. A restart does not help.",
                "Abra o WAHA e confirme a passkey com o telefone da loja. Reiniciar não adianta.",
            ),
            SessionState::Failed => language.pick(
                "Reinicia la sesión una vez; si vuelve a FAILED, vincúlala de nuevo con el teléfono (código QR).",
                "Restart the session once; if it goes back to FAILED, link it again with the phone (QR code).",
                "Reinicie a sessão uma vez; se voltar a FAILED, vincule-a de novo com o telefone (código QR).",
            ),
            SessionState::Stopped => language.pick(
                "Alguien la detuvo: si no fue a propósito, iníciala en WAHA.",
                "Somebody switched it off: unless that was on purpose, start it in WAHA.",
                "Alguém a parou: se não foi de propósito, inicie-a no WAHA.",
            ),
            SessionState::Other => language.pick(
                "Abre WAHA y mira qué pide la sesión.",
                "Open WAHA and see what the session asks for.",
                "Abra o WAHA e veja o que a sessão pede.",
            ),
        },
        ProbeResult::Missing => language.pick(
            "Crea la sesión en WAHA, o corrige su nombre en waha.sessions.",
            "Create the session in WAHA, or correct its name in waha.sessions.",
            "Crie a sessão no WAHA, ou corrija o nome em waha.sessions.",
        ),
        ProbeResult::Unauthorized => language.pick(
            "Corrige la clave del watchdog en su configuración (waha.api_key). No es la del bot: no toques la sesión.",
            "Correct the watchdog's key in its configuration (waha.api_key). It is not the bot's: leave the session alone.",
            "Corrija a chave do watchdog na configuração (waha.api_key). Não é a do bot: não mexa na sessão.",
        ),
        ProbeResult::Unreachable => language.pick(
            "Revisa que WAHA esté en marcha y que waha.url sea correcta; si está caído, levántalo.",
            "Check that WAHA runs and that waha.url is right; if it is down, start it.",
            "Verifique se o WAHA está rodando e se waha.url está correta; se caiu, inicie-o.",
        ),
        ProbeResult::TimedOut => language.pick(
            "Revisa la carga del servidor de WAHA; si sigue colgado, reinicia WAHA.",
            "Check the load of WAHA's server; if it stays stuck, restart WAHA.",
            "Verifique a carga do servidor do WAHA; se continuar travado, reinicie o WAHA.",
        ),
        ProbeResult::Strange => language.pick(
            "Revisa waha.url y el proxy que haya delante de WAHA.",
            "Check waha.url, and any proxy in front of WAHA.",
            "Verifique waha.url e o proxy que houver na frente do WAHA.",
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::probe::{Engine, Restriction};
    use std::collections::BTreeSet;

    /// Everything a probe can find that is worded apart.
    pub(in crate::words) fn results() -> Vec<ProbeResult> {
        let restriction = Restriction { locked: true, capped: false };
        let restricted =
            ProbeResult::State { state: SessionState::Working, engine: Engine::Noweb, restriction };
        let others = [
            ProbeResult::Missing,
            ProbeResult::Unauthorized,
            ProbeResult::Unreachable,
            ProbeResult::TimedOut,
            ProbeResult::Strange,
            restricted,
        ];
        SessionState::ALL.into_iter().map(ProbeResult::of).chain(others).collect()
    }

    #[test]
    fn every_result_has_its_own_instruction() {
        for language in Language::ALL {
            for say in [seen, instruction] {
                let said: BTreeSet<_> = results().into_iter().map(|result| say(result, language)).collect();
                assert_eq!(said.len(), results().len(), "{language:?}");
                assert!(said.iter().all(|one| one.ends_with('.') && one.chars().count() <= 160), "{said:?}");
            }
        }
    }

    #[test]
    fn a_restart_is_not_advised_where_it_cannot_help() {
        for result in results().into_iter().filter(|result| !result.restart_may_help()) {
            let advice = instruction(result, Language::En);
            let against = advice.contains("A restart does not help");
            assert!(against || !advice.contains("estart the session"), "{result:?}: {advice}");
        }
    }
}
