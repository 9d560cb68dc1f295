//! The panel's short words and sentences: Spanish, English, Portuguese.

use super::Say;

macro_rules! labels {
    ($($name:ident: $es:literal, $en:literal, $pt:literal;)+) => {
        impl Say { $(pub(in crate::panel) const fn $name(self) -> &'static str { self.pick($es, $en, $pt) })+ }

        #[cfg(test)]
        const ALL: &[(&str, [&str; 3])] = &[$((stringify!($name), [$es, $en, $pt]),)+];
    };
}

labels! {
    // Channels.
    test: "Probar", "Test", "Testar";
    test_all: "Probar todos", "Test all", "Testar todos";
    what_was_told: "Avisos", "What was told", "Avisos";
    last_told: "Último aviso aceptado:", "Last accepted:", "Último aviso aceito:";
    failing_since: "Sin aceptar nada desde", "Has accepted nothing since", "Sem aceitar nada desde";
    not_configured: "Sin configurar", "Not configured", "Não configurado";
    not_used_yet: "Sin usar aún", "Not used yet", "Ainda não usado";
    dead_mans_switch: "Señal de vida", "Sign of life", "Sinal de vida";

    // Everywhere.
    skip: "Saltar al contenido", "Skip to content", "Pular para o conteúdo";
    bot: "Bot", "Bot", "Bot";
    menu: "Menú", "Menu", "Menu";
    more: "Más", "More", "Mais";
    language: "Idioma", "Language", "Idioma";
    looks_only: "solo lectura", "read only", "só leitura";
    log_in: "Entrar", "Log in", "Entrar";
    log_out: "Salir", "Log out", "Sair";
    as_of: "Datos de", "As of", "Dados de";
    lost: "Sin conexión con el watchdog: lo que ves puede ser viejo.", "No connection to the watchdog: what you see may be old.", "Sem conexão com o watchdog: o que você vê pode estar velho.";
    busy: "Un momento…", "One moment…", "Um momento…";
    could_not_ask: "El watchdog no respondió. No se sabe si se hizo: mira la lista antes de repetir.", "The watchdog did not answer. Whether it was done is not known: look at the list before you try again.", "O watchdog não respondeu. Não se sabe se foi feito: olhe a lista antes de repetir.";
    done: "Hecho", "Done", "Feito";
    not_done: "No se hizo", "Not done", "Não foi feito";
    go_back: "Volver", "Go back", "Voltar";
    since: "desde", "since", "desde";
    now: "ahora", "now", "agora";
    never: "nunca", "never", "nunca";
    of: "de", "of", "de";
    next: "Siguientes", "Next", "Próximas";
    previous: "Anteriores", "Previous", "Anteriores";
    to_first: "Al principio", "To the start", "Ao início";
    pages: "Páginas", "Pages", "Páginas";
    show: "Mostrar", "Show", "Mostrar";
    clear: "Quitar filtros", "Clear filters", "Limpar filtros";
    session: "Sesión", "Session", "Sessão";
    sessions: "Sesiones de WhatsApp", "WhatsApp sessions", "Sessões do WhatsApp";
    other_sessions: "otras sesiones", "other sessions", "outras sessões";
    all_sessions: "Todas las sesiones", "All sessions", "Todas as sessões";
    without_order: "Sin número de orden", "No order number", "Sem número de pedido";
    without_name: "Cliente sin nombre", "Customer without name", "Cliente sem nome";
    without_number: "Sin número de teléfono", "No phone number", "Sem número de telefone";
    nothing_here: "Aquí no hay nada: el enlace es viejo o está mal escrito.", "There is nothing here: the link is old or mistyped.", "Não há nada aqui: o link é antigo ou está errado.";
    store_unreadable: "Los registros no se pueden leer ahora. Se vuelve a intentar solo: recarga en un momento.", "The records cannot be read right now. It is tried again by itself: reload in a moment.", "Os registros não podem ser lidos agora. A tentativa é automática: recarregue em um momento.";
    form_stale: "Esta página caducó y no se hizo nada. Vuelve, recarga e inténtalo otra vez.", "This page is too old, and nothing was done. Go back, reload and try again.", "Esta página expirou e nada foi feito. Volte, recarregue e tente de novo.";
    form_unreadable: "El formulario no se pudo leer, o es demasiado grande. No se hizo nada.", "The form could not be read, or is too large. Nothing was done.", "O formulário não pôde ser lido ou é grande demais. Nada foi feito.";
    viewers_look: "Tu acceso es de solo lectura: para actuar hace falta un token con rol operator.", "Your access is read-only: acting needs a token with role operator.", "Seu acesso é só de leitura: para agir é preciso um token com papel operator.";
    bots_stay_out: "Este token es del bot, y el bot no entra al panel.", "This token is the bot's, and the bot does not log in.", "Este token é do bot, e o bot não entra no painel.";

    // The way in.
    login_intro: "Entra con tu token de acceso.", "Log in with your access token.", "Entre com seu token de acesso.";
    token: "Token", "Token", "Token";
    token_hint: "Es el secreto que te dio quien administra el watchdog (admin.tokens).", "The secret that the watchdog's administrator gave you (admin.tokens).", "É o segredo que o administrador do watchdog lhe deu (admin.tokens).";
    token_unknown: "Ese token no existe. Revisa que esté completo.", "There is no such token. Check that it is complete.", "Esse token não existe. Verifique se está completo.";
    login_over: "Tu sesión terminó y no se hizo nada. Entra de nuevo.", "Your login is over, and nothing was done. Log in again.", "Sua sessão terminou e nada foi feito. Entre de novo.";

    // Statuses and looks.
    online: "En línea", "Online", "Online";
    degraded: "Degradado", "Degraded", "Degradado";
    incommunicado: "Incomunicado", "Cut off", "Incomunicável";
    incommunicado_critico: "Incomunicado crítico", "Cut off, critical", "Incomunicável, crítico";
    offline: "Fuera de línea", "Offline", "Offline";
    unknown: "Sin datos aún", "No data yet", "Sem dados ainda";
    accepted: "Aceptado", "Accepted", "Aceito";
    rejected: "Rechazado", "Rejected", "Recusado";
    failed: "Falló", "Failed", "Falhou";
    ambiguous: "Dudoso", "In doubt", "Duvidoso";
    works: "Funciona", "Works", "Funciona";
    fails: "Falla", "Fails", "Falha";
    doubtful: "Dudoso", "Doubtful", "Duvidoso";
    late: "Con demora", "Late", "Com atraso";
    blind: "No se ve", "Blind", "Sem visão";
    connected: "Conectado", "Connected", "Conectado";
    connecting: "Conectando", "Connecting", "Conectando";
    key_refused: "Clave rechazada", "Key refused", "Chave recusada";
    off: "Apagado", "Off", "Desligado";
    no_data: "Sin datos", "No data", "Sem dados";
    not_confirmed: "Sin confirmar", "Not confirmed", "Sem confirmação";
    confidence: "certeza", "confidence", "certeza";
    confidence_low: "baja", "low", "baixa";
    confidence_medium: "media", "medium", "média";
    confidence_high: "alta", "high", "alta";

    // The banner.
    banner_critical: "BOT COMPLETAMENTE INCOMUNICADO", "BOT COMPLETELY CUT OFF", "BOT COMPLETAMENTE INCOMUNICÁVEL";
    banner_incommunicado: "BOT INCOMUNICADO", "BOT CUT OFF", "BOT INCOMUNICÁVEL";
    banner_offline: "EL BOT NO DA SEÑALES DE VIDA", "THE BOT GIVES NO SIGN OF LIFE", "O BOT NÃO DÁ SINAIS DE VIDA";
    last_communication: "Última comunicación", "Last communication", "Última comunicação";
    affected_orders: "Órdenes afectadas", "Affected orders", "Pedidos afetados";
    see_affected: "Ver Órdenes Afectadas", "See Affected Orders", "Ver Pedidos Afetados";
    check_waha: "Verificar WAHA", "Check WAHA", "Verificar WAHA";

    // Estado.
    overview: "Estado", "Status", "Estado";
    does_it_speak: "¿Habla el bot?", "Does the bot speak?", "O bot está falando?";
    who_was_not_told: "¿A quién no se avisó?", "Who was not told?", "Quem não foi avisado?";
    what_do_i_do: "¿Qué hago?", "What do I do?", "O que eu faço?";
    nothing_to_do: "Nada. Todo está en orden.", "Nothing. All is well.", "Nada. Está tudo em ordem.";
    manual_lower: "con atención manual", "for manual attention", "com atenção manual";
    undecided_lower: "por decidir", "to be decided", "por decidir";
    see_list: "Ver la lista", "See the list", "Ver a lista";
    signs: "Indicadores", "Indicators", "Indicadores";
    healthcheck: "Healthcheck", "Healthcheck", "Healthcheck";
    healthcheck_off: "Está apagado en la configuración.", "Switched off in the configuration.", "Está desligado na configuração.";
    healthcheck_none: "Aún no hubo ninguno.", "There was none yet.", "Ainda não houve nenhum.";
    sends: "Envíos", "Sends", "Envios";
    last_send_fine: "Último envío aceptado:", "Last accepted send:", "Último envio aceito:";
    confirmations: "Confirmaciones", "Confirmations", "Confirmações";
    delivery_unknown: "Nadie confirma la entrega: aceptado no es entregado.", "Nobody confirms delivery: accepted is not delivered.", "Ninguém confirma a entrega: aceito não é entregue.";
    event_feed: "Canal de eventos", "Event feed", "Canal de eventos";
    feed_blind: "Conectado, pero no cuenta los envíos que sí salen.", "Connected, but it does not tell of sends that go out.", "Conectado, mas não conta os envios que saem.";
    feed_connected: "WAHA cuenta lo que pasa con cada mensaje.", "WAHA tells what becomes of each message.", "O WAHA conta o que acontece com cada mensagem.";
    feed_connecting: "Aún no hay conexión con los eventos de WAHA.", "There is no connection to WAHA's events yet.", "Ainda não há conexão com os eventos do WAHA.";
    feed_refused: "WAHA rechaza la clave del watchdog (waha.api_key).", "WAHA refuses the watchdog's key (waha.api_key).", "O WAHA recusa a chave do watchdog (waha.api_key).";
    feed_off: "Apagado en la configuración (events.mode).", "Switched off in the configuration (events.mode).", "Desligado na configuração (events.mode).";
    records: "Registro", "Records", "Registro";
    records_fine: "Cada envío queda escrito en disco.", "Every send is written to disk.", "Cada envio fica gravado em disco.";
    last_day: "Las últimas 24 horas", "The last 24 hours", "As últimas 24 horas";
    actions: "Acciones", "Actions", "Ações";
    restart_bot: "Reiniciar Bot", "Restart Bot", "Reiniciar Bot";
    restart_bot_warning: "Pide a quien aloja el bot que lo reinicie. Mientras arranca no se anuncia ninguna orden.", "Asks whoever hosts the bot to restart it. While it starts no order is announced.", "Pede a quem hospeda o bot que o reinicie. Enquanto inicia, nenhum pedido é anunciado.";
    restart_bot_unknown: "Aquí nadie sabe cómo reiniciar el bot: reinícialo donde corre, o configura bot.restart_url.", "Nobody here knows how to restart the bot: restart it where it runs, or set bot.restart_url.", "Ninguém aqui sabe como reiniciar o bot: reinicie-o onde ele roda, ou configure bot.restart_url.";
    see_logs: "Ver Logs", "See Logs", "Ver Logs";
    success_rate: "Tasa de éxito", "Success rate", "Taxa de sucesso";
    latency: "Respuesta de WAHA (p95)", "WAHA's answer (p95)", "Resposta do WAHA (p95)";
    last_success: "Último éxito", "Last success", "Último sucesso";
    no_sends: "No hubo envíos en la última hora.", "There were no sends within the last hour.", "Não houve envios na última hora.";
    force_healthcheck: "Forzar Healthcheck", "Force Healthcheck", "Forçar Healthcheck";
    restart_waha: "Reiniciar WAHA", "Restart WAHA", "Reiniciar WAHA";
    restart_warning: "Reinicia esta sesión de WhatsApp en WAHA. Tarda menos de un minuto; mientras tanto no sale ningún mensaje.", "Restarts this WhatsApp session in WAHA. It takes less than a minute; meanwhile no message goes out.", "Reinicia esta sessão do WhatsApp no WAHA. Leva menos de um minuto; enquanto isso nenhuma mensagem sai.";
    restart_yes: "Sí, reiniciar", "Yes, restart", "Sim, reiniciar";
    restart_no_use: "Aquí no ayuda.", "It does not help here.", "Aqui não adianta.";
    recovery: "Recuperación", "Recovery", "Recuperação";
    recovery_running: "En curso", "Running", "Em curso";
    recovery_running_text: "Las notificaciones pendientes están saliendo, las más viejas primero.", "Pending notifications are going out, the oldest first.", "As notificações pendentes estão saindo, as mais antigas primeiro.";
    recovery_paused: "En pausa", "Paused", "Em pausa";
    recovery_paused_text: "Alguien la pausó: nada se reenvía solo hasta que se reanude.", "Somebody paused it: nothing is sent again by itself until it is resumed.", "Alguém a pausou: nada é reenviado sozinho até que seja retomada.";
    recovery_off: "Apagada", "Off", "Desligada";
    recovery_off_text: "La configuración no deja reenviar solo (recovery.enabled).", "The configuration does not allow sending again by itself (recovery.enabled).", "A configuração não permite reenviar sozinho (recovery.enabled).";
    recovery_idle: "Nada pendiente", "Nothing pending", "Nada pendente";
    recovery_idle_text: "Cuando el canal vuelva de una caída, lo pendiente saldrá solo.", "When the channel is back after an outage, what is pending goes out by itself.", "Quando o canal voltar de uma queda, o que estiver pendente sairá sozinho.";
    recovery_waiting: "Esperando el canal", "Waiting for the channel", "Esperando o canal";
    recovery_waiting_text: "Lo pendiente saldrá solo cuando el canal funcione.", "What is pending goes out by itself once the channel works.", "O que está pendente sairá sozinho quando o canal funcionar.";
    pause_recovery: "Pausar", "Pause", "Pausar";
    resume_recovery: "Reanudar", "Resume", "Retomar";
    finishes: "Termina", "Finishes", "Termina";

    // Lists of orders.
    orders: "Órdenes sin notificar", "Orders not announced", "Pedidos sem aviso";
    orders_short: "Llamar", "Call", "Ligar";
    orders_intro: "Estos clientes no saben nada de su orden. Llámalos, la más vieja primero.", "These customers know nothing of their order. Call them, the oldest first.", "Estes clientes não sabem nada do pedido. Ligue, o mais antigo primeiro.";
    orders_empty: "Todos los clientes están avisados.", "All customers have been told.", "Todos os clientes foram avisados.";
    manual: "Atención manual", "Manual attention", "Atenção manual";
    manual_short: "Atender", "See to", "Atender";
    manual_intro: "El canal funciona y alguien fue avisado, pero el mensaje de la orden no salió: atiéndela a mano. No es crítico.", "The channel works and somebody was told, but the order's message did not go out: see to it by hand. Not critical.", "O canal funciona e alguém foi avisado, mas a mensagem do pedido não saiu: atenda à mão. Não é crítico.";
    manual_empty: "Ninguna orden pide atención manual.", "No order wants manual attention.", "Nenhum pedido precisa de atenção manual.";
    undecided: "Por decidir", "To decide", "Por decidir";
    undecided_short: "Decidir", "Decide", "Decidir";
    undecided_intro: "El watchdog no puede decidir por su cuenta: quizá el mensaje llegó, o ya no hace falta. Mira lo que se sabe y decide.", "The watchdog cannot decide by itself: the message may have arrived, or be needless by now. See what is known, and decide.", "O watchdog não pode decidir sozinho: talvez a mensagem tenha chegado, ou não seja mais necessária. Veja o que se sabe e decida.";
    undecided_empty: "No hay nada que decidir.", "There is nothing to decide.", "Não há nada a decidir.";
    nothing_fits: "Ninguna orden coincide con el filtro.", "No order fits the filter.", "Nenhum pedido corresponde ao filtro.";
    search: "Buscar", "Search", "Buscar";
    search_hint: "Orden, cliente o teléfono", "Order, customer or phone", "Pedido, cliente ou telefone";
    type_: "Tipo", "Type", "Tipo";
    all_types: "Todos los tipos", "All types", "Todos os tipos";
    claimed: "Quién la tomó", "Who has taken it", "Quem assumiu";
    claimed_any: "De cualquiera", "Anybody's", "De qualquer um";
    claimed_nobody: "De nadie aún", "Nobody's yet", "De ninguém ainda";
    claimed_me: "Mías", "Mine", "Minhas";
    sort: "Orden de la lista", "Order of the list", "Ordem da lista";
    sort_oldest: "Más viejas primero", "Oldest first", "Mais antigas primeiro";
    sort_newest: "Más nuevas primero", "Newest first", "Mais novas primeiro";
    sort_amount: "Mayor monto primero", "Largest amount first", "Maior valor primeiro";
    choose: "Elegir", "Choose", "Escolher";
    chosen: "Elegidas:", "Chosen:", "Escolhidas:";
    choose_all: "Elegir todas", "Choose all", "Escolher todas";
    chosen_hint: "Con las elegidas:", "With those chosen:", "Com as escolhidas:";
    take_chosen: "Tomar", "Take", "Assumir";
    mark_chosen: "Marcar Contactadas", "Mark Contacted", "Marcar Contatadas";
    was_dead: "CRÍTICO: bot incomunicado cuando falló", "CRITICAL: bot cut off when it failed", "CRÍTICO: bot incomunicável quando falhou";
    yours: "La tienes tú", "Yours", "Está com você";
    number_masked: "Teléfono oculto, termina en", "Number masked, ends in", "Telefone oculto, termina em";
    call_customer: "Llamar Cliente", "Call Customer", "Ligar para o Cliente";
    call_now: "Llamar ahora", "Call now", "Ligar agora";
    mark_contacted: "Marcar Contactado", "Mark Contacted", "Marcar Contatado";
    retry: "Re-intentar", "Retry", "Tentar de novo";
    retry_doubtful: "Este mensaje quizá ya llegó. Si lo envías otra vez, el cliente puede recibirlo dos veces.", "This message may have arrived. If you send it again, the customer may get it twice.", "Esta mensagem talvez já tenha chegado. Se você reenviar, o cliente pode recebê-la duas vezes.";
    retry_anyway: "Re-intentar igual", "Retry anyway", "Tentar mesmo assim";
    take: "Tomar", "Take", "Assumir";
    see_details: "Ver Detalles", "See Details", "Ver Detalhes";
    see_order: "Ver Orden", "See Order", "Ver Pedido";
    how: "Cómo", "How", "Como";
    note: "Nota", "Note", "Nota";
    note_hint: "Opcional", "Optional", "Opcional";

    // One notification.
    open: "Abierta", "Open", "Aberta";
    facts: "Datos", "Facts", "Dados";
    last_attempt: "Último intento", "Last attempt", "Última tentativa";
    confirmation: "Confirmación de WhatsApp", "WhatsApp's confirmation", "Confirmação do WhatsApp";
    ack_read: "Leído por el cliente", "Read by the customer", "Lido pelo cliente";
    ack_device: "En el teléfono del cliente", "On the customer's phone", "No telefone do cliente";
    ack_server: "WhatsApp lo tiene, el teléfono aún no", "WhatsApp has it, the phone not yet", "O WhatsApp tem, o telefone ainda não";
    ack_error: "WhatsApp dijo que falló", "WhatsApp said that it failed", "O WhatsApp disse que falhou";
    ack_none: "Ninguna", "None", "Nenhuma";
    sent_again: "Reenvíos", "Sent again", "Reenvios";
    story: "Qué pasó", "What happened", "O que aconteceu";
    attempt: "Intento", "Attempt", "Tentativa";
    given_up: "Agotada", "Given up", "Esgotada";
    became_failed: "Pasó a ser notificación fallida", "Became a failed notification", "Tornou-se notificação com falha";
    diagnosis: "Diagnóstico", "Diagnosis", "Diagnóstico";
    by_hand: "Persona", "Person", "Pessoa";
    settled_word: "Resuelta", "Settled", "Resolvida";
    reopen: "Reabrir", "Reopen", "Reabrir";
    reopen_hint: "Vuelve a la lista para que alguien llame. Su mensaje ya no está guardado.", "Back on the list, for somebody to call. Its message is not kept any more.", "Volta à lista para que alguém ligue. A mensagem já não está guardada.";

    // Failed notifications.
    failed_notifications: "Notificaciones fallidas", "Failed notifications", "Notificações com falha";
    failed_intro: "Todo lo que no llegó, por tipo. Las resueltas se guardan 90 días, salvo otra configuración.", "Everything that did not arrive, by type. Settled ones are kept for 90 days, unless configured otherwise.", "Tudo o que não chegou, por tipo. As resolvidas são guardadas por 90 dias, salvo outra configuração.";
    failed_empty: "No hay notificaciones fallidas abiertas.", "There are no open failed notifications.", "Não há notificações com falha abertas.";
    settled_empty: "Todavía no se resolvió ninguna.", "None was settled yet.", "Nenhuma foi resolvida ainda.";
    open_ones: "Abiertas", "Open", "Abertas";
    settled_ones: "Resueltas", "Settled", "Resolvidas";

    // Incidents, alerts, audit.
    incidents: "Incidentes", "Incidents", "Incidentes";
    incident: "Incidente", "Incident", "Incidente";
    incidents_intro: "Cada vez que el bot dejó de estar en línea, hasta que volvió.", "Each time the bot was not online, until it was back.", "Cada vez que o bot deixou de estar online, até voltar.";
    incidents_empty: "Ningún incidente hasta ahora.", "No incident so far.", "Nenhum incidente até agora.";
    still_open: "sigue abierto", "still open", "ainda aberto";
    lasted: "Duración", "Lasted", "Duração";
    end: "Fin", "End", "Fim";
    incident_over: "El canal volvió.", "The channel was back.", "O canal voltou.";
    sent_again_by_us: "Reenviadas por el watchdog", "Sent again by the watchdog", "Reenviadas pelo watchdog";
    left_for_people: "Quedaron para personas", "Left for people", "Ficaram para pessoas";
    alerts: "Alertas", "Alerts", "Alertas";
    alerts_intro: "Lo que el watchdog avisó a los administradores, lo más nuevo primero.", "What the watchdog told the admins, the newest first.", "O que o watchdog avisou aos administradores, o mais novo primeiro.";
    alerts_empty: "Ninguna alerta hasta ahora.", "No alert so far.", "Nenhum alerta até agora.";
    told: "Avisada", "Told", "Avisado";
    not_told_yet: "Sin avisar aún", "Not told yet", "Ainda não avisado";
    not_told: "No se avisó", "Was not told", "Não foi avisado";
    nobody_to_tell: "Sin canal de aviso", "No channel to tell by", "Sem canal de aviso";
    channels: "Canales", "Channels", "Canais";
    under_way: "En camino", "Under way", "A caminho";
    tried_in_vain: "Falló, se repite", "Failed, tried again", "Falhou, será repetido";
    waits: "En espera", "Waits", "Em espera";
    withdrawn: "Retirada: ya no hacía falta", "Withdrawn: no longer needed", "Retirada: já não era necessária";
    channel_refused: "El canal la rechaza", "The channel refuses it", "O canal recusa";
    too_old: "Demasiado vieja", "Too old", "Antiga demais";
    audit: "Auditoría", "Audit", "Auditoria";
    audit_intro: "Quién hizo qué, lo más nuevo primero. Solo se agrega, nunca se borra a mano.", "Who did what, the newest first. It is only added to, never erased by hand.", "Quem fez o quê, o mais novo primeiro. Só se acrescenta, nunca se apaga à mão.";
    audit_empty: "Nadie hizo nada todavía.", "Nobody has done anything yet.", "Ninguém fez nada ainda.";

    // Configuration, logs.
    config: "Configuración", "Configuration", "Configuração";
    config_intro: "Lo que rige ahora, con los secretos ocultos. Lo resaltado no es el valor por defecto. Se cambia en el archivo, no aquí.", "What is in force, secrets masked. What stands out is not the default. It is changed in the file, not here.", "O que está em vigor, com segredos ocultos. O destacado não é o padrão. Muda-se no arquivo, não aqui.";
    logs: "Logs", "Logs", "Logs";
    logs_intro: "Las líneas más nuevas del propio watchdog, sin datos de clientes. Al reiniciar se vacía.", "The newest lines of the watchdog itself, without customers' data. Empty after a restart.", "As linhas mais novas do próprio watchdog, sem dados de clientes. Esvazia ao reiniciar.";
    logs_empty: "Ninguna línea con este nivel.", "No line of this level.", "Nenhuma linha deste nível.";
    level: "Nivel", "Level", "Nível";
    older: "Más viejas", "Older", "Mais antigas";
    general: "general", "general", "geral";

    // The call list as a file.
    snapshot_title: "Órdenes sin notificar, en archivo", "Orders not announced, as a file", "Pedidos sem aviso, em arquivo";
    snapshot_intro: "Copia de la lista de llamadas, escrita por el watchdog tras cada cambio. Si el watchdog está en marcha, usa el panel: ahí ves quién ya llamó.", "A copy of the call list, written by the watchdog after each change. While the watchdog runs, use the panel: it shows who has called.", "Cópia da lista de ligações, gravada pelo watchdog após cada mudança. Com o watchdog em execução, use o painel: ele mostra quem já ligou.";
    snapshot_at: "Escrita", "Written", "Gravada";
    order: "Orden", "Order", "Pedido";
    customer: "Cliente", "Customer", "Cliente";
    phone: "Teléfono", "Phone", "Telefone";
    amount: "Monto", "Amount", "Valor";
    waits_since: "Espera desde", "Waits since", "Espera desde";
    cause: "Causa", "Cause", "Causa";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_said_in_every_language() {
        for (name, said) in ALL {
            for text in said {
                assert!(!text.is_empty() && text.trim() == *text, "{name}: {text:?}");
            }
            let sentences = said.map(|text| text.ends_with('.'));
            assert!(sentences.iter().all(|one| *one == sentences[0]), "{name}: all a sentence, or none");
        }
    }
}
