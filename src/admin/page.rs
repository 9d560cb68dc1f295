//! Pages: how many, and where they go on. A cursor is opaque to its user.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::domain::id::RecordId;
use crate::domain::ledger::Position;
use crate::domain::time::Timestamp;
use crate::store::{Before, NotificationCursor, Order};

/// Rows on a page where nobody says.
const LIMIT: usize = 50;
/// Rows on a page at the most.
const LIMIT_MAX: usize = 1_000;

/// What all lists take.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// So many at the most.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 50)]
    pub(super) limit: Option<String>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// Which come first.
    #[param(value_type = Option<OrderBy>, inline)]
    pub(super) order_by: Option<String>,
}

/// Which come first.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described; a value is read leniently")]
enum OrderBy {
    Newest,
    Oldest,
}

impl PageQuery {
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let Some(limit) = self.limit.as_deref().filter(|limit| !limit.is_empty()) else { return Ok(LIMIT) };
        let limit = limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| Problem::bad_parameter("limit", "a number from 1 to 1000"))
    }

    pub(super) fn order(&self, usual: Order) -> Result<Order, Problem> {
        match self.order_by.as_deref() {
            None | Some("") => Ok(usual),
            Some("oldest") => Ok(Order::OldestFirst),
            Some("newest") => Ok(Order::NewestFirst),
            Some(_) => Err(Problem::bad_parameter("order_by", "oldest or newest")),
        }
    }

    pub(super) fn position(&self) -> Result<Option<Position>, Problem> {
        self.parsed(|cursor| cursor.parse().ok().map(Position))
    }

    pub(super) fn notification(&self) -> Result<Option<NotificationCursor>, Problem> {
        self.parsed(|cursor| {
            let (at, send) = cursor.split_once('.')?;
            let created_at = Timestamp::from_millis(at.parse().ok()?);
            Some(NotificationCursor { created_at, send: send.parse().ok()? })
        })
    }

    /// Where a list by moment goes on.
    pub(super) fn before(&self) -> Result<Option<Before>, Problem> {
        self.parsed(|cursor| {
            let (at, id) = cursor.split_once('.')?;
            Some((at.parse().ok()?, id.parse().ok()?))
        })
    }

    fn parsed<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        parse(cursor)
            .map(Some)
            .ok_or_else(|| Problem::bad_parameter("cursor", "the next_cursor of an earlier page"))
    }
}

pub(super) fn position_cursor(position: Position) -> String {
    position.0.to_string()
}

pub(super) fn notification_cursor(cursor: NotificationCursor) -> String {
    format!("{}.{}", cursor.created_at.millis(), cursor.send)
}

pub(super) fn before_cursor(at: Timestamp, id: RecordId) -> String {
    format!("{}.{id}", at.millis())
}
