//! Plots as SVG, to be read on light and on dark pages.

use std::fmt::Write as _;

use crate::{compare::number, figures::Curve};

const WIDTH: f64 = 860.0;
/// Where the bars begin, and how long the longest is.
const LEFT: f64 = 400.0;
const LENGTH: f64 = 360.0;
const LINE: f64 = 15.0;
const FAINT: &str = "class=\"faint\"";
const FAINT_END: &str = "class=\"faint\" text-anchor=\"end\"";
const FAINT_MIDDLE: &str = "class=\"faint\" text-anchor=\"middle\"";
const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.faint { fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.mark { stroke: #bc4c00; stroke-width: 2 }
.b0 { fill: #0969da } .b1 { fill: #8c959f } .b2 { fill: #bf8700 } .b3 { fill: #8250df }
.l0 { stroke: #0969da } .l1 { stroke: #bc4c00 } .l2 { stroke: #8250df } .l3 { stroke: #1a7f37 }
.curve { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #3d444d } .mark { stroke: #f0883e }
  .b0 { fill: #4493f8 } .b1 { fill: #6e7681 } .b2 { fill: #d29922 } .b3 { fill: #ab7df8 }
  .l0 { stroke: #4493f8 } .l1 { stroke: #f0883e } .l2 { stroke: #ab7df8 } .l3 { stroke: #3fb950 }
}
";

/// Bars that belong together, each with its name, and a mark across them.
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) bars: Vec<(String, f64)>,
    pub(crate) mark: Option<f64>,
}

/// Horizontal bars from zero.
pub(crate) fn bars(title: &str, unit: &str, mark: Option<&str>, groups: &[Group]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in groups.iter().flat_map(|group| &group.bars) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    let all = groups.iter().flat_map(|group| group.bars.iter().map(|(_, value)| *value).chain(group.mark));
    let most = all.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let scale = |value: f64| value / most * LENGTH;
    let (mut body, mut y) = (String::new(), 60.0);
    for group in groups {
        let top = y;
        text(&mut body, LEFT - 8.0, y + 11.0, FAINT_END, &group.label);
        for (name, value) in &group.bars {
            let color = names.iter().position(|known| known == name).unwrap_or(0) % 4;
            let _written = writeln!(
                body,
                "<rect class=\"b{color}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{:.0}\"/>",
                scale(*value).max(1.0),
                LINE - 3.0
            );
            // Past the mark, where that is near the end of the bar.
            let end =
                group.mark.filter(|mark| *mark >= *value && scale(mark - value) < 40.0).unwrap_or(*value);
            text(&mut body, LEFT + scale(end) + 6.0, y + 10.0, "", &number(*value));
            y += LINE;
        }
        if let Some(at) = group.mark {
            let x = LEFT + scale(at);
            let _written = writeln!(
                body,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{:.0}\"/>",
                top - 2.0,
                y
            );
        }
        y += 8.0;
    }
    let mut x = LEFT;
    for (n, name) in names.iter().enumerate() {
        let _written =
            writeln!(body, "<rect class=\"b{}\" x=\"{x:.0}\" y=\"33\" width=\"10\" height=\"10\"/>", n % 4);
        text(&mut body, x + 14.0, 42.0, FAINT, name);
        x += 30.0 + width_of(name);
    }
    if let Some(mark) = mark {
        let _written =
            writeln!(body, "<line class=\"mark\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"32\" y2=\"44\"/>");
        text(&mut body, x + 6.0, 42.0, FAINT, mark);
    }
    frame(&format!("{title} ({unit})"), y + 4.0, &body)
}

/// Curves over the same two axes, from zero.
pub(crate) fn curves(title: &str, (x_name, y_name): (&str, &str), curves: &[&Curve]) -> String {
    const BOX: [f64; 4] = [60.0, 50.0, 780.0, 260.0];
    let [left, top, width, height] = BOX;
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let most_x = round_up(all().map(|(x, _)| *x).fold(0.0, f64::max));
    let most_y = round_up(all().map(|(_, y)| *y).fold(0.0, f64::max));
    let mut body = String::new();
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (x, y) = (left + share * width, top + height - share * height);
        let _written = writeln!(
            body,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            left + width
        );
        text(&mut body, left - 6.0, y + 4.0, FAINT_END, &number(share * most_y));
        text(&mut body, x, top + height + 18.0, FAINT_MIDDLE, &number(share * most_x));
    }
    text(&mut body, left, top - 8.0, FAINT, y_name);
    text(&mut body, left + width, top + height + 34.0, FAINT_END, x_name);
    let mut y_of_name = top + height + 34.0;
    for (n, curve) in curves.iter().enumerate() {
        let at = |(x, y): &(f64, f64)| {
            format!("{:.1},{:.1}", left + x / most_x * width, top + height - y.max(0.0) / most_y * height)
        };
        let points: Vec<_> = curve.points.iter().map(at).collect();
        let color = n % 4;
        let _written = writeln!(body, "<polyline class=\"curve l{color}\" points=\"{}\"/>", points.join(" "));
        let _written = writeln!(
            body,
            "<line class=\"curve l{color}\" x1=\"{left}\" x2=\"{:.0}\" y1=\"{:.0}\" y2=\"{:.0}\"/>",
            left + 20.0,
            y_of_name - 4.0,
            y_of_name - 4.0
        );
        text(&mut body, left + 26.0, y_of_name, FAINT, &curve.name);
        y_of_name += 18.0;
    }
    frame(title, y_of_name, &body)
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let value = value.max(f64::MIN_POSITIVE);
    let ten = 10.0_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * ten).find(|step| *step >= value).unwrap_or(value)
}

/// About how wide a text is.
#[expect(clippy::cast_precision_loss, reason = "a few words")]
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 6.5
}

fn text(body: &mut String, x: f64, y: f64, attributes: &str, said: &str) {
    let said = said.replace('&', "&amp;").replace('<', "&lt;").replace('`', "");
    let _written = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{said}</text>");
}

fn frame(title: &str, height: f64, body: &str) -> String {
    let mut head = String::new();
    text(&mut head, 8.0, 20.0, "class=\"title\"", title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n{head}{body}</svg>\n"
    )
}
