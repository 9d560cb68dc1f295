//! What we send through WAHA ourselves, in its spelling.

use serde_json::{Value, json};

use crate::domain::id::{ChatId, SessionName};

/// Where a text is posted.
pub const TEXT_PATH: &str = "/api/sendText";

/// The body that sends `text`.
pub fn text(session: &SessionName, chat: &ChatId, text: &str) -> Value {
    json!({ "session": session.as_str(), "chatId": chat.expose(), "text": text })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::domain::send::SendKind;
    use crate::waha::request::FieldScan;
    use crate::waha::route::classify;

    #[test]
    fn what_we_compose_is_what_we_recognize() {
        let route = classify(&Method::POST, TEXT_PATH, &[]).unwrap();
        assert_eq!(route.kind, SendKind::Text);
        let chat = ChatId::new("584125550001").unwrap();
        let body = text(&SessionName::new("default").unwrap(), &chat, "hola");
        let mut scan = FieldScan::new(Some("application/json"), false);
        scan.feed(body.to_string().as_bytes());
        let fields = scan.fields();
        assert_eq!(fields.session.as_deref(), Some("default"));
        assert_eq!(fields.chat.as_deref(), Some(chat.expose()));
        assert_eq!(fields.text.as_deref(), Some("hola"));
    }
}
