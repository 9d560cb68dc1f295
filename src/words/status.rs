//! The status in words: why it is what it is, and what that means for the reader.

use super::Language;
use crate::domain::status::{Assessment, Reason, Status};

/// Why the status is what it is.
pub const fn reason(reason: Reason, language: Language) -> &'static str {
    match reason {
        Reason::NothingSeen => language.pick(
            "Todavía no pasó ningún envío.",
            "No send has passed yet.",
            "Nenhum envio passou ainda.",
        ),
        Reason::AllWell => language.pick(
            "Nada indica un problema del canal.",
            "Nothing points to trouble with the channel.",
            "Nada indica um problema do canal.",
        ),
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
            "El diagnóstico de un envío fallido no pudo llegar a nadie, y nada fue aceptado desde entonces.",
            "The diagnosis of a failed send reached nobody, and nothing was accepted since.",
            "O diagnóstico de um envio com falha não alcançou ninguém, e nada foi aceito desde então.",
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
            "El envío de una orden falló, pero el bot sí puede comunicarse.",
            "The send of an order failed, but the bot can get through.",
            "O envio de um pedido falhou, mas o bot consegue se comunicar.",
        ),
        Reason::AccountRestricted => language.pick(
            "WhatsApp restringe esta cuenta para contactos nuevos.",
            "WhatsApp restricts this account for new contacts.",
            "O WhatsApp restringe esta conta para contatos novos.",
        ),
        Reason::RejectedAlike => language.pick(
            "Los envíos a varios chats son rechazados por la misma causa y nada fue aceptado desde entonces.",
            "Sends to several chats are rejected for the same cause, and nothing was accepted since.",
            "Os envios para vários chats são recusados pela mesma causa e nada foi aceito desde então.",
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

/// What the status means and what to do. The reason decides; the status only where one reason gives two.
pub const fn interpretation(given: Assessment, language: Language) -> &'static str {
    match given.reason {
        Reason::NothingSeen => language.pick(
            "No se sabe nada aún: el bot no ha enviado nada por el proxy. Si ya debería, revisa que su URL de WAHA apunte aquí.",
            "Nothing is known yet: the bot has sent nothing through the proxy. If it should have, check that its WAHA URL points here.",
            "Nada se sabe ainda: o bot não enviou nada pelo proxy. Se já deveria, confira se a URL do WAHA aponta para cá.",
        ),
        Reason::AllWell => language.pick(
            "Hasta donde se ve, WAHA funciona y acepta lo que el bot envía. Aceptado no es lo mismo que entregado.",
            "As far as can be seen, WAHA works and accepts what the bot sends. Accepted is not the same as delivered.",
            "Até onde se vê, o WAHA funciona e aceita o que o bot envia. Aceito não é o mesmo que entregue.",
        ),
        Reason::SendsGivenUp => language.pick(
            "El bot no logra enviar nada. Contacta a los clientes de las órdenes sin notificar y revisa WAHA.",
            "The bot cannot send anything. Contact the customers of the unnotified orders and check WAHA.",
            "O bot não consegue enviar nada. Contate os clientes dos pedidos sem aviso e verifique o WAHA.",
        ),
        Reason::SendsFailing => language.pick(
            "Los envíos fallan. Puede ser WAHA, la sesión o la red: revisa WAHA antes de que afecte a más clientes.",
            "Sends fail. It may be WAHA, the session or the network: check WAHA before more customers are affected.",
            "Os envios falham. Pode ser o WAHA, a sessão ou a rede: verifique o WAHA antes que afete mais clientes.",
        ),
        Reason::LowSuccessRate => language.pick(
            "Salen mensajes, pero demasiados fallan. Mira las notificaciones pendientes y las causas de los fallos.",
            "Messages go out, but too many fail. Look at the pending notifications and at what made sends fail.",
            "Saem mensagens, mas muitas falham. Veja as notificações pendentes e as causas das falhas.",
        ),
        Reason::HighLatency => language.pick(
            "Los mensajes salen, pero muy lento. Revisa la carga de WAHA.",
            "Messages go out, but very slowly. Check the load of WAHA.",
            "As mensagens saem, mas muito devagar. Verifique a carga do WAHA.",
        ),
        Reason::RetriesNeeded => language.pick(
            "Los mensajes salen, pero algunos necesitaron reintentos. Puede ser un problema temporal: por ahora basta con observar.",
            "Messages go out, but some needed retries. It may be a passing problem: watching is enough for now.",
            "As mensagens saem, mas algumas precisaram de novas tentativas. Pode ser um problema passageiro: por ora basta observar.",
        ),
        Reason::BotSilent => language.pick(
            "No hay tráfico del bot. De noche es normal; si no, revisa que el bot esté en marcha.",
            "There is no traffic from the bot. At night that is normal; else check that the bot runs.",
            "Não há tráfego do bot. À noite é normal; se não, verifique se o bot está rodando.",
        ),
        Reason::TotalLoss => language.pick(
            "Bot completamente incomunicado. Llama a los clientes de las órdenes sin notificar y revisa WAHA y la sesión.",
            "The bot is completely cut off. Call the customers of the unnotified orders, and check WAHA and the session.",
            "Bot completamente incomunicável. Ligue para os clientes dos pedidos sem aviso e verifique o WAHA e a sessão.",
        ),
        Reason::NothingWorks => language.pick(
            "WAHA no pasa el healthcheck y los envíos tampoco salen: lo más probable es que WAHA o la sesión estén caídos. Levántalos y llama a los clientes sin notificar.",
            "WAHA fails its healthcheck and sends fail too: most likely WAHA or the session is down. Bring it up, and call the customers who were not told.",
            "O WAHA não passa no healthcheck e os envios também falham: o mais provável é que o WAHA ou a sessão tenham caído. Levante-os e ligue para os clientes sem aviso.",
        ),
        Reason::Unacknowledged => match given.status {
            Status::IncommunicadoCritico => language.pick(
                "WAHA dice que sí a todo, pero WhatsApp lleva minutos sin confirmar nada: los clientes seguramente no reciben nada. Reinicia la sesión y revisa el teléfono.",
                "WAHA says yes to everything, but WhatsApp has confirmed nothing for minutes: customers most likely get nothing. Restart the session and check the phone.",
                "O WAHA diz sim a tudo, mas há minutos o WhatsApp não confirma nada: os clientes provavelmente não recebem nada. Reinicie a sessão e verifique o telefone.",
            ),
            _ => language.pick(
                "WAHA acepta los envíos, pero WhatsApp aún no confirma ninguno. Puede ser una demora: si sigue así, revisa la sesión.",
                "WAHA accepts the sends, but WhatsApp has not confirmed any of them yet. It may be a delay: if it lasts, check the session.",
                "O WAHA aceita os envios, mas o WhatsApp ainda não confirmou nenhum. Pode ser um atraso: se continuar, verifique a sessão.",
            ),
        },
        Reason::HealthcheckFailing => language.pick(
            "WAHA no responde a healthcheck pero los envíos aún funcionan, o no hubo ninguno. Puede ser un problema temporal: revisa WAHA y la sesión antes de que afecte a clientes.",
            "WAHA does not pass its healthcheck, but sends still work, or there were none. It may be a passing problem: check WAHA and the session before customers are affected.",
            "O WAHA não responde ao healthcheck, mas os envios ainda funcionam, ou não houve nenhum. Pode ser um problema passageiro: verifique o WAHA e a sessão antes que afete clientes.",
        ),
        Reason::WebhookOnly => language.pick(
            "El canal funciona: tras el fallo se pudo escribir al cliente o al admin. Atiende a mano la orden que falló; no hace falta reiniciar nada.",
            "The channel works: after the failure the customer or the admin could be written to. See to the failed order by hand; nothing needs a restart.",
            "O canal funciona: depois da falha foi possível escrever ao cliente ou ao admin. Atenda à mão o pedido que falhou; não é preciso reiniciar nada.",
        ),
        Reason::AccountRestricted => language.pick(
            "WhatsApp limita la cuenta, no la conexión: no reinicies nada. Pausa los mensajes a contactos nuevos y llama a esos clientes.",
            "WhatsApp limits the account, not the connection: restart nothing. Pause messages to new contacts, and call those customers.",
            "O WhatsApp limita a conta, não a conexão: não reinicie nada. Pause as mensagens para contatos novos e ligue para esses clientes.",
        ),
        Reason::RejectedAlike => language.pick(
            "WAHA rechaza por igual envíos a chats distintos: no es culpa de los números. Reinicia la sesión y revisa si cambió el bot o WAHA.",
            "WAHA rejects sends to different chats alike: the numbers are not to blame. Restart the session, and check whether the bot or WAHA was changed.",
            "O WAHA recusa por igual envios a chats diferentes: a culpa não é dos números. Reinicie a sessão e veja se o bot ou o WAHA mudou.",
        ),
        Reason::BotGone => language.pick(
            "El bot no responde: parece detenido. Ponlo en marcha; las órdenes que entren mientras tanto no se anuncian a nadie.",
            "The bot does not answer: it seems to have stopped. Start it; orders that come in meanwhile are announced to nobody.",
            "O bot não responde: parece parado. Inicie-o; os pedidos que entrarem enquanto isso não são anunciados a ninguém.",
        ),
        Reason::Unproven => language.pick(
            "La sesión funciona según WAHA, pero ningún envío lo ha demostrado desde la caída. Manda un mensaje de prueba con el bot.",
            "The session works, says WAHA, but no send has shown it since the outage. Send a test message with the bot.",
            "A sessão funciona, segundo o WAHA, mas nenhum envio demonstrou isso desde a queda. Mande uma mensagem de teste com o bot.",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::Confidence;
    use std::collections::BTreeSet;

    /// What SPEC 7 can give; one reason gives two statuses.
    const PAIRS: [(Status, Reason); 18] = [
        (Status::Unknown, Reason::NothingSeen),
        (Status::Online, Reason::AllWell),
        (Status::IncommunicadoCritico, Reason::TotalLoss),
        (Status::IncommunicadoCritico, Reason::NothingWorks),
        (Status::IncommunicadoCritico, Reason::Unacknowledged),
        (Status::Incommunicado, Reason::SendsGivenUp),
        (Status::Offline, Reason::BotGone),
        (Status::Offline, Reason::BotSilent),
        (Status::Degraded, Reason::SendsFailing),
        (Status::Degraded, Reason::LowSuccessRate),
        (Status::Degraded, Reason::HighLatency),
        (Status::Degraded, Reason::RetriesNeeded),
        (Status::Degraded, Reason::HealthcheckFailing),
        (Status::Degraded, Reason::WebhookOnly),
        (Status::Degraded, Reason::AccountRestricted),
        (Status::Degraded, Reason::RejectedAlike),
        (Status::Degraded, Reason::Unproven),
        (Status::Degraded, Reason::Unacknowledged),
    ];

    #[test]
    fn every_pair_has_its_own_sentence() {
        let listed: BTreeSet<_> = PAIRS.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(listed.len(), Reason::ALL.len(), "a reason is missing in PAIRS");
        for language in Language::ALL {
            let meant: BTreeSet<_> = PAIRS
                .into_iter()
                .map(|(status, reason)| Assessment { status, confidence: Confidence::Medium, reason })
                .map(|given| interpretation(given, language))
                .collect();
            assert_eq!(meant.len(), PAIRS.len(), "{language:?}");
            let why: BTreeSet<_> = Reason::ALL.into_iter().map(|one| reason(one, language)).collect();
            assert_eq!(why.len(), Reason::ALL.len(), "{language:?}");
            for sentence in why.into_iter().chain(meant) {
                assert!(sentence.ends_with('.') && sentence.chars().count() <= 200, "{sentence}");
            }
        }
    }
}
