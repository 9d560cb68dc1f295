//! Links into the panel, for messages: the one place that knows its paths.

use crate::domain::alert::Says;

/// The list of whom to call.
const ORDERS: &str = "/panel/orders";
/// The panel's first page.
const HOME: &str = "/panel/";

/// Where people find the panel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// `panel.public_url`, without a trailing slash.
    base: Option<String>,
}

impl Links {
    /// Links below `base`, where the panel can be reached at all.
    pub const fn new(base: Option<String>) -> Self {
        Self { base }
    }

    /// Where to look about an alert: whom to call, where somebody waits.
    pub fn of(&self, says: &Says) -> Option<String> {
        let waits = match says {
            Says::Recovered { left, .. } => *left > 0,
            _ => says.orders().is_some_and(|orders| orders.count > 0),
        };
        self.at(if waits { ORDERS } else { HOME })
    }

    /// The panel.
    pub fn panel(&self) -> Option<String> {
        self.at(HOME)
    }

    /// The list of whom to call.
    pub fn orders(&self) -> Option<String> {
        self.at(ORDERS)
    }

    fn at(&self, path: &str) -> Option<String> {
        self.base.as_ref().map(|base| format!("{base}{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::Orders;

    #[test]
    fn who_waits_is_what_the_link_shows() {
        let links = Links::new(Some("https://dog.example.com".to_owned()));
        let some = Orders { named: Vec::new(), count: 1 };
        assert_eq!(links.of(&Says::ManualAttention(some)).unwrap(), "https://dog.example.com/panel/orders");
        let none = Says::Restricted(Orders::default());
        assert_eq!(links.of(&none).unwrap(), "https://dog.example.com/panel/");
        assert_eq!(Links::default().of(&none), None);
    }
}
