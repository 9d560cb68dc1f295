//! The customers' orders: the same in every run, each from a customer of its own.

use serde::Serialize;

use crate::domain::id::ChatId;

const FIRST_NAMES: [&str; 12] =
    ["María", "José", "Ana", "Luis", "Carmen", "Pedro", "Sofía", "Iván", "Lucía", "Andrés", "Rosa", "Tomás"];
const LAST_NAMES: [&str; 11] =
    ["González", "Pérez", "Núñez", "Rojas", "Blanco", "Salazar", "Ibáñez", "Mora", "Castro", "Vega", "Peña"];

/// One order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Order {
    /// As people say it.
    #[serde(rename = "order_number")]
    pub(super) number: String,
    pub(super) customer_name: String,
    pub(super) customer_phone: String,
    /// As it stands in the message.
    #[serde(rename = "order_total")]
    pub(super) total: String,
    #[serde(skip)]
    pub(super) chat: ChatId,
}

impl Order {
    /// The `n`-th order, counted from 1.
    pub(super) fn nth(n: usize) -> Self {
        let at = n.saturating_sub(1);
        // 12 and 11 have no common divisor, so the pairs of names repeat late.
        let name = format!("{} {}", FIRST_NAMES[at % FIRST_NAMES.len()], LAST_NAMES[at % LAST_NAMES.len()]);
        let digits = format!("58412{:07}", 5_550_000 + n);
        let cents = 4_500 + at * 1_375 % 9_000;
        let chat = ChatId::new(&digits).unwrap_or_else(|| unreachable!("digits are a chat"));
        Self {
            number: format!("ORD-{n:03}"),
            customer_name: name,
            customer_phone: format!("+{digits}"),
            total: format!("${}.{:02}", cents / 100, cents % 100),
            chat,
        }
    }

    /// What the customer is to read.
    pub(super) fn text(&self) -> String {
        format!(
            "🤝 *Hemos recibido tu orden*\n\n*Orden:* {}\n*Total:* {}\n\n\
             Un agente se comunicará contigo pronto para completar tu pedido.\n¡Gracias por tu paciencia! 😊",
            self.number, self.total
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_differ_in_what_counts() {
        let orders: Vec<_> = (1..=1_000).map(Order::nth).collect();
        for fact in [|order: &Order| order.number.clone(), |order: &Order| order.customer_phone.clone()] {
            let facts: std::collections::BTreeSet<_> = orders.iter().map(fact).collect();
            assert_eq!(facts.len(), orders.len());
        }
        assert_eq!(orders[0].total, "$45.00");
        assert!(orders[0].text().contains("*Orden:* ORD-001\n*Total:* $45.00"));
    }
}
