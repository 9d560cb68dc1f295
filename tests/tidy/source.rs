//! Reads a Rust file the way the rules need it: code, strings and comments apart, test modules left out.
//!
//! Not a parser. It knows just enough of the language (comments, strings, `mod tests`) that a rule about code never
//! stumbles over a URL in a string or a word in a comment. Line numbers survive, columns do not matter.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file, seen three ways. All three have the lines of the file; what is not theirs is blank.
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Neither comments nor what stands inside string literals.
    pub(crate) code: String,
    pub(crate) strings: String,
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn read(root: &Path, file: &Path) -> Self {
        let path = relative(root, file);
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (code, strings, comments) = split(&text);
        Self { path, text, code, strings, comments }
    }

    /// `src/store/writer.rs` and `src/store.rs` are both of the room `store`.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Modules between this file and the crate's root: how many `super::` lead out of it.
    pub(crate) fn depth(&self) -> usize {
        self.path.trim_end_matches("/mod.rs").matches('/').count()
    }

    /// Unit tests may do what the product may not: read the time, spell WAHA, use the look-alike.
    pub(crate) fn without_tests(mut self) -> Self {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            self.code.clear();
            self.strings.clear();
            return self;
        }
        for (start, end) in test_modules(&self.code) {
            for view in [&mut self.code, &mut self.strings] {
                *view = blank_lines(view, start, end);
            }
        }
        self
    }
}

/// Files below `dir` whose name ends so, sorted; nothing where `dir` does not exist (yet).
pub(crate) fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 5] = [".git", "target", "data", "node_modules", ".venv"];
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/")
}

/// Line numbers where `word` begins a word: `serde` finds `serde_json` too, but not `de_serde`.
pub(crate) fn lines_with(view: &str, word: &str) -> Vec<usize> {
    let begins_a_word = |at: usize| !word.starts_with(is_word) || !view[..at].ends_with(is_word);
    view.match_indices(word).filter(|(at, _)| begins_a_word(*at)).map(|(at, _)| line_of(view, at)).collect()
}

/// The first name after each `prefix`, with its line: `crate::{a::B, c}` gives `a` and `c`.
pub(crate) fn names_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with(is_word)) {
        let rest = &code[at + prefix.len()..];
        let paths = if rest.starts_with('{') { group(rest) } else { vec![rest] };
        for path in paths {
            let name: String = path.trim_start().chars().take_while(|c| is_word(*c)).collect();
            names.push((line_of(code, at), name));
        }
    }
    names.retain(|(_, name)| !name.is_empty());
    names
}

/// The members of `{a::{b, c}, d}`: split at the commas of the outermost braces only.
fn group(braced: &str) -> Vec<&str> {
    let (mut depth, mut from, mut members) = (0, 1, Vec::new());
    for (at, c) in braced.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            members.push(&braced[from..at]);
            from = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// First and last line (counted from 0) of each `#[cfg(test)] mod x { .. }` at the file's left edge. rustfmt puts
/// the closing brace there too, so no braces need counting.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let opens = |at: usize| {
        let module = lines[at..].iter().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
        module.is_some_and(|line| line.contains("mod ") && line.trim_end().ends_with('{'))
    };
    let starts = (0..lines.len()).filter(|at| lines[*at].starts_with("#[cfg(test)]") && opens(*at));
    starts
        .map(|start| {
            let end = (start..lines.len()).find(|at| lines[*at].trim_end() == "}");
            (start, end.unwrap_or(lines.len()))
        })
        .collect()
}

fn blank_lines(view: &str, start: usize, end: usize) -> String {
    let kept = |(at, line)| if (start..=end).contains(&at) { "" } else { line };
    view.lines().enumerate().map(kept).collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    RawText(usize),
}

/// Code, strings, comments.
fn split(text: &str) -> (String, String, String) {
    let chars: Vec<char> = text.chars().collect();
    let follows =
        |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut code, mut strings, mut comments) = (String::new(), String::new(), String::new());
    let (mut inside, mut at) = (Inside::Code, 0);
    while at < chars.len() {
        let (now, mut taken) = (inside, 1);
        match inside {
            Inside::Code if follows(at, "//") => inside = Inside::LineComment,
            Inside::Code if follows(at, "/*") => (inside, taken) = (Inside::BlockComment(1), 2),
            Inside::Code if chars[at] == '"' => inside = Inside::Text,
            Inside::Code if chars[at] == '\'' => taken = char_literal(&chars[at..]),
            Inside::Code => {
                if let Some(hashes) = raw_string(&chars, at) {
                    (inside, taken) = (Inside::RawText(hashes), hashes + 2);
                }
            }
            Inside::LineComment if chars[at] == '\n' => inside = Inside::Code,
            Inside::LineComment => {}
            Inside::BlockComment(depth) if follows(at, "/*") => {
                (inside, taken) = (Inside::BlockComment(depth + 1), 2);
            }
            Inside::BlockComment(depth) if follows(at, "*/") => {
                taken = 2;
                inside = if depth == 1 { Inside::Code } else { Inside::BlockComment(depth - 1) };
            }
            Inside::Text if chars[at] == '\\' => taken = 2,
            Inside::Text if chars[at] == '"' => inside = Inside::Code,
            Inside::RawText(hashes) if follows(at, &format!("\"{}", "#".repeat(hashes))) => {
                (inside, taken) = (Inside::Code, hashes + 1);
            }
            Inside::BlockComment(_) | Inside::Text | Inside::RawText(_) => {}
        }
        // What opens a comment belongs to it; a quote belongs to the code around its string.
        let owner = match (now, inside) {
            (Inside::LineComment | Inside::BlockComment(_), _)
            | (_, Inside::LineComment | Inside::BlockComment(_)) => 2,
            (Inside::Text, Inside::Text) | (Inside::RawText(_), Inside::RawText(_)) => 1,
            _ => 0,
        };
        for c in chars[at..].iter().take(taken) {
            for (view, out) in [&mut code, &mut strings, &mut comments].into_iter().enumerate() {
                out.push(if *c == '\n' || view == owner { *c } else { ' ' });
            }
        }
        at += taken;
    }
    (code, strings, comments)
}

/// Length of `'x'` or `'\n'`; of a lifetime only its tick.
fn char_literal(chars: &[char]) -> usize {
    let end = match chars {
        ['\'', '\\', _, rest @ ..] => rest.iter().position(|c| *c == '\'').map(|at| at + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    };
    end.unwrap_or(1)
}

/// How many `#` the raw string has that begins at this `r`, if one does.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let before = |back: usize| at.checked_sub(back).is_some_and(|i| is_word(chars[i]));
    let prefixed = at > 0 && matches!(chars[at - 1], 'b' | 'c') && !before(2);
    if chars[at] != 'r' || (before(1) && !prefixed) {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

#[test]
fn code_strings_and_comments_are_told_apart() {
    let text =
        "let url = \"http://a/\\\"b\"; // why\nlet c = '\"'; /* x /* y */ z */ f::<'a>(r#\"q\"q\"#);\n";
    let (code, strings, comments) = split(text);
    let words = |view: &str| view.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words(&code), "let url = \" \"; let c = '\"'; f::<'a>(r#\" \"#);");
    assert_eq!(words(&strings), "http://a/\\\"b q\"q");
    assert_eq!(words(&comments), "// why /* x /* y */ z */");
}

#[test]
fn names_are_found_in_groups_too() {
    let code =
        "use crate::{\n    domain::{Send, Chat},\n    store,\n};\nuse crate::clock::Clock;\nmy_crate::x();";
    let names: Vec<_> =
        names_after(code, "crate::").into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(names, ["1 domain", "1 store", "5 clock"]);
}

#[test]
fn test_modules_are_left_out() {
    let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let source = Source {
        path: "src/a.rs".into(),
        text: text.into(),
        code: text.into(),
        strings: String::new(),
        comments: String::new(),
    };
    assert_eq!(source.without_tests().code, "fn a() {}\n\n\n\n\n\nfn c() {}");
}
