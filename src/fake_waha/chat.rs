//! Chat ids: WAHA's spelling (`@c.us`), the engines' spelling (`@s.whatsapp.net`), and what callers write.

/// WAHA's spelling of what a caller wrote: bare digits get `@c.us`, the engines' own suffix becomes it.
pub(super) fn chat_id(written: &str) -> String {
    match written.split_once('@') {
        None => format!("{written}@c.us"),
        Some((number, "s.whatsapp.net")) => format!("{number}@c.us"),
        Some(_) => written.to_owned(),
    }
}

/// The engines' spelling.
pub(super) fn jid(written: &str) -> String {
    let chat = chat_id(written);
    match chat.strip_suffix("@c.us") {
        Some(number) => format!("{number}@s.whatsapp.net"),
        None => chat,
    }
}

/// WAHA's id of a message: `true_<chat>_<id>`.
pub(super) fn serialized_id(from_me: bool, chat: &str, id: &str) -> String {
    format!("{from_me}_{}_{id}", chat_id(chat))
}

/// Chat and bare id out of a serialized id, of three parts or (groups) four.
pub(super) fn parse_serialized_id(written: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = written.split('_').collect();
    match parts.as_slice() {
        [_, chat, id] | [_, chat, id, _] => Some((chat_id(chat), (*id).to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_chat_are_one_chat() {
        for written in ["5511", "5511@c.us", "5511@s.whatsapp.net"] {
            assert_eq!(chat_id(written), "5511@c.us");
            assert_eq!(jid(written), "5511@s.whatsapp.net");
        }
        assert_eq!(chat_id("1-2@g.us"), "1-2@g.us");
        assert_eq!(jid("status@broadcast"), "status@broadcast");
    }

    #[test]
    fn serialized_ids_come_apart_again() {
        let id = serialized_id(true, "5511", "3EB0AA");
        assert_eq!(id, "true_5511@c.us_3EB0AA");
        assert_eq!(parse_serialized_id(&id), Some(("5511@c.us".into(), "3EB0AA".into())));
        assert_eq!(
            parse_serialized_id("true_1@g.us_3EB0AA_2@c.us"),
            Some(("1@g.us".into(), "3EB0AA".into()))
        );
        assert_eq!(parse_serialized_id("3EB0AA"), None);
    }
}
