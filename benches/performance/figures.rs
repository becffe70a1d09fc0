//! What was measured: rows, curves, and on what machine.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, time::Duration};

use serde::{Deserialize, Serialize};

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    /// By which share of the aim a figure misses it; nothing when it is reached.
    pub(crate) fn missed_by(self, value: f64) -> f64 {
        match self {
            Self::AtMost(most) => ((value - most) / most).max(0.0),
            Self::AtLeast(least) => ((least - value) / least).max(0.0),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    /// None: it could not be measured, and the note says why.
    pub(crate) value: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) runs: usize,
    pub(crate) bound: Option<f64>,
    pub(crate) aim: Option<Aim>,
    pub(crate) peer: Option<String>,
    pub(crate) peer_value: Option<f64>,
    pub(crate) note: String,
}

impl Row {
    /// The mean of some runs.
    pub(crate) fn mean(name: impl Into<String>, unit: &str, values: &[f64]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a handful of runs")]
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Self::over(name, unit, values, mean)
    }

    /// The median of some runs.
    pub(crate) fn median(name: impl Into<String>, unit: &str, values: &[f64]) -> Self {
        Self::over(name, unit, values, middle(values))
    }

    /// One value.
    pub(crate) fn one(name: impl Into<String>, unit: &str, value: f64) -> Self {
        Self::over(name, unit, &[value], value)
    }

    /// Nothing, and why.
    pub(crate) fn none(name: impl Into<String>, unit: &str, why: &str) -> Self {
        Self { name: name.into(), unit: unit.into(), note: why.into(), ..Self::default() }
    }

    fn over(name: impl Into<String>, unit: &str, values: &[f64], value: f64) -> Self {
        let edge = |edge: fn(f64, f64) -> f64| values.iter().copied().reduce(edge);
        Self {
            name: name.into(),
            unit: unit.into(),
            value: Some(value).filter(|value| value.is_finite()),
            min: edge(f64::min),
            max: edge(f64::max),
            runs: values.len(),
            ..Self::default()
        }
    }

    pub(crate) fn bound(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }

    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { aim: Some(Aim::AtMost(most)), ..self }
    }

    pub(crate) fn at_least(self, least: f64) -> Self {
        Self { aim: Some(Aim::AtLeast(least)), ..self }
    }

    pub(crate) fn peer(self, peer: &str, value: Option<f64>) -> Self {
        Self { peer: Some(peer.into()), peer_value: value, ..self }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

/// The value in the middle, or between the two that are.
pub(crate) fn middle(values: &[f64]) -> f64 {
    let upside_down: Vec<_> = values.iter().map(|value| -value).collect();
    f64::midpoint(share_of(values, 0.5), -share_of(&upside_down, 0.5))
}

/// The value below which a share of the values lies.
pub(crate) fn share_of(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index among thousands"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// A curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What one section writes down.
#[derive(Debug)]
pub(crate) struct Book {
    section: &'static str,
    rows: Vec<Row>,
    curves: Vec<Curve>,
}

impl Book {
    pub(crate) const fn new(section: &'static str) -> Self {
        Self { section, rows: Vec::new(), curves: Vec::new() }
    }

    pub(crate) fn row(&mut self, row: Row) {
        let value = row.value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        println!("  {}: {value} {} {}", row.name, row.unit, row.note);
        self.rows.push(Row { section: self.section.into(), ..row });
    }

    /// A line without a figure.
    pub(crate) fn note(&mut self, name: &str, note: &str) {
        self.row(Row::none(name, "", note));
    }

    pub(crate) fn curve(&mut self, name: impl Into<String>, points: Vec<(f64, f64)>) {
        self.curves.push(Curve { section: self.section.into(), name: name.into(), points });
    }
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) commit: String,
    pub(crate) dirty: bool,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) rustc: String,
    pub(crate) profile: String,
    /// Less than 1 in a run that is only to show whether it works.
    pub(crate) scale: f64,
    /// How long each section took, seconds.
    pub(crate) took: BTreeMap<String, f64>,
    pub(crate) rows: Vec<Row>,
    pub(crate) curves: Vec<Curve>,
}

impl Figures {
    /// No figures yet.
    pub(crate) fn of_now() -> Self {
        let profile = if cfg!(debug_assertions) {
            "unoptimised"
        } else {
            "bench (release, but for link-time optimisation)"
        };
        Self {
            commit: said("git", &["rev-parse", "HEAD"]),
            dirty: !said("git", &["status", "--porcelain"]).is_empty(),
            date: said("date", &["-u", "+%Y-%m-%dT%H:%MZ"]),
            machine: Machine {
                cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                processor: line("/proc/cpuinfo", "model name"),
                memory_gib: line("/proc/meminfo", "MemTotal")
                    .trim_end_matches(" kB")
                    .parse::<f64>()
                    .unwrap_or(0.0)
                    / 1024.0
                    / 1024.0,
                kernel: said("uname", &["-sr"]),
            },
            rustc: said("rustc", &["-V"]),
            profile: profile.to_owned(),
            scale: scale(),
            took: BTreeMap::new(),
            rows: Vec::new(),
            curves: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, book: Book, took: Duration) {
        self.took.insert(book.section.to_owned(), took.as_secs_f64());
        self.rows.extend(book.rows);
        self.curves.extend(book.curves);
    }

    /// Takes over what a file tells of the sections that are not measured anew, if it is of the same commit and
    /// the same sizes.
    pub(crate) fn keep_other_sections(&mut self, file: &Path, anew: impl Fn(&str) -> bool) {
        if !file.exists() {
            return;
        }
        let Self { commit, scale, took, rows, curves, .. } = Self::read(file);
        if commit != self.commit || scale.to_bits() != self.scale.to_bits() {
            return;
        }
        self.took.extend(took.into_iter().filter(|(section, _)| !anew(section)));
        self.rows.extend(rows.into_iter().filter(|row| !anew(&row.section)));
        self.curves.extend(curves.into_iter().filter(|curve| !anew(&curve.section)));
    }

    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(file, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
    }
}

/// What a program says; nothing where it is not there.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a file of the kernel's says under a name.
fn line(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    found.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

/// By how much sizes are shrunk.
pub(crate) fn scale() -> f64 {
    env::var("SCALE").ok().map_or(1.0, |scale| scale.parse().unwrap())
}

/// A size as the scale has it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^52"
)]
pub(crate) fn scaled(size: usize, least: usize) -> usize {
    ((size as f64 * scale()).round() as usize).max(least)
}

/// Whether the largest sizes are asked for.
pub(crate) fn is_full() -> bool {
    env::var("FULL").is_ok_and(|full| full == "1")
}
