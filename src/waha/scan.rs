//! A bounded scan over JSON that passes by: picks a few named values out of a stream without building a tree.
//!
//! Feed it frames as they come; it keeps only the values asked for, each cut at a limit, and skips the rest (a base64 file costs no
//! memory). It does not validate: what is not JSON simply yields nothing. Of a key that comes twice the last one counts, as in
//! JavaScript.

use std::fmt;

use memchr::{memchr, memchr2};

/// Most objects in each other that are looked into.
const DEPTH_MAX: usize = 3;
/// Longest key looked at; longer ones are none of ours.
const KEY_MAX: usize = 32;

/// A key whose value is wanted, or something inside it.
#[derive(Debug)]
pub struct Pick {
    key: &'static str,
    /// Under which number its value is kept, where that is a string or bare.
    number: Option<usize>,
    /// What is wanted of it where it is an object.
    inside: &'static [Self],
}

impl Pick {
    /// The value of `key`, to be kept under `number`.
    pub const fn value(key: &'static str, number: usize) -> Self {
        Self { key, number: Some(number), inside: &[] }
    }

    /// What is `inside` the object at `key`.
    pub const fn object(key: &'static str, inside: &'static [Self]) -> Self {
        Self { key, number: None, inside }
    }

    /// Either: engines differ in what they put at `key`.
    pub const fn value_or_object(key: &'static str, number: usize, inside: &'static [Self]) -> Self {
        Self { key, number: Some(number), inside }
    }
}

/// A picked value.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Value {
    /// A string, unescaped, cut at the limit.
    Text(String),
    /// A number, `true`, `false` or `null`, as written.
    Bare(String),
}

/// The scan. Prints nothing of what it found.
pub struct Scan {
    value_max: usize,
    /// What was found, by its number.
    found: Vec<(usize, Value)>,
    /// What is wanted at each depth: first of the whole, then of each open object that is looked into.
    wanted: [&'static [Pick]; DEPTH_MAX + 1],
    /// How many such objects are open.
    depth: usize,
    /// How many containers are open in which nobody wants anything. They lie in the innermost of those.
    skipped: usize,
    /// What is wanted of the value that comes next.
    pick: Option<&'static Pick>,
    state: State,
    /// What was held of the string or bare token being read, without quotes, cut at its limit: empty where a token lies whole in one piece.
    token: Vec<u8>,
    keep: Keep,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens; `key` says that a key comes next.
    Between { key: bool },
    /// Inside a string; `escaped` after a backslash.
    Text { escaped: bool },
    /// Inside a number or word.
    Bare,
}

/// What the token is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Key,
    Wanted(usize),
}

impl Scan {
    /// A scan for what is `wanted` of an object, each value cut at `value_max` bytes.
    pub fn new(wanted: &'static [Pick], value_max: usize) -> Self {
        Self {
            value_max,
            found: Vec::new(),
            wanted: [wanted, &[], &[], &[]],
            depth: 0,
            skipped: 0,
            pick: None,
            state: State::Between { key: false },
            token: Vec::new(),
            keep: Keep::Nothing,
        }
    }

    /// The next piece of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let read = match self.state {
                State::Text { escaped: false } => self.text_goes_on(bytes),
                State::Text { escaped: true } => {
                    self.hold(&[byte]);
                    self.state = State::Text { escaped: false };
                    1
                }
                State::Bare => self.bare_goes_on(bytes),
                State::Between { .. } if self.skipped > 0 => self.skip(bytes),
                State::Between { key } => self.look(byte, key, bytes),
            };
            bytes = bytes.get(read..).unwrap_or_default();
        }
    }

    /// The value that is kept under `number`, if it passed by.
    pub fn get(&self, number: usize) -> Option<&Value> {
        self.found.iter().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// The same where it is a string.
    pub fn text(&self, number: usize) -> Option<&str> {
        match self.get(number) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Bare(_)) | None => None,
        }
    }

    /// The same, taken out.
    pub fn take_text(&mut self, number: usize) -> Option<String> {
        let at = self.found.iter().position(|(found, _)| *found == number)?;
        match self.found.swap_remove(at).1 {
            Value::Text(text) => Some(text),
            Value::Bare(_) => None,
        }
    }

    /// The same where it is a number, `true`, `false` or `null`.
    pub fn bare(&self, number: usize) -> Option<&str> {
        match self.get(number) {
            Some(Value::Bare(word)) => Some(word),
            Some(Value::Text(_)) | None => None,
        }
    }

    /// A byte between tokens, where something may be wanted. So much was read.
    fn look(&mut self, byte: u8, key: bool, bytes: &[u8]) -> usize {
        match byte {
            b'"' => {
                self.keep = if key { Keep::Key } else { self.kept_value() };
                self.state = State::Text { escaped: false };
                return 1 + self.text_goes_on(&bytes[1..]);
            }
            b'{' => {
                let wanted = if self.depth == 0 {
                    self.wanted[0]
                } else {
                    self.pick.map_or(&[][..], |pick| pick.inside)
                };
                match self.wanted.get_mut(self.depth + 1) {
                    Some(inside) if !wanted.is_empty() => {
                        *inside = wanted;
                        self.depth += 1;
                    }
                    Some(_) | None => self.skipped = 1,
                }
                self.state = State::Between { key: true };
            }
            b'[' => self.skipped = 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.next(false);
            }
            b',' => self.next(self.depth > 0),
            b':' => self.state = State::Between { key: false },
            _ if byte.is_ascii_alphanumeric() || byte == b'-' => {
                self.keep = self.kept_value();
                self.state = State::Bare;
                return 0;
            }
            _ => {}
        }
        1
    }

    /// Another key or value comes.
    fn next(&mut self, key: bool) {
        self.pick = None;
        self.state = State::Between { key };
    }

    fn kept_value(&self) -> Keep {
        self.pick.and_then(|pick| pick.number).map_or(Keep::Nothing, Keep::Wanted)
    }

    /// Bytes between tokens where nothing is wanted: only strings matter, which may look like brackets, and where it ends. So much was read.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => {
                    self.state = State::Text { escaped: false };
                    return at + 1 + self.text_goes_on(&bytes[at + 1..]);
                }
                b'{' | b'[' => self.skipped += 1,
                b'}' | b']' => {
                    self.skipped -= 1;
                    if self.skipped == 0 {
                        self.next(false);
                        return at + 1;
                    }
                }
                _ => {}
            }
        }
        bytes.len()
    }

    /// More of a string. So much of it was read. Where its end is here, nothing has to be held for all its escapes.
    fn text_goes_on(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(run) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            at += run;
            if bytes[at] == b'"' {
                self.end_token(&bytes[..at]);
                return at + 1;
            }
            at += 2; // What is escaped ends nothing.
        }
        self.hold(bytes);
        self.state = State::Text { escaped: at > bytes.len() };
        bytes.len()
    }

    /// More of a number or word. So much of it was read.
    fn bare_goes_on(&mut self, bytes: &[u8]) -> usize {
        let run = bytes.iter().position(|byte| !is_bare(*byte)).unwrap_or(bytes.len());
        if run < bytes.len() {
            self.end_token(&bytes[..run]);
        } else {
            self.hold(bytes);
        }
        run
    }

    const fn limit(&self) -> usize {
        match self.keep {
            Keep::Nothing => 0,
            Keep::Key => KEY_MAX,
            Keep::Wanted(_) => self.value_max,
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = self.limit().saturating_sub(self.token.len());
        self.token.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_token(&mut self, last: &[u8]) {
        let bare = self.state == State::Bare;
        self.state = State::Between { key: false };
        if self.keep == Keep::Nothing {
            return;
        }
        let mut held = std::mem::take(&mut self.token);
        let room = self.limit().saturating_sub(held.len());
        let last = &last[..last.len().min(room)];
        let token = if held.is_empty() {
            last
        } else {
            held.extend_from_slice(last);
            &held
        };
        match self.keep {
            Keep::Nothing => {}
            Keep::Key => {
                let wanted = self.wanted[self.depth];
                self.pick = wanted.iter().find(|pick| pick.key.as_bytes() == token);
            }
            Keep::Wanted(number) => {
                let value = if bare {
                    std::str::from_utf8(token).ok().map(|word| Value::Bare(word.to_owned()))
                } else {
                    unescape(token).map(Value::Text)
                };
                self.found.retain(|(found, _)| *found != number);
                self.found.extend(value.map(|value| (number, value)));
            }
        }
        held.clear();
        self.token = held;
        self.keep = Keep::Nothing;
    }
}

/// Part of a number or word?
const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// The text of a JSON string's inside. A cut may have split an escape or a character: up to twelve bytes are given up for that.
fn unescape(raw: &[u8]) -> Option<String> {
    if !raw.contains(&b'\\')
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return Some(text.to_owned());
    }
    if let Some(text) = unescape_simple(raw) {
        return Some(text);
    }
    (0..=12.min(raw.len())).find_map(|cut| {
        let mut quoted = Vec::with_capacity(raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&raw[..raw.len() - cut]);
        quoted.push(b'"');
        serde_json::from_slice(&quoted).ok()
    })
}

/// The same where all escapes are those of two characters, as in most messages; `None` where it is not so simple.
fn unescape_simple(raw: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        text.push(match rest.get(at + 1)? {
            same @ (b'"' | b'\\' | b'/') => *same,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    text.extend_from_slice(rest);
    // A bare control character is not JSON, and nobody's to judge here.
    let sound = !raw.iter().any(|byte| *byte < b' ');
    String::from_utf8(text).ok().filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    const WANTED: &[Pick] = &[
        Pick::value("session", 0),
        Pick::value("text", 1),
        Pick::object("a", &[Pick::value_or_object("b", 2, &[Pick::value("c", 3)])]),
        Pick::value("ack", 4),
    ];
    const NUMBERS: std::ops::Range<usize> = 0..5;

    fn scan(json: &str, step: usize) -> Scan {
        let mut scan = Scan::new(WANTED, 64);
        for piece in json.as_bytes().chunks(step.max(1)) {
            scan.feed(piece);
        }
        scan
    }

    #[test]
    fn picks_values_by_path_in_any_pieces() {
        let json = r#" {"x":[{"session":"no"},1], "session" : "default","a":{"b":{"c":"deep","session":"no"}},
            "text":"l\u00ednea\n\"dos\" 🤝","ack":-1, "nested":{"text":"no"}} "#;
        for step in [1, 2, 3, 7, 1000] {
            let scan = scan(json, step);
            assert_eq!(scan.text(0), Some("default"), "{step}");
            assert_eq!(scan.text(1), Some("línea\n\"dos\" 🤝"), "{step}");
            assert_eq!(scan.get(2), None);
            assert_eq!(scan.text(3), Some("deep"));
            assert_eq!(scan.bare(4), Some("-1"));
        }
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        assert_eq!(scan(r#"{"text":"one","text":"two"}"#, 3).text(1), Some("two"));
        assert_eq!(scan(r#"{"text":"one","text":null}"#, 3).bare(1), Some("null"));
    }

    #[test]
    fn values_are_cut_and_stay_text() {
        let long = format!(r#"{{"text":"{}","session":"s"}}"#, "ñ\\u00f1".repeat(50));
        let scan = scan(&long, 5);
        let text = scan.text(1).unwrap();
        assert!(text.len() <= 64 && text.chars().all(|c| c == 'ñ'), "{text}");
        assert_eq!(scan.text(0), Some("s"));
    }

    #[test]
    fn what_is_not_json_yields_nothing() {
        for broken in [
            "",
            "hola",
            "{bad json",
            "[1,2",
            "\"text\"",
            &"[".repeat(500),
            "{\"text\":",
            "}}}}]]]{\"text\"",
            "{\"text\":\"\\u12",
        ] {
            let scan = scan(broken, 4);
            assert!(NUMBERS.into_iter().all(|index| scan.get(index).is_none()), "{broken}");
        }
    }

    /// JSON in which wanted keys stand in wanted places and in others.
    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i16>().prop_map(Json::from),
            r#"(session|[ab{}\[\],:"\\\nñ]){0,4}"#.prop_map(Json::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let entries = proptest::collection::btree_map("session|text|a|b|c|ack|x", inner.clone(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Json::from),
                entries.prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_real_parser(session in ".{0,40}", text in ".{0,40}", other in ".{0,200}", step in 1usize..20) {
            let json = serde_json::json!({"o": {"text": other, "l": [session, {"text": 1}]}, "session": session, "text": text, "z": other});
            let scan = scan(&json.to_string(), step);
            let cut = |whole: &str, got: Option<&str>| got.is_some_and(|got| whole.starts_with(got) && (got == whole || whole.len() > 10));
            prop_assert!(cut(&session, scan.text(0)));
            prop_assert!(cut(&text, scan.text(1)));
        }

        #[test]
        fn picks_what_a_real_parser_finds(value in json(), pretty in any::<bool>(), step in 1usize..20) {
            let json = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let scan = scan(&json, step);
            for (number, place) in ["/session", "/text", "/a/b", "/a/b/c", "/ack"].into_iter().enumerate() {
                let found = value.is_object().then(|| value.pointer(place)).flatten();
                prop_assert_eq!(scan.text(number), found.and_then(Json::as_str));
                let bare = found.filter(|found| !found.is_string() && !found.is_object() && !found.is_array());
                let bare = bare.map(Json::to_string);
                prop_assert_eq!(scan.bare(number), bare.as_deref());
            }
        }

        #[test]
        fn simple_escapes_are_read_as_a_parser_reads_them(raw in r#"([a-z ñ\n]|\\[nrtbf/u"0-9\\]){0,12}"#) {
            if let Some(simple) = unescape_simple(raw.as_bytes()) {
                let parsed: Option<String> = serde_json::from_str(&format!("\"{raw}\"")).ok();
                prop_assert_eq!(parsed, Some(simple));
            }
        }

        #[test]
        fn pieces_make_no_difference(json in r#"([{}\[\],:]|"(session|text|a|b|c|x|)(\\[n"\\]|y){0,3}"|-?[0-9]{1,2}| ){0,60}"#, step in 1usize..20) {
            let (whole, pieces) = (scan(&json, usize::MAX), scan(&json, step));
            prop_assert!(NUMBERS.into_iter().all(|index| whole.get(index) == pieces.get(index)));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            let mut scan = Scan::new(WANTED, 16);
            for piece in bytes.chunks(step) {
                scan.feed(piece);
            }
        }
    }
}
