//! What a deed came to, in one sentence: from a word of ours or of the API.

use super::Say;
use crate::domain::command::Refusal;
use crate::words;

impl Say {
    /// Whether it was done, and the sentence; `None` for a word that nobody of ours says.
    pub(in crate::panel) fn said(self, word: &str) -> Option<(bool, &'static str)> {
        let done = |es, en, pt| Some((true, self.pick(es, en, pt)));
        let not = |es, en, pt| Some((false, self.pick(es, en, pt)));
        let refused = |refusal: Refusal| Some((false, words::refusal(&refusal, self.0)));
        match word {
            "claimed" => done(
                "Tomada: los demás ven que te ocupas tú.",
                "Taken: the others see that you are on it.",
                "Assumida: os outros veem que você está cuidando.",
            ),
            "resolved" => done("Marcada como contactada.", "Marked contacted.", "Marcada como contatada."),
            "reopened" => done(
                "Reabierta: vuelve a estar en la lista.",
                "Reopened: it is on the list again.",
                "Reaberta: está de novo na lista.",
            ),
            "revealed" => done(
                "Aquí está el número. Quedó registrado que lo viste.",
                "Here is the number. That you saw it is on record.",
                "Aqui está o número. Ficou registrado que você o viu.",
            ),
            "revealed_but_claimed" => not(
                "Aquí está el número, pero otra persona ya tomó esta orden: quizá ya llamó.",
                "Here is the number, but somebody else has taken this order and may have called.",
                "Aqui está o número, mas outra pessoa já assumiu este pedido e talvez já tenha ligado.",
            ),
            "retry_accepted" => {
                done("Enviada: WAHA la aceptó.", "Sent: WAHA accepted it.", "Enviada: o WAHA aceitou.")
            }
            "retry_failed" => not("No salió.", "It did not go out.", "Não saiu."),
            "retry_ambiguous" => {
                not("No se sabe si salió.", "Whether it went out is not known.", "Não se sabe se saiu.")
            }
            "probe_healthy" => done(
                "Healthcheck: la sesión funciona.",
                "Healthcheck: the session works.",
                "Healthcheck: a sessão funciona.",
            ),
            "probe_ill" => not(
                "Healthcheck: la sesión no funciona. Mira qué hacer más abajo.",
                "Healthcheck: the session does not work. See below what to do.",
                "Healthcheck: a sessão não funciona. Veja abaixo o que fazer.",
            ),
            "restarted" => done(
                "Sesión reiniciada. Dale un minuto y verifica.",
                "Session restarted. Give it a minute, then check.",
                "Sessão reiniciada. Espere um minuto e verifique.",
            ),
            "paused" => done(
                "Recuperación en pausa: nada se reenvía solo.",
                "Recovery paused: nothing is sent again by itself.",
                "Recuperação em pausa: nada é reenviado sozinho.",
            ),
            "resumed" => done("Recuperación reanudada.", "Recovery resumed.", "Recuperação retomada."),
            "bot_restarted" => done(
                "Se pidió reiniciar el bot.",
                "The bot was asked to restart.",
                "Foi pedido o reinício do bot.",
            ),
            "tested" => done(
                "Prueba en camino: aquí abajo se ve si cada canal la aceptó.",
                "The test is on its way: below you see whether each channel accepted it.",
                "O teste está a caminho: abaixo se vê se cada canal o aceitou.",
            ),
            "no_channel" => refused(Refusal::NoChannel),
            "no_restart_hook" => Some((false, self.restart_bot_unknown())),
            "nothing_chosen" => {
                not("No elegiste ninguna orden.", "You chose no order.", "Você não escolheu nenhum pedido.")
            }
            "some_undone" => not(
                "Algunas no se pudieron cambiar: otra persona las tomó o ya estaban resueltas.",
                "Some could not be changed: somebody else has them, or they were settled already.",
                "Algumas não puderam ser alteradas: outra pessoa as assumiu ou já estavam resolvidas.",
            ),
            "not_open" | "unknown_notification" => refused(Refusal::NotOpen),
            "not_settled" => refused(Refusal::NotSettled),
            "nothing_kept" => refused(Refusal::NothingKept),
            "rejected_for_good" => refused(Refusal::RejectedForGood),
            "bot_has_it" => refused(Refusal::BotHasIt),
            "claimed_by_another" => refused(Refusal::ClaimedByAnother),
            "unknown_session" => refused(Refusal::UnknownSession),
            "store_unavailable" => refused(Refusal::Unrecorded),
            "restart_cannot_help" => not(
                "Reiniciar no ayuda en este caso. Mira qué hacer más abajo.",
                "A restart does not help here. See below what to do.",
                "Reiniciar não adianta neste caso. Veja abaixo o que fazer.",
            ),
            "too_many_restarts" => not(
                "Ya se reinició 3 veces en la última hora: otra vez no ayuda, y WhatsApp puede tomarlo por abuso.",
                "It was restarted 3 times within the hour: once more does not help, and WhatsApp may take it for abuse.",
                "Já foi reiniciada 3 vezes na última hora: mais uma não adianta, e o WhatsApp pode considerar abuso.",
            ),
            "restart_failed" => not(
                "WAHA no reinició la sesión. Revisa que WAHA esté en marcha.",
                "WAHA did not restart the session. Check that WAHA runs.",
                "O WAHA não reiniciou a sessão. Verifique se o WAHA está rodando.",
            ),
            "still_running" => not(
                "Sigue en marcha: el resultado aparecerá aquí.",
                "It still runs: its end will show here.",
                "Ainda em andamento: o resultado aparecerá aqui.",
            ),
            "bad_parameter" | "bad_body" => not(
                "Algo en el formulario no es válido. Una nota tiene como máximo 1000 caracteres.",
                "Something in the form is not valid. A note has at most 1000 characters.",
                "Algo no formulário não é válido. Uma nota tem no máximo 1000 caracteres.",
            ),
            "failed" | "not_found" => not(
                "No se pudo hacer. El log dice por qué.",
                "It could not be done. The log says why.",
                "Não foi possível. O log diz por quê.",
            ),
            _ => None,
        }
    }
}
