//! The last hour, drawn: requests that have ended, minute by minute, as an inline SVG.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use crate::admin::words::{moment, number, text};

/// Bars, and the minutes that each stands for.
const BARS: usize = 30;
const MINUTES: i64 = 2;
/// The size of the drawing, in its own units: a bar is ten wide.
const HEIGHT: u64 = 60;

/// What has ended within the minutes of one bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bar {
    succeeded: u64,
    failed: u64,
    files: u64,
}

fn bars(requests: &[&Value], now: Timestamp) -> [Bar; BARS] {
    let mut bars = [Bar::default(); BARS];
    for request in requests {
        let failed = text(request, "status") == "FAILED";
        if !failed && text(request, "status") != "SUCCEEDED" {
            continue;
        }
        let Some(at) = moment(request, "updatedAt") else { continue };
        let ago = now.duration_since(at).as_secs().max(0) / 60 / MINUTES;
        let Some(bar) = usize::try_from(ago).ok().and_then(|ago| bars.get_mut((BARS - 1).checked_sub(ago)?))
        else {
            continue;
        };
        bar.failed += u64::from(failed);
        bar.succeeded += u64::from(!failed);
        bar.files += number(request, "/counters/copied");
    }
    bars
}

/// The last hour of these requests; nothing where nothing has ended.
pub(super) fn last_hour(requests: &[&Value], now: Timestamp) -> Markup {
    let bars = bars(requests, now);
    let sum = |of: fn(&Bar) -> u64| bars.iter().map(of).sum::<u64>();
    let (succeeded, failed, files) = (sum(|bar| bar.succeeded), sum(|bar| bar.failed), sum(|bar| bar.files));
    if succeeded + failed == 0 {
        return html! {};
    }
    let most = bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or(1).max(1);
    let said = format!(
        "{succeeded} requests succeeded and {failed} failed in the last hour; {files} files were copied"
    );
    let tall = |count: u64| (count * HEIGHT).div_ceil(most);
    html! {
        section {
            h2 { "Last hour" }
            svg.chart role="img" aria-label=(said) viewBox=(format!("0 0 {} {}", BARS * 10, HEIGHT + 2)) preserveAspectRatio="none" {
                @for (n, bar) in bars.iter().enumerate() {
                    @let (good, bad) = (tall(bar.succeeded), tall(bar.failed));
                    @if good > 0 { rect.good x=(n * 10 + 1) y=(HEIGHT.saturating_sub(good)) width="8" height=(good) {} }
                    @if bad > 0 { rect.bad x=(n * 10 + 1) y=(HEIGHT.saturating_sub(good + bad)) width="8" height=(bad) {} }
                }
            }
            p.quiet { (said) ". At most " (most) " in " (MINUTES) " minutes; now is on the right." }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_ended_stands_in_its_minutes() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let ended = |status: &str, at: &str| json!({ "status": status, "updatedAt": at, "counters": { "copied": 3 } });
        let requests = [
            ended("SUCCEEDED", "2026-11-30T11:59:30Z"),
            ended("FAILED", "2026-11-30T11:58:01Z"),
            ended("SUCCEEDED", "2026-11-30T11:00:30Z"),
            ended("SUCCEEDED", "2026-11-30T10:59:00Z"),
            ended("RUNNING", "2026-11-30T11:59:30Z"),
        ];
        let requests: Vec<&Value> = requests.iter().collect();
        let bars = bars(&requests, now);
        assert_eq!((bars[29].succeeded, bars[29].failed, bars[0].succeeded), (1, 1, 1));
        assert_eq!(bars.iter().map(|bar| bar.succeeded).sum::<u64>(), 2);
        let drawn = last_hour(&requests, now).0;
        assert!(
            drawn.contains("2 requests succeeded and 1 failed in the last hour; 9 files were copied"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("<rect").count(), 3);
        assert_eq!(last_hour(&[], now).0, "");
    }
}
