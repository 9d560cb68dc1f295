//! A bot as customers write them: it posts texts to the proxy, and sometimes it loses patience.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Answer, Broken, Connection, JSON, request};

#[derive(Debug, Clone, Copy)]
pub struct Bot {
    pub at: SocketAddr,
}

impl Bot {
    /// The body of a text.
    pub fn body(chat: &str, text: &str) -> Value {
        json!({"session": "default", "chatId": chat, "text": text})
    }

    /// Sends a text and waits for its answer.
    pub async fn text(self, chat: &str, text: &str) -> Answer {
        self.text_with(chat, text, &[]).await
    }

    /// The same with headers.
    pub async fn text_with(self, chat: &str, text: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_text(chat, text, headers).await.expect("an answer")
    }

    /// The same, where no answer is an answer too.
    pub async fn try_text(self, chat: &str, text: &str, headers: &[(&str, &str)]) -> Result<Answer, Broken> {
        self.post("/api/sendText", headers, &Self::body(chat, text)).await
    }

    /// Posts any JSON.
    pub async fn post(self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer, Broken> {
        let headers = [&[JSON], headers].concat();
        http::call(self.at, "POST", path, &headers, body.to_string().as_bytes()).await
    }

    /// Sends a text and closes the connection after `patience`, unless an answer came before.
    pub async fn text_and_give_up(self, chat: &str, text: &str, patience: Duration) -> Option<Answer> {
        let mut connection = Connection::open(self.at).await.unwrap();
        let body = Self::body(chat, text).to_string();
        connection.write(&request("POST", "/api/sendText", &[JSON], body.as_bytes())).await;
        tokio::time::timeout(patience, connection.answer(false)).await.ok().map(|answer| answer.unwrap())
    }

    /// Gets something.
    pub async fn get(self, path: &str) -> Answer {
        http::call(self.at, "GET", path, &[], b"").await.expect("an answer")
    }
}
