//! Everything written for people, in Spanish first: sentences about status, causes and evidence, and the watchdog's own messages.
//!
//! It only words what others have decided and found out, and says no more than they know. Sentences name nobody; names and phones
//! stand in letters alone.

mod cause;
mod duration;
mod evidence;
mod instruction;
mod letter;
mod link;
mod moment;
mod plain;
mod refusal;
mod standing;
mod status;
mod template;
mod worded;

pub use cause::cause;
pub use duration::duration;
pub use evidence::evidence;
pub use instruction::{instruction, seen};
pub use letter::{Eyes, letter, letter_with};
pub use link::Links;
pub use moment::moment;
pub use plain::plain;
pub use refusal::refusal;
pub use standing::standing;
pub use status::{interpretation, not_recording, reason};
pub use worded::{Worded, worded};

/// The language of sentences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
    /// Portuguese.
    Pt,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 3] = [Self::Es, Self::En, Self::Pt];

    const fn pick<'a>(self, es: &'a str, en: &'a str, pt: &'a str) -> &'a str {
        match self {
            Self::Es => es,
            Self::En => en,
            Self::Pt => pt,
        }
    }
}
