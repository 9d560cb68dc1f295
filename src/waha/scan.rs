//! A bounded scan over JSON that passes by: picks a few named values out of a stream without building a tree.
//!
//! Feed it frames as they come; it keeps only the values asked for, each cut at a limit, and skips the rest (a base64 file costs no
//! memory). It does not validate: what is not JSON simply yields nothing. Of a key that comes twice the last one counts, as in
//! JavaScript.

use std::fmt;

use memchr::memchr2;

/// Deepest nesting followed; deeper JSON yields nothing more.
const DEPTH_MAX: usize = 128;
/// Longest path that can be asked for.
const PATH_MAX: usize = 3;
/// Longest key looked at; longer ones are none of ours.
const KEY_MAX: usize = 32;

/// Room for the tokens of most messages, so that none is moved while it grows.
const TOKEN_USUAL: usize = 256;

/// A value to pick: the keys that lead to it.
pub type Path = &'static [&'static str];

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
    wanted: &'static [Path],
    value_max: usize,
    found: Vec<Option<Value>>,
    open: Containers,
    keys: [Key; PATH_MAX],
    state: State,
    /// The string or bare token being read, without quotes; cut at its limit.
    token: Vec<u8>,
    keep: Keep,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The containers that are open, a bit each: set for an array. One that holds no memory, since every send has two scans.
#[derive(Debug, Default)]
struct Containers {
    arrays: u128,
    depth: usize,
}

impl Containers {
    fn push(&mut self, array: bool) {
        self.arrays = (self.arrays << 1) | u128::from(array);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.arrays >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    const fn in_object(&self) -> bool {
        self.depth > 0 && self.arrays & 1 == 0
    }

    const fn in_any_array(&self) -> bool {
        self.arrays != 0
    }
}

/// A key, cut at its limit.
#[derive(Debug, Clone, Copy, Default)]
struct Key {
    bytes: [u8; KEY_MAX],
    length: usize,
}

impl Key {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn set(&mut self, key: &[u8]) {
        self.length = key.len().min(KEY_MAX);
        self.bytes[..self.length].copy_from_slice(&key[..self.length]);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens; in an object, `key` says that a key comes next.
    Between { key: bool },
    /// Inside a string; `escaped` after a backslash.
    Text { escaped: bool },
    /// Inside a number or word.
    Bare,
    /// Too deep or broken: nothing more is looked at.
    Lost,
}

/// What the token is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Key,
    Wanted(usize),
}

impl Scan {
    /// A scan for `wanted`, each value cut at `value_max` bytes.
    pub fn new(wanted: &'static [Path], value_max: usize) -> Self {
        Self {
            wanted,
            value_max,
            found: vec![None; wanted.len()],
            open: Containers::default(),
            keys: Default::default(),
            state: State::Between { key: false },
            token: Vec::with_capacity(TOKEN_USUAL),
            keep: Keep::Nothing,
        }
    }

    /// The next piece of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match self.state {
                State::Lost => return,
                State::Text { escaped: false } => {
                    // The long way through a string is skipped in one step.
                    let run = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                    self.hold(&bytes[..run]);
                    bytes = &bytes[run..];
                    let Some((&byte, rest)) = bytes.split_first() else { return };
                    bytes = rest;
                    if byte == b'"' {
                        self.end_text();
                    } else {
                        self.hold(b"\\");
                        self.state = State::Text { escaped: true };
                    }
                    continue;
                }
                State::Text { escaped: true } => {
                    self.hold(&[byte]);
                    self.state = State::Text { escaped: false };
                }
                State::Bare if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') => {
                    self.hold(&[byte])
                }
                State::Bare => {
                    self.end_bare();
                    self.structure(byte);
                }
                State::Between { .. } => self.structure(byte),
            }
            bytes = rest;
        }
    }

    /// The value of the wanted path number `index`, if it passed by.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.found.get(index).and_then(Option::as_ref)
    }

    /// The same where it is a string.
    pub fn text(&self, index: usize) -> Option<&str> {
        match self.get(index) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Bare(_)) | None => None,
        }
    }

    /// The same, taken out.
    pub fn take_text(&mut self, index: usize) -> Option<String> {
        match self.found.get_mut(index)?.take()? {
            Value::Text(text) => Some(text),
            Value::Bare(_) => None,
        }
    }

    /// The same where it is a number, `true`, `false` or `null`.
    pub fn bare(&self, index: usize) -> Option<&str> {
        match self.get(index) {
            Some(Value::Bare(word)) => Some(word),
            Some(Value::Text(_)) | None => None,
        }
    }

    fn structure(&mut self, byte: u8) {
        let in_object = self.open.in_object();
        match byte {
            b'"' => {
                let key = matches!(self.state, State::Between { key: true });
                self.begin_token(key);
                self.state = State::Text { escaped: false };
            }
            b'{' | b'[' => {
                if self.open.depth == DEPTH_MAX {
                    self.state = State::Lost;
                    return;
                }
                let object = byte == b'{';
                self.open.push(!object);
                if let Some(key) = self.keys.get_mut(self.open.depth - 1) {
                    key.length = 0;
                }
                self.state = State::Between { key: object };
            }
            b'}' | b']' => {
                self.open.pop();
                self.state = State::Between { key: false };
            }
            b',' => self.state = State::Between { key: in_object },
            b':' => self.state = State::Between { key: false },
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                self.begin_token(false);
                self.state = State::Bare;
                self.hold(&[byte]);
            }
            _ => {}
        }
    }

    fn begin_token(&mut self, key: bool) {
        self.token.clear();
        self.keep = match (key, self.open.depth) {
            (true, 1..=PATH_MAX) => Keep::Key,
            (false, 1..=PATH_MAX) => self.wanted_here().map_or(Keep::Nothing, Keep::Wanted),
            _ => Keep::Nothing,
        };
    }

    /// The wanted path that the present value lies at.
    fn wanted_here(&self) -> Option<usize> {
        let depth = self.open.depth;
        if self.open.in_any_array() {
            return None;
        }
        self.wanted.iter().position(|path| {
            path.len() == depth
                && path.iter().zip(&self.keys).all(|(wanted, key)| wanted.as_bytes() == key.as_slice())
        })
    }

    fn hold(&mut self, bytes: &[u8]) {
        let limit = match self.keep {
            Keep::Nothing => return,
            Keep::Key => KEY_MAX,
            Keep::Wanted(_) => self.value_max,
        };
        let room = limit.saturating_sub(self.token.len());
        self.token.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_text(&mut self) {
        match self.keep {
            Keep::Key => {
                if let Some(slot) = self.keys.get_mut(self.open.depth - 1) {
                    slot.set(&self.token);
                }
            }
            Keep::Wanted(index) => self.found[index] = unescape(&self.token).map(Value::Text),
            Keep::Nothing => {}
        }
        self.keep = Keep::Nothing;
        self.state = State::Between { key: false };
    }

    fn end_bare(&mut self) {
        if let Keep::Wanted(index) = self.keep {
            self.found[index] = String::from_utf8(std::mem::take(&mut self.token)).ok().map(Value::Bare);
        }
        self.keep = Keep::Nothing;
        self.state = State::Between { key: false };
    }
}

/// The text of a JSON string's inside. A cut may have split an escape or a character: up to twelve bytes are given up for that.
fn unescape(raw: &[u8]) -> Option<String> {
    if !raw.contains(&b'\\')
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return Some(text.to_owned());
    }
    (0..=12.min(raw.len())).find_map(|cut| {
        let mut quoted = Vec::with_capacity(raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&raw[..raw.len() - cut]);
        quoted.push(b'"');
        serde_json::from_slice(&quoted).ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: &[Path] = &[&["session"], &["text"], &["a", "b"], &["a", "b", "c"], &["ack"]];

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
            assert!((0..WANTED.len()).all(|index| scan.get(index).is_none()), "{broken}");
        }
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
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            let mut scan = Scan::new(WANTED, 16);
            for piece in bytes.chunks(step) {
                scan.feed(piece);
            }
        }
    }
}
