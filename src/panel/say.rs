//! The panel's words, in three languages. Sentences about status, causes and evidence come from `crate::words`.
//!
//! - here: what needs a number, a name, or a choice
//! - `labels`: the rest, a line each

mod labels;
mod outcomes;

use std::time::Duration;

use crate::domain::alert::Says;
use crate::domain::delivery::Channel;
use crate::domain::diagnosis::Verdict;
use crate::domain::ledger::Via;
use crate::domain::notification::Method;
use crate::domain::order::NotificationType;
use crate::domain::recovery::Held;
use crate::words::{self, Language};

/// Says it in this language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Say(pub(super) Language);

impl Say {
    const fn pick<'a>(self, es: &'a str, en: &'a str, pt: &'a str) -> &'a str {
        match self.0 {
            Language::Es => es,
            Language::En => en,
            Language::Pt => pt,
        }
    }

    /// The language of a code.
    pub(super) fn spoken(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| Self(*language).code() == code)
    }

    /// Its code.
    pub(super) const fn code(self) -> &'static str {
        self.pick("es", "en", "pt")
    }

    /// What it calls itself.
    pub(super) const fn own_name(self) -> &'static str {
        self.pick("Español", "English", "Português")
    }

    pub(super) fn ago(self, span: Duration) -> String {
        if span < Duration::from_secs(5) {
            return self.pick("ahora mismo", "just now", "agora mesmo").to_owned();
        }
        let span = words::duration(coarse(span));
        match self.0 {
            Language::Es => format!("hace {span}"),
            Language::En => format!("{span} ago"),
            Language::Pt => format!("há {span}"),
        }
    }

    pub(super) fn in_time(self, span: Duration) -> String {
        let span = words::duration(coarse(span));
        match self.0 {
            Language::Es => format!("en {span}"),
            Language::En => format!("in {span}"),
            Language::Pt => format!("em {span}"),
        }
    }

    pub(super) fn attempts(self, count: &u32) -> String {
        match (count, self.0) {
            (1, Language::Es) => "1 intento".to_owned(),
            (1, Language::En) => "1 attempt".to_owned(),
            (1, Language::Pt) => "1 tentativa".to_owned(),
            (_, Language::Es) => format!("{count} intentos"),
            (_, Language::En) => format!("{count} attempts"),
            (_, Language::Pt) => format!("{count} tentativas"),
        }
    }

    /// After the number.
    pub(super) fn orders_without_notice(self, count: &usize) -> &'static str {
        match count {
            1 => self.pick("orden sin notificar", "order not announced", "pedido sem aviso"),
            _ => self.pick("órdenes sin notificar", "orders not announced", "pedidos sem aviso"),
        }
    }

    pub(super) fn call_customers(self, count: usize) -> String {
        match (count, self.0) {
            (1, Language::Es) => "Llama al cliente que no se enteró de su orden.".to_owned(),
            (1, Language::En) => "Call the customer who was not told about the order.".to_owned(),
            (1, Language::Pt) => "Ligue para o cliente que não foi avisado do pedido.".to_owned(),
            (_, Language::Es) => format!("Llama a los clientes de {count} órdenes: nadie les avisó."),
            (_, Language::En) => format!("Call the customers of {count} orders: nobody told them."),
            (_, Language::Pt) => format!("Ligue para os clientes de {count} pedidos: ninguém os avisou."),
        }
    }

    pub(super) fn see_to_orders(self, count: usize) -> String {
        match (count, self.0) {
            (1, Language::Es) => "Atiende a mano 1 orden.".to_owned(),
            (1, Language::En) => "See to 1 order by hand.".to_owned(),
            (1, Language::Pt) => "Atenda 1 pedido à mão.".to_owned(),
            (_, Language::Es) => format!("Atiende a mano {count} órdenes."),
            (_, Language::En) => format!("See to {count} orders by hand."),
            (_, Language::Pt) => format!("Atenda {count} pedidos à mão."),
        }
    }

    pub(super) fn decide_doubtful(self, count: usize) -> String {
        match (count, self.0) {
            (1, Language::Es) => "Decide sobre 1 notificación: el watchdog no puede.".to_owned(),
            (1, Language::En) => "Decide about 1 notification: the watchdog cannot.".to_owned(),
            (1, Language::Pt) => "Decida sobre 1 notificação: o watchdog não pode.".to_owned(),
            (_, Language::Es) => format!("Decide sobre {count} notificaciones: el watchdog no puede."),
            (_, Language::En) => format!("Decide about {count} notifications: the watchdog cannot."),
            (_, Language::Pt) => format!("Decida sobre {count} notificações: o watchdog não pode."),
        }
    }

    pub(super) fn failures_in_a_row(self, count: u32) -> String {
        match self.0 {
            Language::Es => format!("Fallos seguidos: {count}. Último envío aceptado:"),
            Language::En => format!("Failures in a row: {count}. Last accepted send:"),
            Language::Pt => format!("Falhas seguidas: {count}. Último envio aceito:"),
        }
    }

    pub(super) fn acks_waiting(self, count: usize) -> String {
        match (count, self.0) {
            (0, Language::Es) => "WhatsApp confirmó todo. Última confirmación:".to_owned(),
            (0, Language::En) => "WhatsApp has confirmed everything. Last confirmation:".to_owned(),
            (0, Language::Pt) => "O WhatsApp confirmou tudo. Última confirmação:".to_owned(),
            (_, Language::Es) => format!("Esperan confirmación: {count}. Última:"),
            (_, Language::En) => format!("Waiting for confirmation: {count}. Last one:"),
            (_, Language::Pt) => format!("Aguardam confirmação: {count}. Última:"),
        }
    }

    pub(super) fn bars_text(self, accepted: &u32, failed: &u32) -> String {
        match self.0 {
            Language::Es => {
                format!("La última hora, por minuto: {accepted} envíos aceptados, {failed} agotados")
            }
            Language::En => {
                format!("The last hour, minute by minute: {accepted} sends accepted, {failed} given up")
            }
            Language::Pt => {
                format!("A última hora, por minuto: {accepted} envios aceitos, {failed} esgotados")
            }
        }
    }

    pub(super) fn strip_text(self, hours: &i64) -> String {
        match self.0 {
            Language::Es => format!("El estado en las últimas {hours} horas"),
            Language::En => format!("The status over the last {hours} hours"),
            Language::Pt => format!("O estado nas últimas {hours} horas"),
        }
    }

    pub(super) fn pending_and_held(self, pending: &usize, held: &usize) -> String {
        match self.0 {
            Language::Es => format!("Por reenviar: {pending} · Esperan a una persona: {held}"),
            Language::En => format!("To be sent again: {pending} · Waiting for a person: {held}"),
            Language::Pt => format!("Por reenviar: {pending} · Aguardam uma pessoa: {held}"),
        }
    }

    pub(super) fn incident_figures(self, affected: &u32, replayed: &u32, left: &u32) -> String {
        match self.0 {
            Language::Es => {
                format!("{affected} notificaciones afectadas · {replayed} reenviadas · {left} para personas")
            }
            Language::En => {
                format!("{affected} notifications affected · {replayed} sent again · {left} left for people")
            }
            Language::Pt => {
                format!("{affected} notificações afetadas · {replayed} reenviadas · {left} para pessoas")
            }
        }
    }

    pub(super) fn and_more(self, count: &usize) -> String {
        match self.0 {
            Language::Es => format!("… y {count} más"),
            Language::En => format!("… and {count} more"),
            Language::Pt => format!("… e mais {count}"),
        }
    }

    pub(super) fn queued(self, count: &usize) -> String {
        match self.0 {
            Language::Es => format!("en cola: {count}"),
            Language::En => format!("waiting: {count}"),
            Language::Pt => format!("na fila: {count}"),
        }
    }

    pub(super) fn tries(self, count: &u32) -> String {
        match self.0 {
            Language::Es => format!("intentos de aviso: {count}"),
            Language::En => format!("tries to tell: {count}"),
            Language::Pt => format!("tentativas de aviso: {count}"),
        }
    }

    pub(super) fn taken_by(self, who: &str) -> String {
        match self.0 {
            Language::Es => format!("La tomó {who}"),
            Language::En => format!("Taken by {who}"),
            Language::Pt => format!("Com {who}"),
        }
    }

    pub(super) fn did(self, who: &str, deed: &str) -> String {
        format!("{who}: {deed}")
    }

    pub(super) fn too_many_tries(self, minutes: u64) -> String {
        match self.0 {
            Language::Es => {
                format!("Demasiados intentos fallidos. Espera {minutes} min e inténtalo de nuevo.")
            }
            Language::En => format!("Too many failed tries. Wait {minutes} min and try again."),
            Language::Pt => format!("Tentativas demais. Espere {minutes} min e tente de novo."),
        }
    }

    pub(super) const fn kind(self, kind: NotificationType) -> &'static str {
        match kind {
            NotificationType::OrderReceived => {
                self.pick("Orden recibida", "Order received", "Pedido recebido")
            }
            NotificationType::OrderConfirmed => {
                self.pick("Pago confirmado", "Payment confirmed", "Pagamento confirmado")
            }
            NotificationType::OrderShipped => self.pick("Orden enviada", "Order shipped", "Pedido enviado"),
            NotificationType::Other => self.pick("Otro aviso", "Other message", "Outro aviso"),
        }
    }

    pub(super) const fn via(self, via: Via) -> &'static str {
        match via {
            Via::Bot => self.pick("el bot", "the bot", "o bot"),
            Via::Retry => {
                self.pick("reintento del watchdog", "retry by the watchdog", "nova tentativa do watchdog")
            }
            Via::Latch => self.pick(
                "el bot, unido a otro intento",
                "the bot, joined to another attempt",
                "o bot, junto a outra tentativa",
            ),
            Via::Replay => {
                self.pick("reenvío del watchdog", "sent again by the watchdog", "reenvio do watchdog")
            }
            Via::Look => self.pick("búsqueda en WAHA", "a look in WAHA", "busca no WAHA"),
        }
    }

    pub(super) const fn verdict(self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::WebhookOnly => self.pick(
                "El canal funciona: falló solo este envío",
                "The channel works: only this send failed",
                "O canal funciona: só este envio falhou",
            ),
            Verdict::TotalLoss => self.pick(
                "Pérdida total de comunicación",
                "Total loss of communication",
                "Perda total de comunicação",
            ),
            Verdict::Inconclusive => self.pick("Sin conclusión", "Inconclusive", "Sem conclusão"),
        }
    }

    /// Why the watchdog does not send it by itself.
    pub(super) const fn held(self, held: Held) -> &'static str {
        match held {
            Held::NothingKept => self.pick(
                "Su mensaje no se guardó: no se puede reenviar",
                "Its message is not kept: it cannot be sent again",
                "A mensagem não foi guardada: não dá para reenviar",
            ),
            Held::Rejected => self.pick(
                "Rechazada: reenviar no ayuda",
                "Rejected: sending again does not help",
                "Rejeitada: reenviar não adianta",
            ),
            Held::NotConfirmed => self.pick(
                "Aceptada y nunca confirmada: quizá llegó",
                "Accepted and never confirmed: it may have arrived",
                "Aceita e nunca confirmada: talvez tenha chegado",
            ),
            Held::BotHasIt => self.pick(
                "El bot aún puede enviarla",
                "The bot may still send it",
                "O bot ainda pode enviá-la",
            ),
            Held::NotLooked => self.pick(
                "Quizá llegó: se buscará en WAHA",
                "It may have arrived: WAHA will be asked",
                "Talvez tenha chegado: o WAHA será consultado",
            ),
            Held::MayHaveArrived => self.pick(
                "Quizá llegó, y WAHA no puede decirlo",
                "It may have arrived, and WAHA cannot tell",
                "Talvez tenha chegado, e o WAHA não sabe dizer",
            ),
            Held::TooOld => self.pick(
                "Demasiado vieja para reenviarla sola",
                "Too old to be sent again by itself",
                "Antiga demais para ser reenviada sozinha",
            ),
            Held::Superseded => self.pick(
                "Un aviso posterior la hizo innecesaria",
                "A later message made it needless",
                "Um aviso posterior a tornou desnecessária",
            ),
            Held::Restricted => self.pick(
                "WhatsApp restringe este contacto",
                "WhatsApp restricts this contact",
                "O WhatsApp restringe este contato",
            ),
        }
    }

    const fn method(self, method: Method) -> &'static str {
        match method {
            Method::BotRecovered => self.pick(
                "Resuelta: el mensaje salió",
                "Settled: the message went out",
                "Resolvida: a mensagem saiu",
            ),
            Method::Retry => {
                self.pick("Resuelta al re-intentar", "Settled by sending again", "Resolvida ao reenviar")
            }
            Method::PhoneCall => {
                self.pick("Cliente llamado", "Customer called", "Cliente contatado por telefone")
            }
            Method::Sms => self.pick("Avisado por SMS", "Told by SMS", "Avisado por SMS"),
            Method::Email => self.pick("Avisado por correo", "Told by email", "Avisado por e-mail"),
            Method::ManualContact => {
                self.pick("Contactado por otro medio", "Contacted another way", "Contatado por outro meio")
            }
            Method::ConfirmedLate => self.pick(
                "Confirmada tarde por WhatsApp",
                "Confirmed late by WhatsApp",
                "Confirmada tarde pelo WhatsApp",
            ),
            Method::Superseded => self.pick(
                "Innecesaria por un aviso posterior",
                "Made needless by a later message",
                "Desnecessária por um aviso posterior",
            ),
            Method::Expired => self.pick("Ya no hace falta", "No longer needed", "Não é mais necessária"),
        }
    }

    pub(super) fn settled(self, method: Method, by: Option<&str>) -> String {
        let what = self.method(method);
        match by {
            Some(by) => format!("{what} ({by})"),
            None => what.to_owned(),
        }
    }

    /// How a person may have settled it: the API's word, and ours.
    pub(super) const fn methods(self) -> [(&'static str, &'static str); 5] {
        [
            ("phone_call", self.pick("Llamada", "Phone call", "Ligação")),
            ("sms", "SMS"),
            ("email", self.pick("Correo", "Email", "E-mail")),
            ("manual_contact", self.pick("Otro medio", "Another way", "Outro meio")),
            ("expired", self.pick("Ya no hace falta", "No longer needed", "Não é mais necessária")),
        ]
    }

    pub(super) const fn alert_kind(self, says: &Says) -> &'static str {
        match says {
            Says::Preventive(_) => self.pick("Aviso preventivo", "Preventive notice", "Aviso preventivo"),
            Says::ManualAttention(_) => self.pick("Atención manual", "Manual attention", "Atenção manual"),
            Says::TotalLoss { .. } => self.pick("Bot incomunicado", "Bot cut off", "Bot incomunicável"),
            Says::StillLost { .. } => self.pick(
                "Bot incomunicado, recordatorio",
                "Bot cut off, reminder",
                "Bot incomunicável, lembrete",
            ),
            Says::BotGone { .. } => {
                self.pick("El bot no da señales", "No sign of life of the bot", "O bot não dá sinais")
            }
            Says::Drill { .. } => self.pick("Simulacro", "Drill", "Simulado"),
            Says::DrillOver { .. } => self.pick("Fin del simulacro", "Drill over", "Fim do simulado"),
            Says::Test { .. } => self.pick("Prueba de un canal", "Test of a channel", "Teste de um canal"),
            Says::Restricted(_) => self.pick("Cuenta restringida", "Account restricted", "Conta restrita"),
            Says::Recovered { .. } => self.pick("Recuperación", "Recovery", "Recuperação"),
            Says::Trouble(_) => {
                self.pick("Problema del watchdog", "Trouble of the watchdog", "Problema do watchdog")
            }
            Says::TroubleOver(_) => self.pick("Problema resuelto", "Trouble over", "Problema resolvido"),
        }
    }

    pub(super) const fn channel(self, channel: Channel) -> &'static str {
        match channel {
            Channel::Whatsapp => "WhatsApp",
            Channel::Email => self.pick("Correo", "Email", "E-mail"),
            Channel::Sms => "SMS",
            Channel::Webhook => "Webhook",
            Channel::Pagerduty => "PagerDuty",
            Channel::LogFile => self.pick("Archivo", "File", "Arquivo"),
        }
    }

    /// A word of the audit. A word we do not know is shown as it is.
    pub(super) fn deed(self, action: &str) -> &str {
        match action {
            "retry" => self.pick("re-intentó el envío", "sent it again", "reenviou"),
            "resolve" => {
                self.pick("la marcó como contactada", "marked it contacted", "marcou como contatada")
            }
            "claim" => self.pick("la tomó", "took it", "assumiu"),
            "reopen" => self.pick("la reabrió", "reopened it", "reabriu"),
            "probe" => self.pick("forzó un healthcheck", "forced a healthcheck", "forçou um healthcheck"),
            "pause_recovery" => self.pick("pausó la recuperación", "paused recovery", "pausou a recuperação"),
            "resume_recovery" => {
                self.pick("reanudó la recuperación", "resumed recovery", "retomou a recuperação")
            }
            "restart_session" => {
                self.pick("reinició la sesión", "restarted the session", "reiniciou a sessão")
            }
            "restart_bot" => self.pick("reinició el bot", "restarted the bot", "reiniciou o bot"),
            "reveal_phone" => self.pick(
                "vio el teléfono del cliente",
                "saw the customer's number",
                "viu o telefone do cliente",
            ),
            "diagnose" => self.pick("pidió un diagnóstico", "asked for a diagnosis", "pediu um diagnóstico"),
            "forget" => self.pick(
                "borró los datos de un cliente",
                "took a customer out of the records",
                "apagou os dados de um cliente",
            ),
            "backup" => self.pick("copió todo el almacén", "copied the whole store", "copiou todo o armazém"),
            "begin_drill" => self.pick("empezó un simulacro", "began a drill", "começou um simulado"),
            "end_drill" => self.pick("terminó el simulacro", "ended the drill", "terminou o simulado"),
            "test_channels" => {
                self.pick("probó los canales de aviso", "tried alert channels", "testou os canais de aviso")
            }
            other => other,
        }
    }
}

/// Seconds of hours do not matter, and make a page restless.
fn coarse(span: Duration) -> Duration {
    let seconds = span.as_secs();
    let seconds = match seconds {
        0..60 => seconds,
        60..3600 => seconds / 60 * 60,
        3600..86_400 => seconds / 60 * 60,
        _ => seconds / 3600 * 3600,
    };
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let (es, en) = (Say(Language::Es), Say(Language::En));
        assert_eq!(es.ago(Duration::from_secs(2)), "ahora mismo");
        assert_eq!(es.ago(Duration::from_secs(185)), "hace 3 min");
        assert_eq!(en.ago(Duration::from_secs(7_505)), "2 h 5 min ago");
        assert_eq!(Say(Language::Pt).ago(Duration::from_secs(100_000)), "há 1 d 3 h");
        assert_eq!(es.in_time(Duration::from_secs(61)), "en 1 min");
    }

    #[test]
    fn codes_are_languages() {
        for language in Language::ALL {
            assert_eq!(Say::spoken(Say(language).code()), Some(language));
        }
        assert_eq!(Say::spoken("de"), None);
    }
}
