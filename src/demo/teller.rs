//! Says what happens, in the order it happens: as a story to people, as JSON lines to machines.

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::DemoArgs;
use super::event::Event;
use super::paint::Paint;
use super::signals::Wishes;
use super::story::Story;
use crate::clock::Clock;
use crate::clock::rfc3339 as moment;

/// Tells everything that is told.
pub(super) struct Teller {
    clock: Clock,
    voice: Mutex<Voice>,
    /// Without a listener there is nothing left to do.
    wishes: Wishes,
}

struct Voice {
    /// `None` tells JSON.
    story: Option<Story>,
    failed: Option<io::Error>,
}

/// An event with its moment.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    at: String,
}

impl Teller {
    pub(super) fn new(args: &DemoArgs, clock: Clock, wishes: Wishes) -> Self {
        let story = (!args.json).then(|| Story::new(args.lang, Paint::of_stdout(), clock.now()));
        Self { clock, voice: Mutex::new(Voice { story, failed: None }), wishes }
    }

    /// Tells it now.
    pub(super) fn tell(&self, event: &Event) {
        let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        if voice.failed.is_some() {
            return;
        }
        let now = self.clock.now();
        let text = match &mut voice.story {
            Some(story) => Ok(story.tell(now, event)),
            None => serde_json::to_string(&Line { event, at: moment(now) }).map(|line| line + "\n"),
        };
        let written = text.map_err(io::Error::from).and_then(|text| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        });
        if let Err(error) = written {
            voice.failed = Some(error);
            self.wishes.stop.cancel();
            self.wishes.cut.cancel();
        }
    }

    /// Was everything told? A listener who left early (`| head`) has heard enough.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        match voice.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Some(_) | None => Ok(()),
        }
    }
}
