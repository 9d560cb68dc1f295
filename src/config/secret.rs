//! A text that must never be printed, and the reading of one from a file.

use std::fmt;
use std::path::Path;

/// A secret. Printing it in any way gives `***`; only [`Secret::expose`] gives the text.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Each use is a place where it might leak: send it or compare it, do not keep it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// What stands in place of a secret.
pub(super) const MASK: &str = "***";

/// A secret file larger than this is surely another file.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A secret travels in an HTTP header, so it must be visible ASCII; and be long enough not to be guessed, where we
/// are the ones who are asked for it. Says what is wrong without saying the secret.
pub(super) fn check(text: &str, chars_min: usize) -> Result<Secret, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be a text of visible ASCII characters, without blanks".to_owned());
    }
    if text.len() < chars_min {
        return Err(format!("must have {chars_min} or more characters, has {}", text.len()));
    }
    Ok(Secret::new(text))
}

/// The secret in a file, without the blanks and line ends around it.
pub(super) fn from_file(path: &Path, chars_min: usize) -> Result<Secret, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("is {size} bytes large; a file with a secret has at most {FILE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))?;
    match text.trim() {
        "" => Err("is an empty file; must hold the secret".to_owned()),
        text => check(text, chars_min).map_err(|problem| format!("holds a secret that {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing_but_stars() {
        let secret = Secret::new("hunter2hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?} {:?}", Some(&secret)), "*** *** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2hunter2");
    }

    #[test]
    fn problems_do_not_quote_the_secret() {
        assert_eq!(check("short", 16).unwrap_err(), "must have 16 or more characters, has 5");
        for bad in ["with blank in it ok", "línea-con-acento-1", "tab\tinside-of-the-text"] {
            assert!(!check(bad, 1).unwrap_err().contains(bad));
        }
    }

    #[test]
    fn file_is_trimmed_bounded_and_must_hold_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(from_file(&path, 1).unwrap_err().starts_with("cannot be read: "));
        for (content, expected) in [
            ("  0123456789abcdef\r\n", Ok("0123456789abcdef")),
            (" \n", Err("is an empty file; must hold the secret")),
            ("short\n", Err("holds a secret that must have 16 or more characters, has 5")),
        ] {
            std::fs::write(&path, content).unwrap();
            let got = from_file(&path, 16);
            assert_eq!(got.as_ref().map(Secret::expose).map_err(String::as_str), expected);
        }
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(from_file(&path, 16).unwrap_err().contains("20000 bytes"));
    }
}
