//! Why somebody's wish cannot be granted, for the person who had it.

use super::Language;
use crate::domain::command::Refusal;

/// One sentence: what stands in the way, and what to do where something can be done.
pub const fn refusal(refusal: &Refusal, language: Language) -> &'static str {
    match refusal {
        Refusal::NotOpen => language.pick(
            "No hay ninguna notificación fallida abierta con este id.",
            "There is no open failed notification with this id.",
            "Não há nenhuma notificação com falha aberta com este id.",
        ),
        Refusal::NotSettled => language.pick(
            "Esta notificación fallida ya está abierta.",
            "This failed notification is open already.",
            "Esta notificação com falha já está aberta.",
        ),
        Refusal::NothingKept => language.pick(
            "Su mensaje no se guardó, así que no se puede reenviar: avisa al cliente por otro medio y márcala como contactada.",
            "Its message is not kept, so it cannot be sent again: tell the customer another way and mark it contacted.",
            "A mensagem não foi guardada, então não dá para reenviar: avise o cliente por outro meio e marque como contatada.",
        ),
        Refusal::RejectedForGood => language.pick(
            "WAHA la rechazó definitivamente: reenviarla no ayuda. Avisa al cliente por otro medio.",
            "WAHA rejected it for good: sending it again cannot help. Tell the customer another way.",
            "O WAHA a rejeitou em definitivo: reenviar não adianta. Avise o cliente por outro meio.",
        ),
        Refusal::BotHasIt => language.pick(
            "El bot mismo la está enviando en este momento: espera a ver cómo termina.",
            "The bot is sending it itself right now: wait and see how that ends.",
            "O próprio bot está enviando agora: espere para ver como termina.",
        ),
        Refusal::ClaimedByAnother => language.pick(
            "Otra persona ya se está ocupando de ella.",
            "Somebody else has taken it already.",
            "Outra pessoa já está cuidando dela.",
        ),
        Refusal::UnknownSession => language.pick(
            "Esta sesión no está en waha.sessions.",
            "This session is not one of waha.sessions.",
            "Esta sessão não está em waha.sessions.",
        ),
        Refusal::NothingToDiagnose => language.pick(
            "El reporte no trae teléfono del cliente ni orden: no hay nada que diagnosticar.",
            "The report names no customer phone and no order: there is nothing to diagnose.",
            "O relato não traz telefone do cliente nem pedido: não há o que diagnosticar.",
        ),
        Refusal::DrillRuns => language.pick(
            "Ya hay un simulacro en marcha: termínalo primero.",
            "A drill is running already: end it first.",
            "Já há um simulado em andamento: encerre-o primeiro.",
        ),
        Refusal::NoDrill => language.pick(
            "No hay ningún simulacro en marcha.",
            "No drill is running.",
            "Não há nenhum simulado em andamento.",
        ),
        Refusal::NoChannel => language.pick(
            "Ese canal de avisos no está configurado: mira [alerts] en la configuración.",
            "This alert channel is not configured: see [alerts] in the configuration.",
            "Esse canal de avisos não está configurado: veja [alerts] na configuração.",
        ),
        Refusal::Unrecorded => language.pick(
            "Ahora no se puede escribir en el registro, y nada se reenvía sin registrarlo. Revisa el disco e inténtalo de nuevo.",
            "The store cannot be written right now, and nothing is sent again unrecorded. Check the disk and try again.",
            "Agora não dá para gravar no registro, e nada é reenviado sem registro. Verifique o disco e tente de novo.",
        ),
    }
}
