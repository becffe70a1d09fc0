//! Receipts against what is there.

use super::*;
use crate::{domain::file::ETag, papers::delivery::receipt::Compared};

fn line(path: &str, content: &[u8]) -> Line {
    Line {
        path: path.to_owned(),
        size: content.len() as u64,
        sum: Line::sum_of(Some(&hex::encode(Md5::digest(content))), None),
        also: Vec::new(),
        etag: None,
        compared: Compared::Tag,
        at: "2026-11-30T09:00:00Z".parse().unwrap(),
    }
}

async fn told(
    folder: &Path,
    lines: &[Line],
    sha256: Option<String>,
) -> (anyhow::Result<Checked>, Vec<String>) {
    let receipt = folder.join("receipt.jsonl");
    let mut text = String::new();
    for line in lines {
        line.push_to(&mut text).unwrap();
    }
    fs::write(&receipt, text).unwrap();
    let options = DeliveryOptions {
        config: None,
        receipt: receipt.display().to_string(),
        place: folder.display().to_string(),
        sha256,
    };
    let mut told = Vec::new();
    let checked = check_delivery(options, |path, why| {
        told.push(format!("{path} {why}"));
        Ok(())
    });
    (checked.await, told)
}

#[tokio::test]
async fn one_byte_that_has_changed_is_found_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path();
    fs::create_dir(there.join("d")).unwrap();
    for (name, content) in [("d/a", "abc"), ("d/b", "abd"), ("c", "abcd")] {
        fs::write(there.join(name), content).unwrap();
    }
    let bare = Line { sum: None, ..line("d/b", b"abc") };
    let lines = [line("d/a", b"abc"), line("d/b", b"abc"), line("c", b"abc"), line("e", b""), bare];
    let (checked, said) = told(there, &lines, None).await;
    let expected = Checked { by_sum: 1, by_size: 1, missing: 1, different: 2, by_tag: 0 };
    assert_eq!(checked.unwrap(), expected);
    assert_eq!(
        said[0],
        "d/b has the md5 4911e516e5aa21d327512e0c8b197616, not 900150983cd24fb0d6963f7d28e17f72"
    );
    assert_eq!(said[1..], ["c has 4 bytes, not 3", "e is not there"]);
}

#[tokio::test]
async fn a_receipt_leads_nowhere_else_and_is_the_one_that_was_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret"), "abc").unwrap();
    let absolute = folder.path().join("secret").display().to_string();
    let lines = [line("../secret", b"abc"), line(&absolute, b"abc")];
    let (checked, said) = told(&inside, &lines, None).await;
    assert_eq!(checked.unwrap().wrong(), 2, "{said:?}");
    assert!(said.iter().all(|why| why.contains("its path in the package has the name")), "{said:?}");
    let (checked, _) = told(&inside, &[line("x", b"")], Some("00".to_owned())).await;
    assert!(checked.unwrap_err().to_string().starts_with("the receipt is another one"));
    let (checked, _) = told(&inside, &[], None).await;
    assert!(checked.unwrap_err().to_string().contains("has no line"));
    fs::write(inside.join("receipt.jsonl"), "{}\n").unwrap();
    let options = DeliveryOptions {
        receipt: inside.join("receipt.jsonl").display().to_string(),
        place: inside.display().to_string(),
        ..DeliveryOptions::default()
    };
    let why = check_delivery(options, |_, _| Ok(())).await.unwrap_err().to_string();
    assert!(why.starts_with("line 1 of "), "{why}");
}

#[test]
fn an_object_is_compared_by_the_strongest_that_is_known() {
    let md5 = hex::encode(Md5::digest(b"abc"));
    let of = |etag: &str, opaque: bool| ObjectInfo {
        size: 3,
        etag: Some(ETag::new(etag)),
        opaque,
        ..ObjectInfo::default()
    };
    let tagged = Line { etag: Some("tag-2".to_owned()), sum: None, ..line("a", b"abc") };
    assert_eq!(in_bucket(&line("a", b"abc"), &of(&md5, false)), Found::BySum);
    assert!(matches!(in_bucket(&line("a", b"abd"), &of(&md5, false)), Found::Different(_)));
    assert_eq!(in_bucket(&line("a", b"abd"), &of(&md5, true)), Found::BySize, "under KMS a tag says nothing");
    assert_eq!(in_bucket(&tagged, &of("tag-2", false)), Found::ByTag);
    assert_eq!(in_bucket(&tagged, &of("tag-3", false)), Found::BySize, "cut otherwise it has another");
    let sha256 = Line::sum_of(None, Some(&hex::encode(Sha256::digest(b"abc"))));
    let summed = Line { sum: sha256, ..line("a", b"abc") };
    let mut there = of("tag-2", false);
    there.checksums.insert("SHA256".to_owned(), BASE64_STANDARD.encode(Sha256::digest(b"abc")));
    assert_eq!(in_bucket(&summed, &there), Found::BySum);
    there.checksums.insert("SHA256".to_owned(), BASE64_STANDARD.encode(Sha256::digest(b"abd")));
    assert!(matches!(in_bucket(&summed, &there), Found::Different(_)));
    // S3 keeps no SHA-256 of most objects, but has a tag that is an MD5.
    let both = Line { also: vec![format!("md5:{md5}")], ..summed.clone() };
    assert_eq!(in_bucket(&both, &of(&md5, false)), Found::BySum);
    assert!(matches!(in_bucket(&both, &of(&hex::encode(Md5::digest(b"abd")), false)), Found::Different(_)));
    assert_eq!(in_bucket(&summed, &of(&md5, false)), Found::BySize);
    there.size = 4;
    assert_eq!(in_bucket(&summed, &there), Found::Different("has 4 bytes, not 3".to_owned()));
}
