//! A message of our own: to a customer that an order could not be told to, or to the admin.

use super::Hands;
use crate::domain::errand::{Letter, Report};

impl Hands {
    pub(super) async fn write(&self, letter: &Letter) -> Report {
        let setup = self.setup.load_full();
        let text = crate::words::letter_with(&letter.text, setup.language, &setup.links);
        let sent = setup.client.send_text(&letter.session, &letter.chat, &text, setup.limits.send).await;
        Report::Wrote {
            id: letter.id,
            kind: letter.text.kind(),
            outcome: sent.outcome,
            cause: sent.cause,
            message: sent.message_id,
        }
    }
}
