//! From samples to the tables a reader sees: medians, and ratios to nginx within one round.

use crate::contender::Contender;

/// One contender under one load in one round.
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) contender: Contender,
    pub(crate) connections: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_per_10k: f64,
    pub(crate) peak_mib: f64,
    pub(crate) errors: f64,
    /// Sends looked at while the load ran: how many were asked, how many were said to be recorded.
    pub(crate) asked: usize,
    pub(crate) recorded: usize,
}

pub(crate) fn print(samples: &[Sample], contenders: &[Contender], connections: &[usize]) {
    for count in connections {
        println!("\n### {count} connection{}\n", if *count == 1 { "" } else { "s" });
        println!(
            "| | req/s | × nginx (range) | p50 ms | p99 ms | p99 × nginx | CPU s/10k | CPU × nginx | peak MiB | errors \
             | recorded |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for contender in contenders {
            println!("{}", row(samples, *contender, *count));
        }
    }
}

fn row(samples: &[Sample], contender: Contender, connections: usize) -> String {
    let of = |who: Contender| {
        samples.iter().filter(move |sample| sample.contender == who && sample.connections == connections)
    };
    let middle = |field: fn(&Sample) -> f64| median(of(contender).map(field).collect());
    // Pair by pair: the machine's mood changes from round to round and is the same within one.
    let ratios = |field: fn(&Sample) -> f64| -> Vec<f64> {
        let pairs = of(contender).filter_map(|mine| {
            let nginx = of(Contender::Nginx).find(|nginx| nginx.round == mine.round)?;
            Some(field(mine) / field(nginx))
        });
        pairs.filter(|ratio| ratio.is_finite()).collect()
    };
    let speed = ratios(|sample| sample.per_second);
    let range = match (speed.iter().copied().reduce(f64::min), speed.iter().copied().reduce(f64::max)) {
        (Some(low), Some(high)) => format!("{} ({low:.2}–{high:.2})", number(median(speed), 2)),
        _ => "–".into(),
    };
    let costs = contender != Contender::Direct; // its cost is the upstream's, told apart
    let cost = |value, digits| if costs { number(value, digits) } else { "–".into() };
    let asked: usize = of(contender).map(|sample| sample.asked).sum();
    let recorded: usize = of(contender).map(|sample| sample.recorded).sum();
    [
        String::new(),
        contender.name().into(),
        number(middle(|sample| sample.per_second), 0),
        range,
        number(middle(|sample| sample.p50_ms), 2),
        number(middle(|sample| sample.p99_ms), 2),
        number(median(ratios(|sample| sample.p99_ms)), 2),
        cost(middle(|sample| sample.cpu_per_10k), 3),
        cost(median(ratios(|sample| sample.cpu_per_10k)), 2),
        cost(middle(|sample| sample.peak_mib), 1),
        format!("{}", of(contender).map(|sample| sample.errors).sum::<f64>()),
        if contender.is_watchdog() { format!("{recorded}/{asked}") } else { "–".into() },
        String::new(),
    ]
    .join(" | ")
    .trim()
    .to_owned()
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}
