//! The shortest way through everything: if this fails, look here first.

use super::harness::sidecar::{json_lines, stdout};
use super::harness::{CHAT, Config, pair};

#[tokio::test]
async fn a_text_goes_through_and_is_recorded() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    let answer = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!((answer.status, answer.outcome(), answer.recorded()), (201, "accepted", true));
    assert_eq!(waha.phones().times(CHAT, "hola"), 1);
    let export = stdout(&sidecar.cli(&["export"]).await);
    let sends = json_lines(&export);
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0]["send_id"], answer.send_id());
    sidecar.stop().await;
    assert_eq!(stdout(&sidecar.cli_alone(&["export"]).await), export);
}
