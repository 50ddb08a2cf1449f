//! The formats in which metrics are exposed.

use std::fmt::Write as _;

/// A text format of metrics, which Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The text format of Prometheus, version 0.0.4, which everything reads that scrapes metrics.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// Returns its media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the format that a client wants which sends this as its header `Accept`. That is OpenMetrics only if the header
    /// names it, and does not prefer plain text.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let (mut open, mut plain, mut any_text, mut anything) = (None, None, None, None);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |wanted: &str| {
                let mut all = parameters.iter();
                let found = all.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.trim().trim_matches('"'))
            };
            let quality = parameter("q").map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let quality = quality.unwrap_or(0.0);
            let version = parameter("version");
            let place = match name.as_str() {
                "application/openmetrics-text"
                    if version.is_none_or(|version| ["1.0.0", "0.0.1"].contains(&version)) =>
                {
                    &mut open
                }
                "text/plain" => &mut plain,
                "text/*" => &mut any_text,
                "*/*" => &mut anything,
                _ => continue,
            };
            *place = Some(place.unwrap_or(0.0_f32).max(quality));
        }
        let plain = plain.or(any_text).or(anything).unwrap_or(0.0);
        match open {
            Some(open) if open > 0.0 && open >= plain => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }
}

/// Converts OpenMetrics to the text format of Prometheus. There, the name of a counter has its suffix in its description too,
/// and units and the end are not marked.
pub(super) fn to_prometheus(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
            continue;
        }
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            continue;
        }
        if !line.starts_with("# ") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{MetricsFormat::*, *};

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        for (header, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("text/plain; version=0.0.4", Prometheus),
            ("application/json", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
                OpenMetrics,
            ),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.5",
                Prometheus,
            ),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.1,*/*",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.3,*/*", Prometheus),
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;\
                 version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
                 */*;q=0.2",
                OpenMetrics,
            ),
        ] {
            assert_eq!(MetricsFormat::accepted(header), expected, "{header}");
        }
    }

    #[test]
    fn a_counter_is_described_with_its_suffix() {
        let open = "# HELP a_b Records.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 1\n\
                    # HELP c_bytes Memory of it.\n# TYPE c_bytes gauge\n# UNIT c_bytes bytes\nc_bytes 2\n# EOF\n";
        let expected = "# HELP a_b_total Records.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n\
                        # HELP c_bytes Memory of it.\n# TYPE c_bytes gauge\nc_bytes 2\n";
        assert_eq!(to_prometheus(open), expected);
    }
}
