//! Two runs side by side.

use crate::figures::{Figures, Row};

/// Prints each figure of both, and by how much it has changed.
pub(crate) fn print(before: &Figures, after: &Figures) {
    for (what, run) in [("before", before), ("after", after)] {
        let dirty = if run.dirty { " and what was not committed" } else { "" };
        let machine = &run.machine;
        println!("{what}: {} {}{dirty}; {} cores, {}", run.date, run.commit, machine.cores, machine.kernel);
    }
    if before.scale.to_bits() != after.scale.to_bits() {
        println!("the sizes differ: SCALE={} and SCALE={}", before.scale, after.scale);
    }
    println!("{:>12} {:>12} {:>8}  what", "before", "after", "change");
    let known = |row: &Row, rows: &[Row]| {
        rows.iter()
            .find(|other| (&other.section, &other.name) == (&row.section, &row.name))
            .and_then(|row| row.value)
    };
    let mut section = "";
    for row in &after.rows {
        if row.section != section {
            section = &row.section;
            println!("{section}");
        }
        line(known(row, &before.rows), row.value, row);
    }
    for row in before.rows.iter().filter(|row| !after.rows.iter().any(|other| other.name == row.name)) {
        line(row.value, None, row);
    }
}

fn line(before: Option<f64>, after: Option<f64>, row: &Row) {
    let shown = |value: Option<f64>| value.map_or("–".to_owned(), number);
    let change = match before.zip(after) {
        Some((before, after)) if before != 0.0 => format!("{:+.1} %", (after - before) / before * 100.0),
        _ => String::new(),
    };
    println!("{:>12} {:>12} {change:>8}  {} ({})", shown(before), shown(after), row.name, row.unit);
}

/// With as many digits as tell something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 100.0 && size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => thousands(&format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `12,345`.
fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}
