//! Questions: how is a session, did a send go out, is a number on WhatsApp? Asking changes nothing, and may be repeated.

use super::Hands;
use crate::clock::instant;
use crate::domain::errand::{Look, Looked, Report};
use crate::domain::id::{ChatId, SessionName};
use crate::waha::client::Sought;
use crate::waha::compose::{Traits, traits};

impl Hands {
    pub(super) async fn probe(&self, session: &SessionName) -> Report {
        let setup = self.setup.load_full();
        let start = instant();
        let result = setup.client.probe(session, self.clock.now(), setup.limits.probe).await;
        Report::Probed { session: session.clone(), result, took: instant() - start }
    }

    pub(super) async fn look(&self, look: &Look) -> Looked {
        let (Some(session), Some(chat)) = (&look.what.session, &look.what.chat) else {
            return Looked::Impossible;
        };
        let asked = match self.reader.request(look.send) {
            Ok(request) => request.as_ref().map(traits).unwrap_or_default(),
            // It may be there and say more the next time.
            Err(_) if look.message.is_none() => return Looked::Failed,
            Err(_) => Traits::default(),
        };
        // A WAHA that takes no ids ignores the bot's without a word: that there is none of it then proves nothing.
        let unsure = look.message.is_none() && asked.text.is_none();
        let sought = Sought {
            session,
            chat,
            // Where the bot chose an id, ours never went out.
            id: asked.id.as_ref().or(look.message.as_ref()),
            text: asked.text.as_deref(),
            since: look.since,
        };
        let setup = self.setup.load_full();
        match setup.client.look(&sought, setup.limits.ask).await {
            Looked::Absent if unsure => Looked::Impossible,
            found => found,
        }
    }

    pub(super) async fn check_number(&self, session: &SessionName, chat: &ChatId) -> Option<bool> {
        let setup = self.setup.load_full();
        setup.client.check_exists(session, &chat.phone()?, setup.limits.ask).await
    }
}
