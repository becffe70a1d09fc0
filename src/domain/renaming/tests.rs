//! Names, matches and collisions.

use proptest::prelude::*;

use super::*;

fn source(folder: &str, name: &str) -> SourceRef {
    SourceRef {
        uri: format!("icav2://p{folder}{name}"),
        data_id: DataId::new(format!("fil.{folder}{name}")),
        destination_folder: DataPath::parse(&format!("/in{folder}")).unwrap(),
        name: name.to_owned(),
    }
}

fn by_uri(uri: &str, name: &str) -> RenameEntry {
    RenameEntry { source: RenameSource::Uri(uri.to_owned()), name: name.to_owned() }
}

fn by_id(id: &str, name: &str) -> RenameEntry {
    RenameEntry { source: RenameSource::DataId(id.to_owned()), name: name.to_owned() }
}

/// The new name of each file of a folder, in order.
fn names(entries: &[RenameEntry], sources: &[SourceRef]) -> Vec<String> {
    let renames = resolve(entries, sources).unwrap();
    let name = |source: &SourceRef| renames.name_of(&source.data_id).unwrap_or(&source.name).to_owned();
    sources.iter().map(name).collect()
}

/// What a refusal names, with the reasons.
fn refused(entries: &[RenameEntry], sources: &[SourceRef]) -> Vec<(String, String)> {
    let failure = resolve(entries, sources).unwrap_err();
    assert_eq!(failure.error, ErrorName::InvalidRequest);
    failure.culprits.into_iter().map(|culprit| (culprit.what, culprit.why)).collect()
}

#[test]
fn names_are_names_only() {
    for (name, error) in [
        ("", Some(NameError::Empty)),
        ("a/b", Some(NameError::Path)),
        ("/a", Some(NameError::Path)),
        (".", Some(NameError::Dots)),
        ("..", Some(NameError::Dots)),
        ("a\nb", Some(NameError::Control)),
        ("...", None),
        (".hidden", None),
        ("a b+ü?#%20.gz", None),
    ] {
        assert_eq!(check_name(name).err(), error, "{name}");
    }
    assert_eq!(check_name(&"x".repeat(255)), Ok(()));
    assert_eq!(check_name(&"ü".repeat(128)), Err(NameError::TooLong));
}

#[test]
fn entries_match_exactly_and_never_by_prefix() {
    let sources = [source("/", "a.vcf"), source("/", "a.vcf.gz"), source("/deep/", "a.vcf")];
    assert_eq!(names(&[by_uri("icav2://p/a.vcf", "b.vcf")], &sources), ["b.vcf", "a.vcf.gz", "a.vcf"]);
    assert_eq!(names(&[by_id("fil./deep/a.vcf", "b.vcf")], &sources), ["a.vcf", "a.vcf.gz", "b.vcf"]);
    for near in ["icav2://p/a.vc", "icav2://p/A.vcf", "icav2://p/deep/", "fil./a.vcf"] {
        let why = "is the exact name of no file that this request copies";
        assert_eq!(refused(&[by_uri(near, "b")], &sources), [(near.to_owned(), why.to_owned())]);
    }
}

#[test]
fn files_may_swap_their_names() {
    let sources = [source("/", "a"), source("/", "b")];
    let swap = [by_uri("icav2://p/a", "b"), by_id("fil./b", "a")];
    assert_eq!(names(&swap, &sources), ["b", "a"]);
}

#[test]
fn a_file_that_keeps_its_name_is_not_renamed() {
    let sources = [source("/", "a")];
    assert!(resolve(&[by_uri("icav2://p/a", "a")], &sources).unwrap().is_empty());
}

#[test]
fn one_name_in_one_folder_is_refused_for_both() {
    let sources = [source("/", "a"), source("/", "b"), source("/deep/", "c")];
    let why = "would be `c` in /in/, and so would another source".to_owned();
    let both = [("icav2://p/a".to_owned(), why.clone()), ("icav2://p/b".to_owned(), why)];
    assert_eq!(refused(&[by_uri("icav2://p/a", "c"), by_uri("icav2://p/b", "c")], &sources), both);
    assert_eq!(refused(&[by_uri("icav2://p/a", "b")], &sources).len(), 2);
    assert_eq!(refused(&[], &[source("/", "a"), source("/", "a")]).len(), 2);
}

#[test]
fn a_file_named_twice_or_copied_twice_is_refused() {
    let sources = [source("/", "a")];
    let twice = [by_uri("icav2://p/a", "b"), by_id("fil./a", "c")];
    let why = "is to be `c`, and another entry says `b`";
    assert_eq!(refused(&twice, &sources), [("fil./a".to_owned(), why.to_owned())]);

    let mut again = source("/", "a");
    again.destination_folder = DataPath::parse("/in/deep/").unwrap();
    let why = "is copied to more than one place by this request";
    let copied_twice = [source("/", "a"), again];
    assert_eq!(refused(&[by_id("fil./a", "b")], &copied_twice), [("fil./a".to_owned(), why.to_owned())]);
}

#[test]
fn a_new_name_must_fit_where_it_goes() {
    let mut buried = source("/deep/er/", "c");
    let why = "would be `deep` in /in/, where a folder of that name goes";
    let expected = [("icav2://p/a".to_owned(), why.to_owned())];
    let entries = [by_uri("icav2://p/a", "deep")];
    assert_eq!(refused(&entries, &[source("/", "a"), buried.clone()]), expected);
    assert_eq!(names(&[by_uri("icav2://p/a", "dee")], &[source("/", "a"), buried.clone()]), ["dee", "c"]);

    buried.destination_folder = DataPath::parse(&format!("/{}/", "d".repeat(1000))).unwrap();
    let entries = [by_uri(&buried.uri, &"n".repeat(30))];
    let why = refused(&entries, &[buried]).remove(0).1;
    assert!(why.contains("is longer than 1024 bytes"), "{why}");
}

#[test]
fn bad_names_are_all_told() {
    let entries = [by_uri("icav2://p/a", ""), by_uri("icav2://p/b", "c/d")];
    assert_eq!(refused(&entries, &[source("/", "a"), source("/", "b")]).len(), 2);
}

proptest! {
    #[test]
    fn what_resolves_gives_every_file_a_place_of_its_own(
        files in prop::collection::btree_set(("(/x|/y)?/", "[a-d]"), 1..8),
        wishes in prop::collection::vec(("(/x|/y)?/", "[a-e]", "[a-e]{1,2}", any::<bool>()), 0..6),
    ) {
        let sources: Vec<_> = files.iter().map(|(folder, name)| source(folder, name)).collect();
        let entries: Vec<_> = wishes
            .iter()
            .map(|(folder, name, wish, uri)| {
                let file = source(folder, name);
                if *uri { by_uri(&file.uri, wish) } else { by_id(file.data_id.as_str(), wish) }
            })
            .collect();
        let named: BTreeSet<_> = wishes.iter().map(|(folder, name, ..)| (folder, name)).collect();
        let matched = wishes.iter().all(|(folder, name, ..)| files.contains(&(folder.clone(), name.clone())));
        match resolve(&entries, &sources) {
            Ok(renames) => {
                prop_assert!(matched && named.len() == wishes.len());
                let mut places = BTreeSet::new();
                for source in &sources {
                    let wish = wishes.iter().find(|(folder, name, ..)| {
                        source.uri == format!("icav2://p{folder}{name}")
                    });
                    let name = renames.name_of(&source.data_id).unwrap_or(&source.name);
                    prop_assert_eq!(name, wish.map_or(source.name.as_str(), |(_, _, wish, _)| wish));
                    prop_assert!(places.insert((source.destination_folder.clone(), name.to_owned())));
                }
            }
            Err(failure) => {
                prop_assert_eq!(failure.error, ErrorName::InvalidRequest);
                prop_assert!(failure.culprits_total > 0);
            }
        }
    }

    #[test]
    fn any_turn_of_the_names_among_the_files_is_fine(count in 1_usize..12, turn in 0_usize..12) {
        let sources: Vec<_> = (0..count).map(|n| source("/", &format!("f{n}"))).collect();
        let entries: Vec<_> = (0..count)
            .map(|n| by_uri(&format!("icav2://p/f{n}"), &format!("f{}", (n + turn) % count)))
            .collect();
        let renames = resolve(&entries, &sources).unwrap();
        prop_assert_eq!(renames.len(), if turn % count == 0 { 0 } else { count });
        prop_assert_eq!(renames.iter().count(), renames.len());
    }

    #[test]
    fn a_checked_name_makes_a_path_of_one_more_name(name in "\\PC{0,20}|[./\n]{0,3}") {
        if check_name(&name).is_ok() {
            let path = DataPath::parse(&format!("/in/{name}")).unwrap();
            prop_assert_eq!(path.name(), name);
            let parent = path.parent();
            prop_assert_eq!(parent.as_str(), "/in/");
        }
    }
}
