//! Whether two objects are the same, as far as S3 can say without their bytes.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::ports::objects::ObjectInfo;

/// Whether the two are surely equal: empty, or of one size and with the same tag or a common checksum.
pub(crate) fn are_equal(a: &ObjectInfo, b: &ObjectInfo) -> bool {
    a.size == b.size && (a.size == 0 || tags_agree(a, b) || checksums_agree(a, b) == Some(true))
}

/// Whether the tags speak of the same content. Under KMS they say nothing.
fn tags_agree(a: &ObjectInfo, b: &ObjectInfo) -> bool {
    a.etag.is_some() && a.etag == b.etag && !a.opaque && !b.opaque
}

/// Whether the checksums that both have are the same; `None` where they have none in common. Those of
/// parts are compared only where there are as many: cut elsewhere, equal content has others.
pub(super) fn checksums_agree(a: &ObjectInfo, b: &ObjectInfo) -> Option<bool> {
    let parts = |sum: &str| sum.rsplit_once('-').map(|(_, parts)| parts.to_owned());
    let common = a.checksums.iter().filter_map(|(name, sum)| Some((sum, b.checksums.get(name)?)));
    let mut said = None;
    for (ours, theirs) in common {
        if ours == theirs {
            return Some(true);
        }
        // Different sums mean different contents only where the whole was summed up.
        if parts(ours).is_none() && parts(theirs).is_none() {
            said = Some(false);
        }
    }
    said
}

/// What contradicts the sums that a list gives for an object (`md5:…`, `sha256:…`, in hex or base64,
/// several with commas between); sums that S3 does not know are not compared.
pub(super) fn contradiction(source: &ObjectInfo, sums: &str) -> Option<String> {
    sums.split([',', ' ']).find_map(|sum| {
        let (name, wanted) = sum.trim().split_once(':')?;
        let name = name.to_ascii_uppercase().replace('-', "");
        let tag = source.etag.as_ref().filter(|_| !source.opaque);
        let known = match name.as_str() {
            "MD5" => tag.and_then(|etag| etag.md5()).map(str::to_owned),
            "ETAG" | "AWSETAG" => tag.map(ToString::to_string),
            _ => source.checksums.get(&name).filter(|sum| !sum.contains('-')).cloned(),
        }?;
        let same =
            known.eq_ignore_ascii_case(wanted) || bytes(&known).is_some_and(|is| bytes(wanted) == Some(is));
        (!same).then(|| format!("its {name} is {known}, and the list says {wanted}"))
    })
}

/// The bytes of a sum: hex where it can be hex.
fn bytes(sum: &str) -> Option<Vec<u8>> {
    hex::decode(sum).ok().or_else(|| BASE64_STANDARD.decode(sum).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file::ETag;

    fn object(size: u64, etag: &str, sums: &[(&str, &str)]) -> ObjectInfo {
        let checksums = sums.iter().map(|(name, sum)| ((*name).to_owned(), (*sum).to_owned())).collect();
        ObjectInfo { size, etag: Some(ETag::new(etag)), checksums, ..ObjectInfo::default() }
    }

    #[test]
    fn size_and_tag_or_checksum_make_equal() {
        let one = object(3, "a", &[("SHA256", "s")]);
        assert!(are_equal(&one, &object(3, "a", &[])));
        assert!(!are_equal(&one, &object(4, "a", &[])));
        assert!(!are_equal(&one, &object(3, "b", &[])));
        assert!(are_equal(&one, &object(3, "b", &[("SHA256", "s")])));
        assert!(!are_equal(&one, &object(3, "b", &[("SHA256", "t"), ("CRC32", "s")])));
        let opaque = ObjectInfo { opaque: true, ..object(3, "a", &[]) };
        assert!(!are_equal(&one, &opaque), "a tag under KMS says nothing");
        let bare = || ObjectInfo { size: 3, ..ObjectInfo::default() };
        assert!(!are_equal(&bare(), &bare()));
        assert!(are_equal(&object(0, "a", &[]), &object(0, "b-1", &[])), "nothing is always the same");
    }

    #[test]
    fn sums_of_parts_prove_sameness_only() {
        let one = object(3, "a", &[("SHA256", "s-2")]);
        assert_eq!(checksums_agree(&one, &object(3, "b", &[("SHA256", "s-2")])), Some(true));
        assert_eq!(checksums_agree(&one, &object(3, "b", &[("SHA256", "t-3")])), None);
        let whole = object(3, "a", &[("SHA256", "s")]);
        assert_eq!(checksums_agree(&whole, &object(3, "b", &[("SHA256", "t")])), Some(false));
    }

    #[test]
    fn sums_of_a_list_are_compared_with_what_is_known() {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let source = object(0, md5, &[("SHA256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")]);
        let hex = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for fine in ["", "md5:D41D8CD98F00B204E9800998ECF8427E", hex, "crc32:AAAA", "nonsense"] {
            assert_eq!(contradiction(&source, fine), None, "{fine}");
        }
        let wrong = contradiction(&source, &format!("{hex},md5:00000000000000000000000000000000")).unwrap();
        assert!(wrong.contains(md5), "{wrong}");
    }
}
