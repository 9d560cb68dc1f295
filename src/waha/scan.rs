//! A bounded scan over JSON that passes by: picks a few named values out of a stream without building a tree.
//!
//! Feed it frames as they come; it keeps only the values asked for, each cut at a limit, and skips the rest (a base64 file costs no
//! memory). It does not validate: what is not JSON simply yields nothing. Of a key that comes twice the last one counts, as in
//! JavaScript.

use std::fmt;

use memchr::{memchr, memchr2};

/// Deepest nesting followed; deeper JSON yields nothing more.
const DEPTH_MAX: usize = 128;
/// Longest path that can be asked for.
const PATH_MAX: usize = 3;
/// Most paths that can be asked for at once.
const WANTED_MAX: usize = u16::BITS as usize;
/// Longest key looked at; longer ones are none of ours.
const KEY_MAX: usize = 32;

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
    /// What was found, by the number of its path.
    found: Vec<(usize, Value)>,
    open: Containers,
    /// Which wanted paths go through the present key at each depth, a bit each; at the top all do.
    ways: [u16; PATH_MAX + 1],
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
        debug_assert!(wanted.len() <= WANTED_MAX && wanted.iter().all(|path| path.len() <= PATH_MAX));
        let mut ways = [0; PATH_MAX + 1];
        ways[0] = u16::MAX >> WANTED_MAX.saturating_sub(wanted.len());
        Self {
            wanted,
            value_max,
            found: Vec::new(),
            open: Containers::default(),
            ways,
            state: State::Between { key: false },
            token: Vec::new(),
            keep: Keep::Nothing,
        }
    }

    /// The next piece of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let read = match self.state {
                State::Lost => return,
                State::Text { escaped: false } => self.text_goes_on(bytes),
                State::Text { escaped: true } => {
                    self.hold(&[byte]);
                    self.state = State::Text { escaped: false };
                    1
                }
                State::Bare => self.bare_goes_on(bytes),
                State::Between { .. } if self.nothing_here() => {
                    // The long way through what nobody asked for is skipped: only where it ends matters, and strings, which may look like that.
                    let run = bytes.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'));
                    let run = run.unwrap_or(bytes.len());
                    if let Some(&byte) = bytes.get(run) {
                        self.structure(byte);
                    }
                    run + 1
                }
                State::Between { .. } if byte.is_ascii_alphanumeric() || byte == b'-' => {
                    self.begin_token(false);
                    self.state = State::Bare;
                    0
                }
                State::Between { .. } => {
                    self.structure(byte);
                    1
                }
            };
            bytes = bytes.get(read..).unwrap_or_default();
        }
    }

    /// The value of the wanted path number `index`, if it passed by.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.found.iter().find(|(found, _)| *found == index).map(|(_, value)| value)
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
        let at = self.found.iter().position(|(found, _)| *found == index)?;
        match self.found.swap_remove(at).1 {
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

    /// Can nothing that begins here be wanted? Where the way to here leads to nothing, that holds until the container ends.
    fn nothing_here(&self) -> bool {
        let depth = self.open.depth;
        depth > PATH_MAX || self.open.in_any_array() || (depth > 0 && self.ways[depth - 1] == 0)
    }

    /// A byte between tokens.
    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.begin_token(matches!(self.state, State::Between { key: true }));
                self.state = State::Text { escaped: false };
            }
            b'{' | b'[' => self.begin_container(byte == b'['),
            b'}' | b']' => {
                self.open.pop();
                self.state = State::Between { key: false };
            }
            b',' => self.state = State::Between { key: self.open.in_object() },
            b':' => self.state = State::Between { key: false },
            _ => {}
        }
    }

    fn begin_container(&mut self, array: bool) {
        let depth = self.open.depth;
        if depth == DEPTH_MAX {
            self.state = State::Lost;
            return;
        }
        if let Some([outside, inside]) = self.ways.get_mut(depth..depth + 2) {
            // Only the longer paths lead into it, and it has no key yet.
            *outside = bits(*outside).filter(|way| self.wanted[*way].len() > depth).map(|way| 1 << way).sum();
            *inside = 0;
        }
        self.open.push(array);
        self.state = State::Between { key: !array };
    }

    fn begin_token(&mut self, key: bool) {
        self.token.clear();
        self.keep = match (key, self.open.depth) {
            _ if self.nothing_here() => Keep::Nothing,
            (true, 1..=PATH_MAX) => Keep::Key,
            (false, depth @ 1..=PATH_MAX) => {
                let ends_here = |way: &usize| self.wanted[*way].len() == depth;
                bits(self.ways[depth]).find(ends_here).map_or(Keep::Nothing, Keep::Wanted)
            }
            _ => Keep::Nothing,
        };
    }

    /// More of a string. So much of it was read.
    fn text_goes_on(&mut self, bytes: &[u8]) -> usize {
        let Some(run) = memchr2(b'"', b'\\', bytes) else {
            self.hold(bytes);
            return bytes.len();
        };
        if bytes[run] == b'"' {
            self.end_token(&bytes[..run]);
        } else {
            self.hold(&bytes[..=run]);
            self.state = State::Text { escaped: true };
        }
        run + 1
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

    fn limit(&self) -> usize {
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
            Keep::Key => self.pass_key(token),
            Keep::Wanted(way) => {
                let value = match self.state {
                    State::Bare => std::str::from_utf8(token).ok().map(|word| Value::Bare(word.to_owned())),
                    State::Between { .. } | State::Text { .. } | State::Lost => {
                        unescape(token).map(Value::Text)
                    }
                };
                self.found.retain(|(found, _)| *found != way);
                self.found.extend(value.map(|value| (way, value)));
            }
        }
        self.token = held;
        self.keep = Keep::Nothing;
        self.state = State::Between { key: false };
    }

    /// The next value lies at `key`.
    fn pass_key(&mut self, key: &[u8]) {
        let depth = self.open.depth;
        let through =
            |way: &usize| self.wanted[*way].get(depth - 1).is_some_and(|wanted| wanted.as_bytes() == key);
        self.ways[depth] = bits(self.ways[depth - 1]).filter(through).map(|way| 1 << way).sum();
    }
}

/// Part of a number or word?
const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// The numbers of the bits that are set.
fn bits(mut set: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.checked_sub(1)?;
        Some(lowest as usize)
    })
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
        fn simple_escapes_are_read_as_a_parser_reads_them(raw in r#"([a-z ñ\n]|\\[nrtbf/u"0-9\\]){0,12}"#) {
            if let Some(simple) = unescape_simple(raw.as_bytes()) {
                let parsed: Option<String> = serde_json::from_str(&format!("\"{raw}\"")).ok();
                prop_assert_eq!(parsed, Some(simple));
            }
        }

        #[test]
        fn pieces_make_no_difference(json in r#"([{}\[\],:]|"(session|text|a|b|c|x|)"|-?[0-9]{1,2}| ){0,60}"#, step in 1usize..20) {
            let (whole, pieces) = (scan(&json, usize::MAX), scan(&json, step));
            prop_assert!((0..WANTED.len()).all(|index| whole.get(index) == pieces.get(index)));
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
