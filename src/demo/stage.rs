//! What happens when: orders, the outage, its end, the end of it all.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::DemoArgs;
use super::api::Api;
use super::book::{Book, Ending, Page};
use super::bot::{ATTEMPTS, Bot};
use super::event::{Event, Finishing, NotificationFailed, OutageEnded, Placed, StatusChanged};
use super::signals::Wishes;
use super::teller::Teller;
use crate::app::Running;
use crate::clock;
use crate::fake_waha::FakeWaha;

/// How often the status is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long it may take to send again what is pending at the end.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);
/// How long the sidecar may take to list what the bot gave up, on a busy machine.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// The times of the play.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    #[serde(rename = "order_every_ms", serialize_with = "millis")]
    pub(super) every: Duration,
    #[serde(rename = "outage_after_ms", serialize_with = "millis")]
    pub(super) outage_after: Duration,
    #[serde(rename = "outage_for_ms", serialize_with = "millis")]
    pub(super) outage_for: Duration,
    #[serde(rename = "first_retry_after_ms", serialize_with = "millis")]
    pub(super) retry_wait: Duration,
    #[serde(rename = "ends_after_ms", serialize_with = "millis_if_any")]
    pub(super) length: Option<Duration>,
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

fn millis_if_any<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_millis()).serialize(serializer)
}

impl Plan {
    pub(super) const fn of(args: &DemoArgs) -> Self {
        Self {
            every: args.every,
            outage_after: args.outage_after,
            outage_for: args.outage_for,
            retry_wait: args.retry_wait,
            length: args.length,
        }
    }

    /// All waits of the bot for one order.
    fn waits(&self) -> Duration {
        self.retry_wait * (2u32.pow(ATTEMPTS - 1) - 1)
    }
}

/// Where it is played.
pub(super) struct Stage {
    plan: Plan,
    waha: FakeWaha,
    book: Arc<Book>,
    bot: Arc<Bot>,
    api: Arc<Api>,
    teller: Arc<Teller>,
    wishes: Wishes,
}

impl Stage {
    pub(super) fn new(
        plan: Plan,
        waha: FakeWaha,
        running: &Running,
        teller: Arc<Teller>,
        wishes: Wishes,
    ) -> anyhow::Result<Self> {
        let book = Arc::new(Book::default());
        let proxy = format!("http://{}", running.proxy);
        let bot = Arc::new(Bot::new(proxy, plan.retry_wait, Arc::clone(&book), Arc::clone(&teller))?);
        let api = Arc::new(Api::new(format!("http://{}", running.admin))?);
        Ok(Self { plan, waha, book, bot, api, teller, wishes })
    }

    /// Plays to the end. What the bot did, and the pretend WAHA for a last look at its phones.
    pub(super) async fn play(mut self) -> (Vec<Page>, FakeWaha) {
        let watching = tokio::spawn(watch(Arc::clone(&self.api), Arc::clone(&self.teller)));
        let mut customers = JoinSet::new();
        self.orders(&mut customers).await;
        self.finish(&mut customers).await;
        watching.abort();
        (self.book.pages(), self.waha)
    }

    async fn orders(&mut self, customers: &mut JoinSet<()>) {
        let start = clock::instant();
        let end = self.plan.length.map(|length| start + length);
        let (mut down_at, mut up_at) = (Some(start + self.plan.outage_after), None);
        let mut next_order = interval(self.plan.every);
        // After a stall of the machine the orders go on in their pace instead of coming all at once.
        next_order.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.wishes.stop.cancelled() => return,
                () = at(end) => return,
                () = at(down_at) => {
                    down_at = None;
                    self.go_down().await;
                    up_at = Some(clock::instant() + self.plan.outage_for);
                }
                () = at(up_at) => {
                    up_at = None;
                    self.come_up().await;
                }
                _ = next_order.tick() => self.order(customers),
                Some(_) = customers.join_next() => {}
            }
        }
    }

    fn order(&self, customers: &mut JoinSet<()>) {
        let (page, order) = self.book.next_order();
        self.teller.tell(&Event::OrderPlaced(Placed { order: order.clone() }));
        let (bot, book) = (Arc::clone(&self.bot), Arc::clone(&self.book));
        let (api, teller) = (Arc::clone(&self.api), Arc::clone(&self.teller));
        customers.spawn(async move {
            let Some(send_id) = bot.deliver(page, &order).await else { return };
            let event = match listed(&api, send_id.as_deref()).await {
                Some(found) => Event::NotificationFailed(NotificationFailed {
                    order,
                    id: found.id,
                    cause: found.cause,
                    attempts: found.attempts,
                }),
                None => Event::NotificationMissing(Placed { order }),
            };
            // Not before: somebody in a hurry may end it while the sidecar is still at it.
            book.end(page, Ending::GivenUp);
            teller.tell(&event);
        });
    }

    async fn go_down(&mut self) {
        let _nobody = self.bot.road.write().await;
        self.waha.go_down().await;
        self.teller.tell(&Event::OutageBegan);
    }

    async fn come_up(&mut self) {
        let orders_unnotified = self.api.status().await.map(|status| status.orders_unnotified);
        // Its port was free a moment ago; where another process took it, the outage lasts and the summary says what came of it.
        if self.waha.come_up().await.is_ok() {
            self.teller.tell(&Event::OutageEnded(OutageEnded { orders_unnotified }));
        }
    }

    /// Lets the bot end what it has begun, unless somebody is in a hurry.
    async fn finish(&self, customers: &mut JoinSet<()>) {
        let open_orders = self.book.open();
        if open_orders > 0 {
            let within_ms = self.plan.waits().as_millis();
            self.teller.tell(&Event::Finishing(Finishing { open_orders, within_ms }));
        }
        let all = async { while customers.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = self.wishes.cut.cancelled() => {}
        }
        customers.shutdown().await;
        tokio::select! {
            () = self.recovered() => {}
            () = self.wishes.cut.cancelled() => {}
        }
    }

    /// Gives the watchdog the time to send what is pending, where WAHA is there to take it.
    async fn recovered(&self) {
        // The last order may have changed the status.
        sleep(LOOK_EVERY).await;
        let until = clock::instant() + RECOVERED_WITHIN;
        while clock::instant() < until && self.api.status().await.is_some_and(|status| status.going_out) {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits for a moment; for ever, where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until the sidecar lists a send as a failed notification.
async fn listed(api: &Api, send_id: Option<&str>) -> Option<super::api::Notification> {
    let send_id = send_id?;
    let found = async {
        loop {
            if let Some(found) = api.notification(send_id).await {
                break found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LISTED_WITHIN, found).await.ok()
}

/// Tells each change of the status, as somebody sees it who asks again and again.
async fn watch(api: Arc<Api>, teller: Arc<Teller>) {
    let mut known: Option<String> = None;
    loop {
        if let Some(now) = api.status().await.filter(|now| known.as_ref() != Some(&now.status)) {
            let from = known.replace(now.status.clone());
            teller.tell(&Event::StatusChanged(StatusChanged {
                from,
                to: now.status,
                reason_code: now.reason_code,
                reason: now.reason,
                interpretation: now.interpretation,
            }));
        }
        sleep(LOOK_EVERY).await;
    }
}
