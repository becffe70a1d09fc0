//! Packages of files that are found where they lie.

use copy_manager::{domain::share::templates::Template, inventory::listing::Listing};
use pretty_assertions::assert_eq;

use super::*;

/// Files of one library: more than a page of a listing.
const MANY: u32 = 1100;
const OTHER_RUN: &str = "241101_A00130_0337_AHW7MVDSXC";

fn name(library: &str, n: u32) -> String {
    format!("{library}_S1_L00{}_R1_{n:04}.fastq.gz", n % 4 + 1)
}

/// A house whose buckets hold reads of several libraries and runs, and two analyses; nothing says which.
async fn listed(more: &[&str]) -> House {
    let reads = |run: &str, library: &str, many: u32| {
        let (run, library) = (run.to_owned(), library.to_owned());
        (0..many).map(move |n| format!("{run}/Samples/Lane_{}/{}", n % 4 + 1, name(&library, n)))
    };
    let mut primary: Vec<String> = reads(RUN, "L2400001", MANY).collect();
    primary.extend(reads(RUN, "L2400002_topup2", MANY));
    // None of these is asked for.
    primary.extend(reads(RUN, "L2400003", 3).chain(reads(RUN, "L24000010", 3)));
    primary.extend(reads(OTHER_RUN, "L2400001", 3));
    primary.push(format!("{RUN}/Samples/Lane_1/{}.md5", name("L2400001", 0)));
    primary.extend(more.iter().map(|&key| key.to_owned()));
    let analyses =
        ["a.bam", "deep/er/b.vcf.gz", "logs/inner.log"].map(|key| format!("v1/sash/{TUMOUR}/{key}"));
    let mut analyses: Vec<String> = analyses.to_vec();
    analyses.push(format!("v1/sash/{OLDER}/a.bam"));
    let objects = |keys: Vec<String>| -> Vec<Value> {
        keys.into_iter().enumerate().map(|(n, key)| json!({ "key": key, "size": 100 + n })).collect()
    };
    let buckets = json!([{ "name": "primary", "objects": objects(primary) },
        { "name": "analysis", "objects": objects(analyses) }, { "name": "tables" }]);
    let mut house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let objects: Arc<dyn ObjectStore> = house.objects.clone();
    let templates = [
        "s3://primary/{instrument_run_id}/**/{library_id}_*.fastq.{gz,ora}",
        "s3://analysis/v1/{workflow_name}/{portal_run_id}/**",
    ];
    let templates = templates.map(|text| Template::parse(text).unwrap()).to_vec();
    house.sharing = Some(Sharing {
        inventory: Arc::new(Listing::new(objects.clone(), templates)),
        metadata: Arc::new(Lims::new(objects.clone(), None)),
        copies: None,
        artifacts: Arc::new(InBucket::below(objects, "s3://tables/share/").unwrap()),
        jobs: None,
        notices: None,
    });
    house
}

#[tokio::test(start_paused = true)]
async fn files_are_found_where_templates_say_that_they_lie() {
    let house = listed(&[]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let reads = json!({ "libraryIdList": ["L2400001", "L2400002_topup2"], "instrumentRunIdList": [RUN],
        "dataTypeList": ["fastq"] });
    let package = made(&desk, reads).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    let mut expected = BTreeSet::new();
    for n in 0..MANY {
        for (library, called) in [("L2400001", "L2400001"), ("L2400002", "L2400002_topup2")] {
            expected.insert(format!("fastq/{RUN}/Lane_{}/{library}/{}", n % 4 + 1, name(called, n)));
        }
    }
    let found = paths(&desk, &package).await;
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
    let file = desk.files(&RequestId::new(package.id.as_str()), 0, 1).await.unwrap().1.remove(0);
    assert_eq!((file.library_id.as_str(), file.instrument_run_id.as_str()), ("L2400001", RUN));

    let both_runs = json!({ "libraryIdList": ["L2400003", "L24000010"], "dataTypeList": ["fastq"] });
    assert_eq!(paths(&desk, &made(&desk, both_runs).await).await.len(), 6, "of whichever run");

    let analyses = json!({ "portalRunIdList": [TUMOUR], "dataTypeList": ["fastq", "secondaryAnalysis"] });
    let below = format!("secondary-analysis/sash/{TUMOUR}");
    let expected = ["a.bam", "deep/er/b.vcf.gz", "logs/inner.log"].map(|key| format!("{below}/{key}"));
    assert_eq!(paths(&desk, &made(&desk, analyses).await).await, expected.into());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_found_by_listing_is_said() {
    let nameless = format!("{RUN}/L2400003_R1.fastq.gz");
    let house = listed(&[&nameless]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let of = |library: &str, kind: &str| json!({ "libraryIdList": [library], "dataTypeList": [kind] });
    let package = made(&desk, of("L2400003", "fastq")).await;
    assert_eq!(package.status, JobStatus::Failed);
    let why = package.error_message.unwrap();
    assert!(why.contains(&format!("s3://primary/{nameless}: its lane is not known")), "{why}");

    let package = made(&desk, of("L7", "fastq")).await;
    let why = package.error_message.unwrap();
    assert!(why.contains("L7: no such library is known"), "{why}");

    let package = made(&desk, of("L2400001", "secondaryAnalysis")).await;
    let why = package.error_message.unwrap();
    assert!(why.contains("portalRunIdList") && why.contains("share.templates"), "{why}");
}
