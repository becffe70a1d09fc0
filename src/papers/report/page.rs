//! The page around the tables: its head, what decides, and the contents that stay in view.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::{
    GONE_PATHS, Head, Previous, Summary,
    facts::{Facts, Sum},
    tables::Section,
    text::{count, grouped, human, shown},
};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = concat!(include_str!("data.js"), include_str!("report.js"));

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The `Content-Security-Policy` that a report carries: its one style, its one script, and no request to anywhere.
/// A server that hands reports out sends it too.
#[must_use]
pub fn policy() -> &'static str {
    &POLICY
}

/// Everything up to the data.
pub(super) fn begin(head: &Head) -> String {
    let name = shown(&head.name);
    let head_element = html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy());
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="referrer" content="no-referrer";
            meta name="color-scheme" content="light dark";
            title { (name) }
            style { (PreEscaped(STYLE)) }
        }
    };
    let top = html! {
        a.skip href="#summary" { "Skip to the summary" }
        header {
            p.kind { "Data package" }
            h1 { (name) }
            p.facts {
                span { "Package ID: " code { (shown(&head.id)) } }
                " "
                span { "Date: " time datetime=(head.date) { (head.date.strftime("%Y-%m-%d %H:%M UTC")) } }
            }
        }
    };
    format!("{}<html lang=\"en\">{}<body>{}\n", DOCTYPE.0, head_element.0, top.0)
}

/// Everything after the data.
pub(super) fn end(head: &Head, facts: &Facts, summary: &Summary, sections: &[Section]) -> String {
    let inner = html! {
        div.frame {
            nav aria-label="Contents" {
                p { "Contents" }
                ol {
                    li { a href="#summary" { "Summary" } }
                    @for section in sections {
                        li { a href={ "#" (section.key) } { (section.title) } " " span.quiet { (grouped(section.total)) } }
                    }
                }
            }
            main data-previous[summary.previous.is_some()] {
                section #summary aria-labelledby="summary-title" tabindex="-1" {
                    h2 #summary-title { "Summary" }
                    (figures(facts))
                    (remarks(facts, summary))
                    (projects(facts))
                }
                @for section in sections {
                    section #(section.key) aria-labelledby={ (section.key) "-title" } tabindex="-1" {
                        h2 id={ (section.key) "-title" } { (section.title) }
                        (section.body)
                    }
                }
            }
        }
        footer { p { "Copy Manager made this report of " (shown(&head.id)) ". It asks nothing of any network." } }
        script { (PreEscaped(SCRIPT)) }
    };
    format!("{}</body></html>\n", inner.into_string())
}

fn figures(facts: &Facts) -> Markup {
    let (files, bytes) =
        (facts.fastq.files + facts.secondary.files, facts.fastq.bytes + facts.secondary.bytes);
    let projects = facts.projects.keys().filter(|name| !name.is_empty()).count() as u64;
    let figure = |name: &str, value: &str, note: &str| {
        html! { div { dt { (name) } dd { strong { (value) } span { (note) } } } }
    };
    html! {
        dl.figures {
            (figure("Files", &grouped(files), &format!("{} fastq, {} secondary", grouped(facts.fastq.files), grouped(facts.secondary.files))))
            (figure("Size", &human(bytes), &format!("{} bytes", grouped(bytes))))
            (figure("Libraries", &grouped(facts.libraries.len() as u64), &count(facts.runs.len() as u64, "secondary analysis", "secondary analyses")))
            (figure("Projects", &grouped(projects), &names(facts)))
            (figure("Archived", &grouped(facts.archived.files), &if facts.archived.files == 0 { "all can be read at once".to_owned() } else { human(facts.archived.bytes) }))
        }
    }
}

/// The first names of the projects.
fn names(facts: &Facts) -> String {
    const MOST: usize = 3;
    let mut names: Vec<_> =
        facts.projects.keys().filter(|name| !name.is_empty()).map(|name| shown(name)).collect();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    if more > 0 {
        format!("{} and {}", names.join(", "), count(more as u64, "more", "more"))
    } else {
        names.join(", ")
    }
}

fn remarks(facts: &Facts, summary: &Summary) -> Markup {
    let classes = |of: (&&'static str, &Sum)| format!("{} {}", grouped(of.1.files), of.0);
    html! {
        ul.remarks {
            @if facts.archived.files > 0 {
                li.archived {
                    strong { (count(facts.archived.files, "file is archived", "files are archived")) }
                    " (" (human(facts.archived.bytes)) ") and must be restored before "
                    (if facts.archived.files == 1 { "it" } else { "they" }) " can be read: "
                    (facts.classes.iter().map(classes).collect::<Vec<_>>().join(", ")) "."
                }
            } @else {
                li { "Nothing needs to be restored: every file can be read at once." }
            }
            @if facts.restored.files > 0 {
                li {
                    strong { (count(facts.restored.files, "file was restored", "files were restored")) }
                    " (" (human(facts.restored.bytes)) ") from an archive, and can be read for some days."
                }
            }
            @if facts.lost > 0 {
                li.lost {
                    strong { (count(facts.lost, "file is of a library that was not found", "files are of libraries that were not found")) }
                    ": nothing says which project may have " (if facts.lost == 1 { "it" } else { "them" }) "."
                }
            }
            @match &summary.previous {
                None => li { "No earlier package of this name is kept." },
                Some(previous) => (difference(previous)),
            }
        }
    }
}

fn difference(previous: &Previous) -> Markup {
    let named = previous.gone_paths.len().min(GONE_PATHS);
    let more = previous.gone.saturating_sub(named as u64);
    html! {
        li {
            @if previous.left_out.is_some() {
                "Only what is new since " code { (shown(&previous.id)) } " is in this package: "
            } @else {
                "Since " code { (shown(&previous.id)) } ", the last package of this name: "
            }
            @if previous.new + previous.changed + previous.gone == 0 {
                strong { "nothing has changed" } "."
            } @else {
                strong { (grouped(previous.new)) " new, " (grouped(previous.changed)) " changed, " (grouped(previous.gone)) " gone" } "."
            }
            @if let Some(left_out) = previous.left_out {
                " " (count(left_out, "file is as it was there", "files are as they were there")) " and left out."
            }
            @if named > 0 {
                details {
                    summary { "Files that are gone" }
                    ul.gone { @for path in previous.gone_paths.iter().take(GONE_PATHS) { li { (shown(path)) } } }
                    @if more > 0 { p { "and " (grouped(more)) " more" } }
                }
            }
        }
    }
}

/// What each project has in the package.
fn projects(facts: &Facts) -> Markup {
    let all = facts.projects.iter().filter(|(name, share)| !name.is_empty() || share.files.files > 0);
    html! {
        @if !facts.projects.is_empty() {
            div.scroll role="region" tabindex="0" aria-label="What is in the data package, by project" {
                table {
                    caption { "What is in the data package, by project; what belongs to several is counted under each" }
                    thead { tr {
                        th scope="col" { "Project ID" }
                        @for name in ["Libraries", "Files", "File Size", "Archived"] { th.number scope="col" { (name) } }
                    } }
                    tbody {
                        @for (name, share) in all {
                            tr class=[name.is_empty().then_some("lost")] {
                                th scope="row" { @if name.is_empty() { "no project known" } @else { (shown(name)) } }
                                td.number { (grouped(share.libraries)) }
                                td.number { (grouped(share.files.files)) }
                                td.number { (human(share.files.bytes)) }
                                td.number { (grouped(share.archived.files)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
