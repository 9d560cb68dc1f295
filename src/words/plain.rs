//! Texts of strangers, made plain: one line, bounded, without the characters that reorder, hide or break what stands around them.

/// `text` on one line and at most `longest` characters long; `None` where nothing is left to see.
pub fn plain(text: &str, longest: usize) -> Option<String> {
    let mut line = String::with_capacity(text.len().min(4 * longest));
    let (mut length, mut gap) = (0, false);
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        let needed = if gap { 2 } else { 1 };
        if length + needed > longest {
            // The last one makes room for the sign that there was more.
            while length >= longest {
                line.pop();
                length -= 1;
            }
            line.push('…');
            return Some(line);
        }
        if gap {
            line.push(' ');
        }
        line.push(c);
        (length, gap) = (length + needed, false);
    }
    (length > 0).then_some(line)
}

/// Shown by no font, and yet it changes how its neighbours are shown: marks and overrides of direction, invisible joints and tags.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_one_line() {
        let rows = [
            ("  Juan   Pérez ", Some("Juan Pérez")),
            ("a\r\nb\tc\u{2028}d\u{0}e", Some("a b c d e")),
            ("\u{202e}moc.live\u{202c} \u{2066}x\u{2069}\u{200f}", Some("moc.live x")),
            ("{{ 7 * 7 }} {% raw %}", Some("{{ 7 * 7 }} {% raw %}")),
            ("👩\u{200d}🍳 María", Some("👩\u{200d}🍳 María")),
            ("\u{200b}\u{feff} \n", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(plain(text, 40).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(plain("12345", 5).as_deref(), Some("12345"));
        assert_eq!(plain("123456", 5).as_deref(), Some("1234…"));
        assert_eq!(plain("1234 6", 5).as_deref(), Some("1234…"));
        assert_eq!(plain("ñ".repeat(600).as_str(), 60).map(|cut| cut.chars().count()), Some(60));
    }
}
