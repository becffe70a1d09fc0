//! The documents say what the code says, and point at what is there.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{fs, path::Path};

use copy_manager::domain::outcome::ErrorName;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The targets of `[text](target)` in a Markdown text, without addresses and places within a page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://"))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty())
}

#[test]
fn every_error_has_a_section_and_every_section_an_error() {
    let text = read("docs/errors.md");
    let sections: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, ErrorName::ALL.map(ErrorName::as_str));
}

#[test]
fn the_page_of_errors_gives_the_advice_that_callers_get() {
    let text = read("docs/errors.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for name in ErrorName::ALL {
        assert!(text.contains(name.advice()), "{name}: {}", name.advice());
    }
}

#[test]
fn links_lead_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    for page in pages.chain(["README.md", "CHANGELOG.md", "deploy/README.md"].map(|page| root().join(page))) {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

/// The place of a heading in its page, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || " _-".contains(*sign));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_alarm_leads_to_its_paragraph_and_watches_what_is_sent() {
    let runbook = read("docs/runbook.md");
    let headings = runbook.lines().filter(|line| line.starts_with("##"));
    let places: Vec<_> = headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let metrics = read("docs/metrics.md");
    // Those that scale are in the one, those that ask for a person in the other.
    let templates = ["deploy/service.yaml", "deploy/alarms.yaml"].map(read);
    let resources = templates.map(|template| template.split_once("\nResources:\n").unwrap().1.to_owned());
    let resources = resources.join("\n\n");
    let alarms = resources.split("\n\n").filter(|part| part.contains("    Type: AWS::CloudWatch::Alarm\n"));
    let mut count = 0;
    for alarm in alarms {
        let (_, place) =
            alarm.split_once("${RunbookUrl}#").unwrap_or_else(|| panic!("no paragraph: {alarm}"));
        let place = place.split('"').next().unwrap();
        assert!(places.iter().any(|known| known == place), "docs/runbook.md has no #{place}");
        count += 1;
    }
    assert!(count > 10, "{count}");
    for name in resources.split("copy_manager_").skip(1) {
        let name: String =
            name.chars().take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_').collect();
        let row = metrics.lines().find(|line| line.starts_with(&format!("| `copy_manager_{name}` ")));
        assert!(
            row.is_some_and(|row| row.contains("| yes |")),
            "copy_manager_{name} does not go to CloudWatch"
        );
    }
}

/// `aws cloudformation deploy` takes no larger template without a bucket to put it in (51,200 bytes, by its
/// quotas), which no emulator says.
#[test]
fn every_template_can_be_deployed_from_a_file() {
    let files = fs::read_dir(root().join("deploy")).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")) {
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= 51_200, "{}: {bytes} bytes", path.display());
        count += 1;
    }
    assert!(count > 4, "{count}");
}

/// The texts of a test binary's or a module's file, and of the files below it.
fn sources(place: &[&str]) -> String {
    let path = match place {
        ["unit", inner @ ..] => format!("src/{}", inner.join("/")),
        _ => format!("tests/{}", place.join("/")),
    };
    let below = fs::read_dir(root().join(&path)).into_iter().flatten();
    let files = below.map(|entry| entry.unwrap().path()).chain([root().join(format!("{path}.rs"))]);
    files.filter_map(|file| fs::read_to_string(file).ok()).collect()
}

#[test]
fn whatever_is_said_to_be_shown_is_tested() {
    let page = read("docs/acceptance.md");
    let quoted = page.split('`').skip(1).step_by(2).filter(|name| name.matches("::").count() > 1);
    let mut count = 0;
    for name in quoted {
        let mut place: Vec<_> = name.split("::").collect();
        let test = place.pop().unwrap();
        assert!(sources(&place).contains(&format!("fn {test}(")), "there is no {name}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}
