//! Sentences for people, in Spanish first.

use crate::domain::errand::LetterText;
use crate::domain::status::{Assessment, Reason, Status};

/// The language of sentences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
    /// Portuguese.
    Pt,
}

impl Language {
    const fn pick<'a>(self, es: &'a str, en: &'a str, pt: &'a str) -> &'a str {
        match self {
            Self::Es => es,
            Self::En => en,
            Self::Pt => pt,
        }
    }
}

/// Why the status is what it is.
pub const fn reason(reason: Reason, language: Language) -> &'static str {
    match reason {
        Reason::NothingSeen => language.pick(
            "Todavía no pasó ningún envío.",
            "No send has passed yet.",
            "Nenhum envio passou ainda.",
        ),
        Reason::AllWell => {
            language.pick("Los envíos son aceptados.", "Sends are accepted.", "Os envios são aceitos.")
        }
        Reason::SendsGivenUp => language.pick(
            "Varias notificaciones a varios chats agotaron sus intentos y nada fue aceptado desde entonces.",
            "Several notifications to several chats ran out of attempts, and nothing was accepted since.",
            "Várias notificações para vários chats esgotaram as tentativas e nada foi aceito desde então.",
        ),
        Reason::SendsFailing => language.pick(
            "Los envíos están fallando y nada fue aceptado desde entonces.",
            "Sends are failing, and nothing was accepted since.",
            "Os envios estão falhando e nada foi aceito desde então.",
        ),
        Reason::LowSuccessRate => language.pick(
            "La tasa de éxito de los envíos está por debajo del límite.",
            "The success rate of sends is below its limit.",
            "A taxa de sucesso dos envios está abaixo do limite.",
        ),
        Reason::HighLatency => language.pick(
            "WAHA tarda demasiado en responder.",
            "WAHA takes too long to answer.",
            "O WAHA demora demais para responder.",
        ),
        Reason::RetriesNeeded => language.pick(
            "Hubo envíos que solo pasaron después de reintentos.",
            "Some sends only passed after retries.",
            "Houve envios que só passaram depois de novas tentativas.",
        ),
        Reason::BotSilent => language.pick(
            "El bot no ha enviado nada en un buen rato.",
            "The bot has not sent anything for a while.",
            "O bot não envia nada há um bom tempo.",
        ),
        Reason::TotalLoss => language.pick(
            "El diagnóstico no pudo llegar a nadie y nada fue aceptado desde entonces.",
            "The diagnosis reached nobody, and nothing was accepted since.",
            "O diagnóstico não alcançou ninguém e nada foi aceito desde então.",
        ),
        Reason::NothingWorks => language.pick(
            "Fallan el healthcheck y los envíos.",
            "Both the healthcheck and the sends fail.",
            "Falham o healthcheck e os envios.",
        ),
        Reason::Unacknowledged => language.pick(
            "WAHA acepta los envíos, pero WhatsApp no los confirma.",
            "WAHA accepts the sends, but WhatsApp does not acknowledge them.",
            "O WAHA aceita os envios, mas o WhatsApp não os confirma.",
        ),
        Reason::HealthcheckFailing => language.pick(
            "El healthcheck de WAHA está fallando.",
            "WAHA's healthcheck is failing.",
            "O healthcheck do WAHA está falhando.",
        ),
        Reason::WebhookOnly => language.pick(
            "Un envío falló, pero el diagnóstico sí pudo comunicarse.",
            "A send failed, but the diagnosis could get through.",
            "Um envio falhou, mas o diagnóstico conseguiu se comunicar.",
        ),
        Reason::AccountRestricted => language.pick(
            "WhatsApp restringe esta cuenta para contactos nuevos.",
            "WhatsApp restricts this account for new contacts.",
            "O WhatsApp restringe esta conta para contatos novos.",
        ),
        Reason::RejectedAlike => language.pick(
            "Varios chats rechazan los envíos por la misma causa y nada fue aceptado desde entonces.",
            "Several chats reject sends for the same cause, and nothing was accepted since.",
            "Vários chats rejeitam os envios pela mesma causa e nada foi aceito desde então.",
        ),
        Reason::BotGone => language.pick(
            "El bot no da señales de vida.",
            "The bot gives no sign of life.",
            "O bot não dá sinais de vida.",
        ),
        Reason::Unproven => language.pick(
            "WAHA responde de nuevo, pero todavía ningún envío lo ha confirmado.",
            "WAHA answers again, but no send has proven it yet.",
            "O WAHA responde de novo, mas nenhum envio confirmou isso ainda.",
        ),
    }
}

/// What the status means and what to do.
pub const fn interpretation(given: Assessment, language: Language) -> &'static str {
    match given.status {
        Status::Unknown => language.pick(
            "No se sabe nada aún: el bot no ha enviado nada por el proxy. Si ya debería, revisa que su URL de WAHA apunte aquí.",
            "Nothing is known yet: the bot has sent nothing through the proxy. If it should have, check that its WAHA URL points here.",
            "Nada se sabe ainda: o bot não enviou nada pelo proxy. Se já deveria, confira se a URL do WAHA aponta para cá.",
        ),
        Status::Online => language.pick(
            "El bot habla: WAHA acepta sus envíos. Aceptado no es lo mismo que entregado.",
            "The bot speaks: WAHA accepts its sends. Accepted is not the same as delivered.",
            "O bot fala: o WAHA aceita os envios. Aceito não é o mesmo que entregue.",
        ),
        Status::Degraded => match given.reason {
            Reason::SendsFailing => language.pick(
                "Los envíos fallan. Puede ser WAHA, la sesión o la red: revisa WAHA antes de que afecte a más clientes.",
                "Sends fail. It may be WAHA, the session or the network: check WAHA before more customers are affected.",
                "Os envios falham. Pode ser o WAHA, a sessão ou a rede: verifique o WAHA antes que afete mais clientes.",
            ),
            Reason::HighLatency => language.pick(
                "Los mensajes salen, pero muy lento. Revisa la carga de WAHA.",
                "Messages go out, but very slowly. Check the load of WAHA.",
                "As mensagens saem, mas muito devagar. Verifique a carga do WAHA.",
            ),
            _ => language.pick(
                "Los mensajes salen, pero algunos necesitaron reintentos o no salieron. Puede ser un problema temporal.",
                "Messages go out, but some needed retries or did not go. It may be a passing problem.",
                "As mensagens saem, mas algumas precisaram de novas tentativas ou não saíram. Pode ser um problema passageiro.",
            ),
        },
        Status::Incommunicado | Status::IncommunicadoCritico => language.pick(
            "El bot no logra enviar nada. Contacta a los clientes de las órdenes sin notificar y revisa WAHA.",
            "The bot cannot send anything. Contact the customers of the unnotified orders and check WAHA.",
            "O bot não consegue enviar nada. Contate os clientes dos pedidos sem aviso e verifique o WAHA.",
        ),
        Status::Offline => language.pick(
            "No hay tráfico del bot. De noche es normal; si no, revisa que el bot esté en marcha.",
            "There is no traffic from the bot. At night that is normal; else check that the bot runs.",
            "Não há tráfego do bot. À noite é normal; se não, verifique se o bot está rodando.",
        ),
    }
}

/// The loss of recording, for the status' reason.
pub fn not_recording(why: &str, language: Language) -> String {
    let sentence = language.pick(
        "ATENCIÓN: los envíos pasan pero no se están registrando",
        "ATTENTION: sends go through but are not being recorded",
        "ATENÇÃO: os envios passam mas não estão sendo registrados",
    );
    format!("{sentence} ({why}).")
}

/// What a message of our own says.
pub fn letter(text: &LetterText, language: Language) -> String {
    let _unused = text;
    language.pick("Prueba", "Test", "Teste").to_owned()
}
