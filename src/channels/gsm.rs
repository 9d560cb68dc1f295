//! The alphabet of short messages (GSM 03.38): what is outside of it makes a message three times as dear, or unreadable.

/// Letters that take one place.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Letters that take two.
const EXTENDED: &str = "^{}\\[~]|€";

/// How many places a text takes that is all of this alphabet.
pub(super) fn places(text: &str) -> usize {
    text.chars().map(|c| if EXTENDED.contains(c) { 2 } else { 1 }).sum()
}

/// A text in this alphabet: accents that it lacks are dropped, pictures too, other letters become question marks.
pub(super) fn gsm(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if BASIC.contains(c) || EXTENDED.contains(c) {
            written.push(c);
        } else {
            written.push_str(instead(c));
        }
    }
    written
}

fn instead(c: char) -> &'static str {
    match c {
        'á' | 'â' | 'ã' => "a",
        'ç' => "c",
        'ê' | 'ë' => "e",
        'í' | 'î' | 'ï' => "i",
        'ó' | 'ô' | 'õ' => "o",
        'ú' | 'û' => "u",
        'Á' | 'À' | 'Â' | 'Ã' => "A",
        'È' | 'Ê' | 'Ë' => "E",
        'Í' | 'Ì' | 'Î' => "I",
        'Ó' | 'Ò' | 'Ô' | 'Õ' => "O",
        'Ú' | 'Ù' | 'Û' => "U",
        'º' => "o",
        'ª' => "a",
        '…' => "...",
        '–' | '—' => "-",
        '“' | '”' | '«' | '»' => "\"",
        '‘' | '’' | '`' => "'",
        c if c.is_whitespace() => " ",
        c if c.is_alphanumeric() => "?",
        _ => "",
    }
}

/// The beginning of a text that takes so many places at most, with a sign where something is missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    if places(text) <= most {
        return text.to_owned();
    }
    let (mut taken, mut left) = (String::new(), most.saturating_sub(3));
    for c in text.chars() {
        let needed = if EXTENDED.contains(c) { 2 } else { 1 };
        if needed > left {
            break;
        }
        left -= needed;
        taken.push(c);
    }
    if most >= 3 { taken + "..." } else { taken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_makes_it_dear() {
        let rows = [
            ("🚨 Qué hacer: Llámalos; ¿ñandú?", " Qué hacer: Llamalos; ¿ñandu?"),
            ("Ação não é “só” isso…", "Acao nao é \"so\" isso..."),
            ("[x] 5€ 東", "[x] 5€ ?"),
            ("a\u{a0}b", "a b"),
        ];
        for (text, expected) in rows {
            let written = gsm(text);
            assert_eq!(written, expected);
            assert!(written.chars().all(|c| BASIC.contains(c) || EXTENDED.contains(c)), "{written}");
        }
        assert_eq!(places("[x] 5€"), 9);
        assert_eq!((cut("abcdef", 6).as_str(), cut("abcdefg", 6).as_str()), ("abcdef", "abc..."));
        assert_eq!(places(&cut("[[[[[[[[", 8)), 7);
    }
}
