//! `fake-waha`: the look-alike for a person at a shell.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Args;

use super::{Engine, FakeWaha, Options, Release, SessionOptions};

/// A look-alike of WAHA with fault switches, to try a bot or the watchdog without WhatsApp
///
/// Point a bot at it: a session `default` works, every number is on WhatsApp, every message
/// is "delivered" to a pretend phone. Then switch faults on, per chat and per call, and look
/// at what the phones display.
///
/// A send:
///   curl -X POST localhost:3000/api/sendText -H 'Content-Type: application/json' \
///     -d '{"session":"default","chatId":"5511988887777@c.us","text":"hello"}'
///
/// The next two sends to that chat arrive, but their answers are lost:
///   curl localhost:3000/__fake/faults \
///     -d '{"when":{"chat":"5511988887777","count":2},"what":"drop_after_processing"}'
///
/// How often was the customer told?
///   curl localhost:3000/__fake/phones
///
/// The session wants a new QR code; the server is gone for ten seconds; all is well again:
///   curl localhost:3000/__fake/sessions/default -d '{"status":"SCAN_QR_CODE"}'
///   curl localhost:3000/__fake/down -d '{"for_ms":10000}'
///   curl -X POST localhost:3000/__fake/reset
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = after_help())]
pub struct FakeWahaArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// The engine to imitate: it decides the form of answers, and whether a caller may choose message ids
    #[arg(long, value_enum, default_value_t = Engine::Noweb)]
    pub engine: Engine,

    /// Insist on this key, as WAHA does with WAHA_API_KEY; without it any key is taken, even none
    #[arg(long, value_name = "K")]
    pub api_key: Option<String>,

    /// The WAHA to imitate; the older one refuses media and ignores a caller's message id
    #[arg(long, value_enum, default_value_t = Release::V2026_9_2)]
    pub release: Release,

    /// A working session to begin with; may be given more than once
    #[arg(long = "session", value_name = "NAME", default_value = "default")]
    pub sessions: Vec<String>,

    /// Factor on WAHA's own waits and on the acks; 0.1 makes everything ten times as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub time_scale: f64,
}

fn after_help() -> String {
    format!(
        "The switches:\n{}\n\n\
         What goes wrong (\"what\"): \"refuse\", {{\"delay_ms\":500}}, {{\"late_answer_ms\":500}}, \"hang\",\n\
         \"drop_before_reading\", \"drop_after_processing\", \"truncate_answer\", {{\"status_500\":\"Timed Out\"}},\n\
         \"status_422\", \"restricted_463\", \"restricted_475\", \"no_lid\", \"bad_body\", \"empty_body\",\n\
         \"unauthorized\", \"no_acks\", {{\"late_acks_ms\":500}}, \"ack_error\", \"swallow\", \"blind_feed\".\n\
         To which calls (\"when\"): \"chat\", \"session\", \"path\" (a beginning, or \"*\"), \"from\" (the n-th\n\
         matching call on), \"count\" (so many); nothing means every send.",
        super::control::SWITCHES
    )
}

/// Runs until Ctrl-C.
pub async fn run(args: FakeWahaArgs) -> io::Result<()> {
    let waha = FakeWaha::start(Options {
        listen: args.listen,
        engine: args.engine,
        api_key: args.api_key,
        release: args.release,
        sessions: args.sessions.iter().map(|name| SessionOptions::working(name)).collect(),
        time_scale: args.time_scale,
        ..Options::default()
    })
    .await?;
    greet(&mut io::stdout().lock(), &waha.url(), args.sessions.first().map_or("default", String::as_str))?;
    interrupted().await?;
    waha.shutdown().await;
    Ok(())
}

/// One line with the address, then something to try.
fn greet(out: &mut impl Write, url: &str, session: &str) -> io::Result<()> {
    writeln!(out, "fake-waha listens on {url}")?;
    writeln!(out)?;
    writeln!(out, "  curl -X POST {url}/api/sendText -H 'Content-Type: application/json' \\")?;
    writeln!(
        out,
        "    -d '{{\"session\":\"{session}\",\"chatId\":\"5511988887777@c.us\",\"text\":\"hello\"}}'"
    )?;
    writeln!(
        out,
        "  curl {url}/__fake/faults -d '{{\"when\":{{\"count\":1}},\"what\":\"drop_after_processing\"}}'"
    )?;
    writeln!(out, "  curl {url}/__fake/sessions/{session} -d '{{\"status\":\"FAILED\"}}'")?;
    writeln!(out, "  curl {url}/__fake/phones")?;
    out.flush()
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let (tell, told) = tokio::sync::oneshot::channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Nobody waits any more only if the program is ending anyway.
            let _ = tell.send(());
        }
    });
    let _ = told.await;
    handle.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: FakeWahaArgs,
    }

    #[test]
    fn the_arguments_are_those_of_the_contract() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["x", "--listen", "127.0.0.1:0", "--engine", "GOWS", "--api-key", "k"]);
        assert_eq!(cli.args.engine, Engine::Gows);
        assert_eq!(cli.args.api_key.as_deref(), Some("k"));
        assert_eq!(cli.args.sessions, ["default"]);
        let cli = Cli::parse_from(["x"]);
        assert_eq!(cli.args.api_key, None, "any key is taken, even none");
        assert_eq!(cli.args.engine, Engine::Noweb);
    }

    #[test]
    fn the_greeting_begins_with_the_address() {
        let mut out = Vec::new();
        greet(&mut out, "http://127.0.0.1:3000", "default").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().next(), Some("fake-waha listens on http://127.0.0.1:3000"));
        assert!(text.contains("/__fake/phones"));
    }
}
