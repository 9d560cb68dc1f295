//! What happened in one life, in lines that people can read. Kept only where somebody wants to read it.

use waha_watchdog::domain::decide::Notice;

use super::check::short;

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

/// A notice in a line.
pub fn line(notice: &Notice) -> String {
    match notice {
        Notice::Opened { cause, attempts, send, .. } => {
            format!("failed notification {} opened: {cause}, {attempts} attempts", short(*send))
        }
        Notice::Settled { send, method, .. } => {
            format!("failed notification {} settled: {}", short(*send), method.as_str())
        }
        Notice::Status(change) => {
            format!("{} -> {} ({})", change.from, change.to.status, change.to.reason.as_str())
        }
        Notice::Diagnosed { finding, .. } => format!("diagnosis: {}", finding.verdict.as_str()),
        Notice::Probed { result, .. } => format!("probe: {}", result.as_str()),
        Notice::BotProbed { found } => format!("the bot is asked: {}", found.as_str()),
        Notice::Replayed { outcome, .. } => format!("replay over: {outcome}"),
        Notice::NotReplayed { .. } => "replay not begun".to_owned(),
        Notice::RunOver { cut: false, .. } => "nothing more to send again".to_owned(),
        Notice::RunOver { cut: true, .. } => "sending again was cut".to_owned(),
        Notice::Looked { found, .. } => format!("look: {}", found.as_str()),
        Notice::Alerting(alert) => format!("alert raised: {}", alert.says.as_str()),
        Notice::Delivered { channel, how, .. } => {
            format!("alert by {}: {}", channel.as_str(), how.as_str())
        }
        Notice::Acted(audit) => format!("{} by {}", audit.action, audit.who),
        Notice::IncidentOpened(_) => "incident opened".to_owned(),
        Notice::IncidentClosed(_) => "incident closed".to_owned(),
        Notice::GivenUp { .. } => "given up by the bot".to_owned(),
        Notice::Retried { .. } => "succeeded after retries".to_owned(),
        Notice::Retry { .. } => "another attempt".to_owned(),
        Notice::Confirmed { confirmation, .. } => format!("confirmed: {}", confirmation.as_str()),
    }
}
