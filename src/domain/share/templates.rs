//! Where files lie, as templates of their addresses: `s3://primary/{instrument_run_id}/**/{library_id}_*.fastq.gz`.
//!
//! `{name}` is a field, within one name of the key; `*` stands for any text within one name, `**` for any number
//! of whole names; `{gz,ora}` (or `{gz|ora}`) for one of these texts. All else is compared as it stands.

mod reading;

use std::{collections::BTreeSet, fmt};

use serde::Deserialize;

use super::{files::DataType, lims, rows::Row};

/// What a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The sequencing run.
    InstrumentRun,
    /// The library; of analyses also several, joined by `__`.
    Library,
    /// The lane, a number.
    Lane,
    /// The run of a workflow.
    PortalRun,
    /// The workflow.
    Workflow,
    /// Its version.
    Version,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::InstrumentRun, Self::Library, Self::Lane, Self::PortalRun, Self::Workflow, Self::Version];

    /// Its name in templates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstrumentRun => "instrument_run_id",
            Self::Library => "library_id",
            Self::Lane => "lane",
            Self::PortalRun => "portal_run_id",
            Self::Workflow => "workflow_name",
            Self::Version => "workflow_version",
        }
    }
}

/// A part of a template, behind its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// As it stands.
    Text(String),
    /// `*`: any text within a name.
    Any,
    /// `**/`: any number of names.
    Names,
    /// `**` at the end: at least one name.
    Rest,
    Field(Field),
    OneOf(Vec<String>),
}

impl Token {
    /// Whether what it stands for may end anywhere.
    fn is_open(&self) -> bool {
        match self {
            Self::Any | Self::Field(_) => true,
            Self::OneOf(texts) => texts.iter().any(String::is_empty),
            Self::Text(_) | Self::Names | Self::Rest => false,
        }
    }
}

/// What is known of the files that are looked for. Of a list that is there, one of its values must be in the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Their libraries, without what says that they were sequenced again.
    pub libraries: Option<BTreeSet<String>>,
    /// Their sequencing runs.
    pub instrument_runs: Option<BTreeSet<String>>,
    /// The runs of their workflows.
    pub portal_runs: Option<BTreeSet<String>>,
}

impl Known {
    fn of(&self, field: Field) -> Option<&BTreeSet<String>> {
        match field {
            Field::InstrumentRun => self.instrument_runs.as_ref(),
            Field::Library => self.libraries.as_ref(),
            Field::PortalRun => self.portal_runs.as_ref(),
            Field::Lane | Field::Workflow | Field::Version => None,
        }
    }
}

/// Where files of one kind lie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    text: String,
    bucket: String,
    tokens: Vec<Token>,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("the template `{}` {what}", text.escape_debug());
        let rest = text.strip_prefix("s3://").ok_or_else(|| wrong("must start with s3://"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['{', '}', '*']) {
            return Err(wrong("must name its bucket as it is"));
        }
        if key.is_empty() || key.ends_with('/') {
            return Err(wrong("must name files: after the bucket, and without `/` at the end"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("has a control character"));
        }
        let tokens = tokens(key).map_err(|what| wrong(&what))?;
        let template = Self { text: text.to_owned(), bucket: bucket.to_owned(), tokens };
        template.check().map_err(|what| wrong(&what))?;
        Ok(template)
    }

    fn check(&self) -> Result<(), String> {
        let pairs = self.tokens.iter().zip(self.tokens.iter().skip(1));
        if pairs.clone().any(|(first, second)| first.is_open() && second.is_open()) {
            let why = "must have a text between two fields, or a field and `*`: nobody could tell them apart";
            return Err(why.to_owned());
        }
        let needed: &[Field] = match self.data_type() {
            DataType::Fastq => &[Field::InstrumentRun, Field::Library],
            DataType::SecondaryAnalysis => &[Field::Workflow],
        };
        if let Some(lacking) = needed.iter().find(|field| !self.names(**field)) {
            let kind = match self.data_type() {
                DataType::Fastq => "reads, having no {portal_run_id}",
                DataType::SecondaryAnalysis => "analyses, having {portal_run_id}",
            };
            return Err(format!("is one of {kind}, and must have {{{}}}", lacking.name()));
        }
        // A file lies in its package by what follows the directory of its run.
        let run = Token::Field(Field::PortalRun);
        let ends = |token: Option<&Token>| {
            matches!(token, None | Some(Token::Names | Token::Rest))
                || matches!(token, Some(Token::Text(text)) if text.ends_with('/'))
        };
        let is_directory = |n: usize| {
            let before = n.checked_sub(1).and_then(|n| self.tokens.get(n));
            let behind = self.tokens.get(n + 1);
            ends(before) && matches!(behind, Some(Token::Text(text)) if text.starts_with('/'))
        };
        let mut runs = self.tokens.iter().enumerate().filter(|(_, token)| **token == run).peekable();
        if runs.peek().is_some() && !runs.any(|(n, _)| is_directory(n)) {
            return Err("must have {portal_run_id} as a directory of its own: `/{portal_run_id}/`".to_owned());
        }
        Ok(())
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What the files are: with a run of a workflow, what that has made; else reads.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        if self.names(Field::PortalRun) { DataType::SecondaryAnalysis } else { DataType::Fastq }
    }

    /// Whether it has that field.
    #[must_use]
    pub fn names(&self, field: Field) -> bool {
        self.tokens.contains(&Token::Field(field))
    }

    /// The beginnings of the keys of all files that could be meant, as long as they can be told, none of which is
    /// the beginning of another; at most so many.
    #[must_use]
    pub fn prefixes(&self, known: &Known, most: usize) -> Vec<String> {
        let mut begun: Vec<(String, Vec<(Field, String)>)> = vec![(String::new(), Vec::new())];
        for token in &self.tokens {
            let mut next = Vec::new();
            match token {
                Token::Text(text) => {
                    next = begun.iter().map(|(key, bound)| (format!("{key}{text}"), bound.clone())).collect();
                }
                Token::OneOf(texts) => {
                    for (key, bound) in &begun {
                        next.extend(texts.iter().map(|text| (format!("{key}{text}"), bound.clone())));
                    }
                }
                // Of analyses a library may be one of several, at any place among them.
                Token::Field(Field::Library) if self.data_type() == DataType::SecondaryAnalysis => break,
                Token::Field(field) => {
                    for (key, bound) in &begun {
                        if let Some((_, value)) = bound.iter().find(|(known, _)| known == field) {
                            next.push((format!("{key}{value}"), bound.clone()));
                            continue;
                        }
                        // No field has a value that is no name, or part of one.
                        let values = known.of(*field).into_iter().flatten();
                        for value in values.filter(|value| !value.is_empty() && !value.contains('/')) {
                            let bound = [bound.as_slice(), &[(*field, value.clone())]].concat();
                            next.push((format!("{key}{value}"), bound));
                            if next.len() > most {
                                break;
                            }
                        }
                    }
                    if known.of(*field).is_none() {
                        break;
                    }
                }
                Token::Any | Token::Names | Token::Rest => break,
            }
            if next.len() > most {
                break;
            }
            begun = next;
            // Behind it may come what says that it was sequenced again.
            if *token == Token::Field(Field::Library) {
                break;
            }
        }
        let sorted: BTreeSet<String> = begun.into_iter().map(|(key, _)| key).collect();
        let mut prefixes: Vec<String> = Vec::new();
        for prefix in sorted {
            if !prefixes.last().is_some_and(|last| prefix.starts_with(last)) {
                prefixes.push(prefix);
            }
        }
        prefixes
    }

    /// What a key tells of its file; `None` where it is none of these files.
    #[must_use]
    pub fn read(&self, key: &str, known: &Known) -> Option<Row> {
        let fields = reading::read(self, key, known)?;
        let text = |field: Field| fields.get(&field).map(|text| (*text).to_owned()).unwrap_or_default();
        let libraries = text(Field::Library);
        let is_read = self.data_type() == DataType::Fastq;
        let bare: Vec<&str> = if is_read {
            vec![lims::library_id(&libraries)]
        } else {
            libraries.split("__").map(lims::library_id).collect()
        };
        let lane = fields.get(&Field::Lane).and_then(|lane| lane.parse().ok());
        Some(Row {
            uri: format!("s3://{}/{key}", self.bucket),
            data_type: Some(self.data_type()),
            library_id: bare.join("__"),
            instrument_run_id: text(Field::InstrumentRun),
            lane: lane.or_else(|| lane_of(key).filter(|_| is_read)),
            portal_run_id: text(Field::PortalRun),
            workflow_name: text(Field::Workflow),
            workflow_version: text(Field::Version),
            ..Row::default()
        })
    }
}

/// The lane in the name of a file of reads: `_L001_`.
fn lane_of(key: &str) -> Option<u32> {
    let parts: Vec<&str> = key.rsplit('/').next()?.split('_').collect();
    let is_lane = |part: &&str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let inner = parts.get(1..parts.len().checked_sub(1)?)?;
    let lanes = inner.iter().rev().filter_map(|part| part.strip_prefix('L').filter(is_lane));
    lanes.filter_map(|lane| lane.parse().ok()).find(|lane| *lane > 0)
}

fn tokens(key: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut rest = key;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        let token = match letter {
            '*' if rest.starts_with('*') => {
                rest = rest.get(1..).unwrap_or_default();
                let begins = text.ends_with('/')
                    || text.is_empty() && tokens.last().is_none_or(|last| *last == Token::Names);
                match (begins, rest.strip_prefix('/')) {
                    (true, Some(behind)) => {
                        rest = behind;
                        Token::Names
                    }
                    (true, None) if rest.is_empty() => Token::Rest,
                    _ => return Err("must have `**` as a whole name: `/**/`, or `/**` at its end".to_owned()),
                }
            }
            '*' => Token::Any,
            '{' => {
                let Some((inner, behind)) = rest.split_once('}') else {
                    return Err("has a `{` without `}` (in an environment variable, write {a|b} for {a,b})"
                        .to_owned());
                };
                rest = behind;
                braced(inner)?
            }
            '}' => return Err("has a `}` without `{`".to_owned()),
            _ => {
                text.push(letter);
                continue;
            }
        };
        if !text.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut text)));
        }
        tokens.push(token);
    }
    if !text.is_empty() {
        tokens.push(Token::Text(text));
    }
    Ok(tokens)
}

/// What stands in braces: a field, or several texts.
fn braced(inner: &str) -> Result<Token, String> {
    if inner.contains([',', '|']) {
        if inner.contains(['/', '*', '{']) {
            return Err("must have plain texts within a name in {a,b}".to_owned());
        }
        return Ok(Token::OneOf(inner.split([',', '|']).map(str::to_owned).collect()));
    }
    let field = Field::ALL.into_iter().find(|field| field.name() == inner);
    let unknown = || {
        let names: Vec<_> = Field::ALL.map(Field::name).to_vec();
        let shown: String = inner.chars().take(60).flat_map(char::escape_debug).collect();
        format!("has the unknown field {{{shown}}}: there are {}", names.join(", "))
    };
    field.map(Token::Field).ok_or_else(unknown)
}

#[cfg(test)]
mod tests;
