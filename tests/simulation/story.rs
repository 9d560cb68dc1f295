//! What happened in one life, in lines that people can read. Kept only where somebody wants to read it.

/// The lines.
#[derive(Default)]
pub struct Story {
    wanted: bool,
    pub lines: Vec<String>,
}

impl Story {
    pub fn new(wanted: bool) -> Self {
        Self { wanted, lines: Vec::new() }
    }

    /// One more line, made only where it is kept.
    pub fn tell(&mut self, now: i64, line: impl FnOnce() -> String) {
        if self.wanted {
            let (minutes, seconds, millis) = (now / 60_000, now / 1000 % 60, now % 1000);
            self.lines.push(format!("{minutes:>4}:{seconds:02}.{millis:03}  {}", line()));
        }
    }
}
