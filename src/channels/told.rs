//! How telling ended, and what it comes to where several recipients are told one by one.

use crate::domain::outcome::Outcome;

/// Told, or why not.
pub(super) type Told = Result<(), Untold>;

/// Not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Untold {
    /// Whether it is worth another try.
    pub(super) outcome: Outcome,
    /// Why, without any address, name or secret.
    pub(super) why: String,
}

impl Untold {
    /// It will never be taken.
    pub(super) fn for_good(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Rejected, why: why.into() }
    }

    /// Not this time.
    pub(super) fn this_time(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, why: why.into() }
    }

    /// It may have been taken.
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ambiguous, why: why.into() }
    }
}

/// Sums up recipients: whoever can still be told keeps the alert going; one who never will does not, once another was.
pub(super) fn sum_up(each: impl IntoIterator<Item = Told>) -> Told {
    let (mut told, mut worst) = (false, None::<Untold>);
    let rank = |untold: &Untold| match untold.outcome {
        Outcome::Ambiguous => 2,
        Outcome::Failed => 1,
        Outcome::Rejected | Outcome::Accepted => 0,
    };
    for one in each {
        match one {
            Ok(()) => told = true,
            Err(untold) if worst.as_ref().is_none_or(|worst| rank(&untold) > rank(worst)) => {
                worst = Some(untold);
            }
            Err(_) => {}
        }
    }
    match worst {
        Some(untold) if !told || untold.outcome != Outcome::Rejected => Err(untold),
        Some(untold) => {
            tracing::warn!("some recipients of an alert will never take it: {}", untold.why);
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_address_keeps_nobody_and_holds_up_nothing() {
        let (bad, later, maybe) = (Untold::for_good("no"), Untold::this_time("busy"), Untold::unknown("?"));
        let outcome = |each: Vec<Told>| sum_up(each).map_err(|untold| untold.outcome);
        assert_eq!(outcome(vec![Ok(()), Err(bad.clone())]), Ok(()));
        assert_eq!(outcome(vec![Err(bad.clone()), Err(bad.clone())]), Err(Outcome::Rejected));
        assert_eq!(outcome(vec![Ok(()), Err(bad.clone()), Err(later.clone())]), Err(Outcome::Failed));
        assert_eq!(outcome(vec![Err(later), Err(maybe), Err(bad)]), Err(Outcome::Ambiguous));
        assert_eq!(outcome(vec![Ok(()), Ok(())]), Ok(()));
    }
}
