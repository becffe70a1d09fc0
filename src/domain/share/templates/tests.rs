//! Templates, and keys that are read by them.

use proptest::prelude::*;

use super::*;

const READS: &str = "s3://primary/{instrument_run_id}/**/{library_id}_*.fastq.{gz,ora}";
const ANALYSES: &str = "s3://analysis/**/{workflow_name}/{portal_run_id}/**";
const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[test]
fn reads_and_analyses_are_told_by_their_keys() {
    let reads = template(READS);
    let name = "L2400001_S1_L002_R1_001.fastq.gz";
    for key in [format!("{RUN}/{name}"), format!("{RUN}/a/b/{name}")] {
        let row = reads.read(&key, &Known::default()).unwrap();
        assert_eq!((row.library_id.as_str(), row.instrument_run_id.as_str()), ("L2400001", RUN));
        assert_eq!((row.lane, row.data_type), (Some(2), Some(DataType::Fastq)));
        assert_eq!(row.uri, format!("s3://primary/{key}"));
    }
    for key in [name.to_owned(), format!("{RUN}/L1_S1_L001_R1_001.fastq.bz2"), format!("{RUN}/x/L1.fastq.gz")]
    {
        assert_eq!(reads.read(&key, &Known::default()), None, "{key}");
    }
    let row =
        template(ANALYSES).read("v1/2024/wts/20241025aaaa0001/x/logs/y.txt", &Known::default()).unwrap();
    assert_eq!((row.workflow_name.as_str(), row.portal_run_id.as_str()), ("wts", "20241025aaaa0001"));
    assert_eq!((row.data_type, row.lane), (Some(DataType::SecondaryAnalysis), None));
    assert_eq!(
        template(ANALYSES).read("wts/20241025aaaa0001/", &Known::default()),
        None,
        "a folder is no file"
    );
}

#[test]
fn what_is_known_decides_where_several_readings_are_possible() {
    let reads = template("s3://primary/{instrument_run_id}/{library_id}_*.fastq.gz");
    let known = Known { libraries: Some(set(&["PRJ_1", "PRJ_1_A"])), ..Known::default() };
    let key = "run/PRJ_1_A_S1_L001_R1_001.fastq.gz";
    assert_eq!(reads.read(key, &known).unwrap().library_id, "PRJ_1_A");
    assert_eq!(reads.read(key, &Known::default()).unwrap().library_id, "PRJ");
    let others = Known { libraries: Some(set(&["L2"])), ..Known::default() };
    assert_eq!(reads.read(key, &others), None);
    let row = reads.read("run/L2_topup2_S1_L001_R1_001.fastq.gz", &others).unwrap();
    assert_eq!(row.library_id, "L2", "what was sequenced again is the same library");
    let joined = template("s3://a/{workflow_name}/{portal_run_id}/{library_id}/**");
    let row = joined.read("wts/20240101a/L1__L2/x.bam", &others).unwrap();
    assert_eq!(row.library_id, "L1__L2");
    assert_eq!(joined.read("wts/20240101a/L1__L22/x.bam", &others), None);
}

#[test]
fn a_field_that_stands_twice_has_one_value() {
    let twice = template("s3://b/{library_id}/{instrument_run_id}/{library_id}_*.gz");
    assert_eq!(twice.read("L1/run/L1_x.gz", &Known::default()).unwrap().library_id, "L1");
    assert_eq!(twice.read("L1/run/L2_x.gz", &Known::default()), None);
}

#[test]
fn a_lane_is_read_from_the_template_or_from_the_name() {
    let row = |text: &str, key: &str| template(text).read(key, &Known::default());
    let lanes = "s3://b/{instrument_run_id}/lane{lane}/{library_id}.gz";
    assert_eq!(row(lanes, "run/lane3/L1.gz").unwrap().lane, Some(3));
    assert_eq!(row(lanes, "run/lanex/L1.gz"), None);
    let plain = "s3://b/{instrument_run_id}/{library_id}_*";
    for (name, lane) in [
        ("MDX_L2300223_S7_L002_R1_001.gz", Some(2)),
        ("L1_S7_L012_R1.gz", Some(12)),
        ("L1_R1.gz", None),
        ("L1_S1_L002", None),
        ("L1_L000_x", None),
        ("L1_L1234_x", None),
    ] {
        assert_eq!(row(plain, &format!("run_L003_x/{name}")).unwrap().lane, lane, "{name}");
    }
}

#[test]
fn what_is_known_makes_the_prefixes_long() {
    let known = Known {
        libraries: Some(set(&["L1", "L10", "L2"])),
        instrument_runs: Some(set(&["A", "B", "no/run", ""])),
        portal_runs: Some(set(&["20240101a"])),
    };
    assert_eq!(template(READS).prefixes(&known, 100), ["A/", "B/"]);
    let long = template("s3://b/{v1,v2}/{instrument_run_id}/{library_id}_S*.gz");
    let prefixes = long.prefixes(&known, 100);
    assert_eq!(
        prefixes,
        ["v1/A/L1", "v1/A/L2", "v1/B/L1", "v1/B/L2", "v2/A/L1", "v2/A/L2", "v2/B/L1", "v2/B/L2"]
    );
    assert_eq!(long.prefixes(&known, 8), ["v1/A/", "v1/B/", "v2/A/", "v2/B/"], "rather fewer and shorter");
    assert_eq!(template("s3://b/x/{portal_run_id}/{workflow_name}/**").prefixes(&known, 9), ["x/20240101a/"]);
    assert_eq!(template(ANALYSES).prefixes(&known, 9), [""]);
    let nothing = Known { instrument_runs: Some(set(&[])), ..Known::default() };
    assert_eq!(template(READS).prefixes(&nothing, 9), [""; 0], "of no run at all there is nothing");
}

#[test]
fn what_is_wrong_with_a_template_is_said() {
    for (text, why) in [
        ("primary/{library_id}", "s3://"),
        ("s3://{library_id}/x", "bucket"),
        ("s3:///x", "bucket"),
        ("s3://b", "must name files"),
        ("s3://b/x/", "must name files"),
        ("s3://b/{library_id", "`{` without `}`"),
        ("s3://b/library_id}", "`}` without `{`"),
        ("s3://b/{library}/x", "unknown field {library}: there are instrument_run_id, library_id"),
        ("s3://b/{library_id}*", "between"),
        ("s3://b/{library_id}{lane}", "between"),
        ("s3://b/{library_id}{,_x}*", "between"),
        ("s3://b/***", "whole name"),
        ("s3://b/x**/y", "whole name"),
        ("s3://b/**y", "whole name"),
        ("s3://b/{a/b,c}", "plain texts"),
        ("s3://b/{instrument_run_id}/*.gz", "must have {library_id}"),
        ("s3://b/{library_id}/*.gz", "must have {instrument_run_id}"),
        ("s3://b/{portal_run_id}/**", "must have {workflow_name}"),
        ("s3://b/{workflow_name}/x{portal_run_id}/**", "directory of its own"),
        ("s3://b/{workflow_name}/{portal_run_id}", "directory of its own"),
        ("s3://b/\n{library_id}", "control character"),
    ] {
        let said = Template::parse(text).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn hostile_keys_cost_little() {
    let text = format!("s3://b/{{instrument_run_id}}/{{library_id}}_{}z", "*a".repeat(12));
    let key = format!("r/l_{}", "a".repeat(1000));
    assert_eq!(template(&text).read(&key, &Known::default()), None);
    let twice = format!("s3://b/{{library_id}}a{{instrument_run_id}}a{{library_id}}a{}z", "*a".repeat(4));
    assert_eq!(template(&twice).read(&"a".repeat(60), &Known::default()), None);
}

/// Parts of a template, and of a key that it renders.
fn part() -> impl Strategy<Value = (String, String)> {
    let texts = ("[-.=]", "[a-z]{1,3}")
        .prop_map(|(first, text)| (format!("{first}{text}"), format!("{first}{text}")));
    let any = "[a-z0-9]{0,4}".prop_map(|value| ("*".to_owned(), value));
    let one_of =
        prop_oneof![Just("gz"), Just("ora")].prop_map(|chosen| ("{gz,ora}".to_owned(), chosen.to_owned()));
    (texts.clone(), prop_oneof![any, one_of], texts)
        .prop_map(|(first, middle, last)| (first.0 + &middle.0 + &last.0, first.1 + &middle.1 + &last.1))
}

proptest! {
    #[test]
    fn what_a_template_renders_it_reads_back(
        values in ("[A-Z0-9]{1,8}", "[A-Z0-9]{1,8}", 1u32..900),
        parts in prop::collection::vec(part(), 2..4),
        deep in prop::collection::vec("[a-z]{1,4}", 0..3),
        others in prop::collection::btree_set("[A-Z0-9]{1,8}", 0..4),
    ) {
        let (run, library, lane) = values;
        let mut text = "s3://b/{instrument_run_id}/**/".to_owned();
        let mut key = [vec![run.clone()], deep, vec![String::new()]].concat().join("/");
        for (pattern, rendered) in &parts {
            text += pattern;
            key += rendered;
        }
        text += ".{library_id}.{lane}/x";
        key.push_str(&[".", &library, ".", &lane.to_string(), "/x"].concat());
        let template = Template::parse(&text).unwrap();
        let known = Known {
            libraries: Some(others.iter().cloned().chain([library.clone()]).collect()),
            instrument_runs: Some(others.iter().cloned().chain([run.clone()]).collect()),
            portal_runs: None,
        };
        for known in [&Known::default(), &known] {
            let row = template.read(&key, known).unwrap();
            prop_assert_eq!((&row.instrument_run_id, &row.library_id, row.lane), (&run, &library, Some(lane)));
            let prefixes = template.prefixes(known, 100);
            prop_assert!(prefixes.iter().any(|prefix| key.starts_with(prefix)), "{:?}", prefixes);
        }
        let without = Known { libraries: Some(others.difference(&[library].into()).cloned().collect()), ..Known::default() };
        prop_assert!(template.read(&key, &without).is_none());
    }

    #[test]
    fn any_text_is_a_template_or_refused_in_words(text in "\\PC{0,40}", key in "\\PC{0,40}") {
        for text in [text.clone(), format!("s3://b/{{library_id}}/{{instrument_run_id}}/{text}")] {
            match Template::parse(&text) {
                Ok(template) => drop(template.read(&key, &Known::default())),
                Err(said) => prop_assert!(said.starts_with("the template `")),
            }
        }
    }
}
