//! Bugs planted around the core in the harness: production code has no switch for them. A check that catches none of them checks
//! nothing.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    AnswerBeforeCommit,
    ResendAmbiguous,
    ResetOnAmbiguous,
    WallClockWindows,
    ForgottenIntent,
    ReplayBeforeHandOver,
    UnpacedReplay,
    RestartAlerts,
    DoubleLadderStep,
    LostOutbox,
    RetryWithoutLook,
    ToldBeforeCommit,
    CommandTwice,
    ForgottenPause,
    SessionsMixed,
    OvertakenInChat,
    OrphanNotAwaited,
}

impl Planted {
    pub const ALL: [Self; 17] = [
        Self::AnswerBeforeCommit,
        Self::ResendAmbiguous,
        Self::ResetOnAmbiguous,
        Self::WallClockWindows,
        Self::ForgottenIntent,
        Self::ReplayBeforeHandOver,
        Self::UnpacedReplay,
        Self::RestartAlerts,
        Self::DoubleLadderStep,
        Self::LostOutbox,
        Self::RetryWithoutLook,
        Self::ToldBeforeCommit,
        Self::CommandTwice,
        Self::ForgottenPause,
        Self::SessionsMixed,
        Self::OvertakenInChat,
        Self::OrphanNotAwaited,
    ];

    /// What is wrong, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnswerBeforeCommit => "the bot is answered before the outcome is on disk",
            Self::ResendAmbiguous => "what may have arrived is sent again without a look",
            Self::ResetOnAmbiguous => "an ambiguous end counts as a success for the session",
            Self::WallClockWindows => "windows follow the wall clock, which steps",
            Self::ForgottenIntent => "the disk forgets intents",
            Self::ReplayBeforeHandOver => "a replay begins, and it is not on disk that the send is ours",
            Self::UnpacedReplay => "replays without a pace",
            Self::RestartAlerts => "a restart forgets what was alerted",
            Self::DoubleLadderStep => "a restart begins a running step of the diagnosis again",
            Self::RetryWithoutLook => {
                "a late retry of what was ours and may have arrived is forwarded without a look"
            }
            Self::ToldBeforeCommit => "a person is told that it is done before that is on disk",
            Self::CommandTwice => "what a person wants is done twice",
            Self::ForgottenPause => "a restart forgets that people paused the recovery",
            Self::SessionsMixed => "what fails in one session counts against another",
            Self::OvertakenInChat => "the proxy forwards a chat's next message while it still tries the last",
            Self::OrphanNotAwaited => "a retry does not wait for the call that the bot has left",
            Self::LostOutbox => "alerts are not on disk and die with the process",
        }
    }
}
