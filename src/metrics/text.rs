//! Prometheus' text format, written straight from the families.
//!
//! The library's own way sorts all series and makes a string of each value: with fifty sessions that is most of a scrape. Neither is asked
//! for by the format, in which the series of a family only have to stand together. A test holds this to what the library writes.

use std::io::Write as _;

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Whole numbers below this are written as such: each of them is exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes what a collector shows.
pub(super) fn write(collector: &dyn Collector, text: &mut Vec<u8>) {
    for family in collector.collect() {
        write_family(&family, text);
    }
}

fn write_family(family: &MetricFamily, text: &mut Vec<u8>) {
    let (name, kind) = (family.name(), family.get_field_type());
    let kind_word = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        // This program has none.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    if family.get_metric().is_empty() {
        return;
    }
    push(text, &["# HELP ", name, " "]);
    escaped(family.help(), false, text);
    push(text, &["\n# TYPE ", name, " ", kind_word, "\n"]);
    let mut labels = Vec::with_capacity(128);
    for metric in family.get_metric() {
        labels.clear();
        write_labels(metric.get_label(), &mut labels);
        match kind {
            MetricType::COUNTER => sample(name, "", &labels, None, metric.get_counter().get_value(), text),
            MetricType::HISTOGRAM => write_histogram(name, metric, &labels, text),
            _ => sample(name, "", &labels, None, metric.get_gauge().get_value(), text),
        }
    }
}

fn write_histogram(name: &str, metric: &Metric, labels: &[u8], text: &mut Vec<u8>) {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count() as f64;
    for bucket in histogram.get_bucket() {
        let at_most = Some(bucket.upper_bound());
        sample(name, "_bucket", labels, at_most, bucket.cumulative_count() as f64, text);
    }
    sample(name, "_bucket", labels, Some(f64::INFINITY), count, text);
    sample(name, "_sum", labels, None, histogram.get_sample_sum(), text);
    sample(name, "_count", labels, None, count, text);
}

/// A line. `labels` are written already, without the braces.
fn sample(name: &str, suffix: &str, labels: &[u8], at_most: Option<f64>, value: f64, text: &mut Vec<u8>) {
    push(text, &[name, suffix]);
    if !labels.is_empty() || at_most.is_some() {
        text.push(b'{');
        text.extend_from_slice(labels);
        if let Some(bound) = at_most {
            push(text, &[if labels.is_empty() { "le=\"" } else { ",le=\"" }]);
            if bound.is_infinite() {
                push(text, &["+Inf"])
            } else {
                number(bound, text)
            }
            text.push(b'"');
        }
        text.push(b'}');
    }
    text.push(b' ');
    number(value, text);
    text.push(b'\n');
}

fn write_labels(labels: &[LabelPair], text: &mut Vec<u8>) {
    for (at, label) in labels.iter().enumerate() {
        push(text, &[if at == 0 { "" } else { "," }, label.name(), "=\""]);
        escaped(label.value(), true, text);
        text.push(b'"');
    }
}

fn number(value: f64, text: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = if value.fract() == 0.0 && value.abs() < WHOLE_MAX && !(value == 0.0 && value.is_sign_negative())
    {
        write!(text, "{}", value as i64)
    } else {
        write!(text, "{value}")
    };
}

fn escaped(value: &str, quotes: bool, text: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'"' if quotes => text.extend_from_slice(b"\\\""),
            byte => text.push(byte),
        }
    }
}

fn push(text: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use prometheus::{
        Counter, CounterVec, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, Opts,
        Registry, TextEncoder,
    };

    use super::*;

    /// What it writes has the lines of what the library writes.
    #[track_caller]
    fn like_the_library(collectors: Vec<Box<dyn Collector>>) -> String {
        let registry = Registry::new();
        let mut ours = Vec::new();
        for collector in collectors {
            write(&*collector, &mut ours);
            registry.register(collector).unwrap();
        }
        let mut theirs = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut theirs).unwrap();
        let [ours, theirs] = [ours, theirs].map(|text| String::from_utf8(text).unwrap());
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&ours), sorted(&theirs));
        ours
    }

    #[test]
    fn every_kind_and_every_number_reads_as_the_library_writes_it() {
        let numbers = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.1,
            1e-9,
            1.5e300,
            1_762_178_700.123,
            9_007_199_254_740_991.0,
            9_007_199_254_740_993.0,
            1e17,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let gauges = GaugeVec::new(Opts::new("a", "text \\ with \" and\nbreak"), &["x", "y"]).unwrap();
        let counters = CounterVec::new(Opts::new("b_total", "b"), &["x"]).unwrap();
        let spans =
            HistogramVec::new(HistogramOpts::new("c", "c").buckets(vec![0.000_25, 0.5, 10.0]), &["x"]);
        let (plain, alone) = (Gauge::new("d", "d").unwrap(), Counter::new("e_total", "e").unwrap());
        let span = Histogram::with_opts(HistogramOpts::new("f", "f").buckets(vec![1.0])).unwrap();
        let (spans, empty) = (spans.unwrap(), GaugeVec::new(Opts::new("g", "g"), &["x"]).unwrap());
        for (at, number) in numbers.into_iter().enumerate() {
            gauges.with_label_values(&[&at.to_string(), "q\"uo\\te\nñ"]).set(number);
            counters.with_label_values(&[&at.to_string()]).inc_by(if number > 0.0 { number } else { 0.0 });
            spans.with_label_values(&["s"]).observe(number);
        }
        plain.set(7.25);
        alone.inc_by(3.0);
        span.observe(0.75);
        let text = like_the_library(vec![
            Box::new(gauges),
            Box::new(counters),
            Box::new(spans),
            Box::new(plain),
            Box::new(alone),
            Box::new(span),
            Box::new(empty),
        ]);
        assert!(text.contains("c_bucket{x=\"s\",le=\"+Inf\"} 14"), "{text}");
    }
}
