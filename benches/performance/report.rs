//! `docs/performance.md` and its plots. Every number in them comes from the file of figures.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    compare::number,
    explain::{About, INTRODUCTION, Plot, REPEAT, SECTIONS},
    figures::{Aim, Curve, Figures, Row},
    plot::{self, Group},
};

const PAGE: &str = "docs/performance.md";
const PLOTS: &str = "docs/performance";

pub(crate) fn write(figures: &Figures) {
    fs::create_dir_all(PLOTS).unwrap();
    let mut page = head(figures);
    for about in &SECTIONS {
        let rows: Vec<_> = figures.rows.iter().filter(|row| row.section == about.name).cloned().collect();
        if rows.is_empty() {
            continue;
        }
        let took = figures.took.get(about.name).copied().unwrap_or(0.0);
        let _written = write!(page, "\n## {}\n\n{} Measured in {took:.0} s.\n\n", about.title, about.text);
        let curves: Vec<_> = figures.curves.iter().filter(|curve| curve.section == about.name).collect();
        if let Some(svg) = draw(about, &rows, &curves) {
            let file = Path::new(PLOTS).join(format!("{}.svg", about.name));
            fs::write(file, svg).unwrap();
            let _written = write!(page, "![{}](performance/{}.svg)\n\n", about.title, about.name);
        }
        page += "| what | value | range (runs) | bound | aim | reached? | compared with | besides |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
        let rows = if about.folds { folded(rows) } else { rows };
        for row in &rows {
            page += &line(row);
        }
    }
    fs::write(PAGE, &page).unwrap();
    println!("{PAGE}: {} lines", page.lines().count());
}

fn head(figures: &Figures) -> String {
    let machine = &figures.machine;
    let with_aim = || figures.rows.iter().filter(|row| row.aim.is_some());
    let missed = with_aim().filter(|row| missed(row).is_none_or(|by| by > 0.0)).count();
    let dirty = if figures.dirty { ", with changes that were not committed" } else { "" };
    let small = if figures.scale.to_bits() == 1.0_f64.to_bits() {
        String::new()
    } else {
        format!(
            "\n**Sizes are shrunk (`SCALE={}`): this run says that the bench works, and nothing about speed.**\n",
            figures.scale
        )
    };
    let minutes = figures.took.values().sum::<f64>() / 60.0;
    format!(
        "# Performance\n\n<!-- Written by `cargo bench --bench performance -- --report`. Change benches/performance/, not this page. -->\n\n{INTRODUCTION}\n{small}\n\
         | | |\n| --- | --- |\n| commit | {}{dirty} |\n| date | {} |\n| machine | {} cores ({}), {:.0} GiB, {} |\n| compiler, profile | {}, {} |\n| took | {minutes:.0} min |\n| aims | {} reached, {missed} missed or not measured |\n\n{REPEAT}\n",
        figures.commit,
        figures.date,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        figures.rustc,
        figures.profile,
        with_aim().count() - missed,
    )
}

/// By which share a row misses its aim; none without an aim or a value.
fn missed(row: &Row) -> Option<f64> {
    Some(row.aim?.missed_by(row.value?))
}

fn line(row: &Row) -> String {
    let shown = |value: Option<f64>| value.map_or(String::new(), number);
    let value = row.value.map_or("–".to_owned(), |value| format!("{} {}", number(value), row.unit));
    let range = match row.min.zip(row.max).filter(|_| row.runs > 1) {
        Some((min, max)) => format!("{} – {} ({})", number(min), number(max), row.runs),
        None => String::new(),
    };
    let aim = match row.aim {
        Some(Aim::AtMost(most)) => format!("≤ {}", number(most)),
        Some(Aim::AtLeast(least)) => format!("≥ {}", number(least)),
        None => String::new(),
    };
    let reached = match (row.aim, missed(row)) {
        (None, _) => String::new(),
        (Some(_), None) => "**not measured**".to_owned(),
        (Some(_), Some(by)) if by > 0.0 => format!("**missed by {} %**", number(by * 100.0)),
        (Some(_), Some(_)) => "reached".to_owned(),
    };
    let peer = row.peer.clone().unwrap_or_default();
    let peer = [peer, shown(row.peer_value)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let cells =
        [row.name.clone(), value, range, shown(row.bound), aim, reached, peer.join(" "), row.note.clone()];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | "))
}

/// Rows that only say more of another are told in its notes.
fn folded(rows: Vec<Row>) -> Vec<Row> {
    let base = |row: &Row| row.name.split(": ").next().unwrap_or_default().to_owned();
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let says_more = row.aim.is_none() && row.bound.is_none() && row.peer.is_none() && row.value.is_some();
        let of = base(&row);
        match kept.iter_mut().find(|kept| base(kept) == of) {
            Some(first) if says_more => {
                let what = row.name.strip_prefix(&*of).unwrap_or_default().trim_start_matches(": ");
                let value = row.value.map_or(String::new(), number);
                let mut said = format!("{what} {value}");
                if !what.ends_with(&*row.unit) {
                    let _written = write!(said, " {}", row.unit);
                }
                if !row.note.is_empty() {
                    let _written = write!(said, " ({})", row.note);
                }
                first.note = if first.note.is_empty() { said } else { format!("{}; {said}", first.note) };
            }
            _ => kept.push(row),
        }
    }
    kept
}

fn draw(about: &About, rows: &[Row], curves: &[&Curve]) -> Option<String> {
    match &about.plot {
        Plot::Nothing => None,
        Plot::Curves { title, axes } => {
            let curves: Vec<_> = curves.iter().copied().filter(|curve| !curve.points.is_empty()).collect();
            (!curves.is_empty()).then(|| plot::curves(title, *axes, &curves))
        }
        Plot::Bars { title, unit, takes } => {
            let mut groups: Vec<Group> = Vec::new();
            for row in rows.iter().filter(|row| row.unit == *unit && takes(row)) {
                let Some(value) = row.value else { continue };
                let (label, of) = match row.name.split_once(": time of ") {
                    Some((label, tool)) => (label.to_owned(), tool.to_owned()),
                    None => (row.name.trim_end_matches(": time").to_owned(), "copy-manager".to_owned()),
                };
                let label = label.replace(", `folders = \"whole\"`, `single_part = \"job\"`", ", whole");
                // A tool that has a row of its own is not drawn twice.
                let peer = row.peer.clone().zip(row.peer_value).filter(|_| !row.name.ends_with(": time"));
                let bars = std::iter::once((of, value)).chain(peer);
                match groups.iter_mut().find(|group| group.label == label) {
                    Some(group) => group.bars.extend(bars),
                    None => groups.push(Group { label, bars: bars.collect(), mark: row.bound }),
                }
            }
            let mark = groups.iter().any(|group| group.mark.is_some()).then_some("bound");
            (!groups.is_empty()).then(|| plot::bars(title, unit, mark, &groups))
        }
    }
}
