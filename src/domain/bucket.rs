//! Names that buckets can have.
//!
//! S3 gives out strict names today. Buckets made in its first region before March 2018 may have capital
//! letters, underscores and up to 255 characters, and are still there; so may be the alias of an access
//! point, which stands wherever a bucket's name does. What fits neither is a mistake, and no answer of S3
//! has to say so: ARNs, to begin with, which the AWS CLI takes in the place of a bucket.

/// Why a text is not the name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBucket {
    /// An access point, or something else that AWS has a long name for.
    #[error("it is an ARN: name the bucket, or the alias of the access point")]
    Arn,
    /// Too short or too long.
    #[error("a bucket's name has 3 to 255 characters")]
    Length,
    /// Something else than a bucket's name can hold.
    #[error("a bucket's name holds only letters, digits, `.`, `-` and `_`")]
    Characters,
    /// A dot, a dash or an underscore at an end.
    #[error("a bucket's name begins and ends with a letter or a digit")]
    Ends,
    /// Two dots one after the other.
    #[error("a bucket's name does not hold `..`")]
    Dots,
    /// Four numbers.
    #[error("a bucket's name does not look like an IP address")]
    Address,
}

/// The longest name that S3 gives out today.
const LONGEST: usize = 63;
/// The longest that it ever gave out.
const LONGEST_EVER: usize = 255;

/// Whether there can be a bucket, or an alias, of that name.
pub fn check(name: &str) -> Result<(), NoBucket> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:")) {
        Err(NoBucket::Arn)
    } else if !bytes.iter().copied().all(plain) {
        Err(NoBucket::Characters)
    } else if !(3..=LONGEST_EVER).contains(&bytes.len()) {
        Err(NoBucket::Length)
    } else if !is_end(bytes.first()) || !is_end(bytes.last()) {
        Err(NoBucket::Ends)
    } else if name.contains("..") {
        Err(NoBucket::Dots)
    } else if is_address(name) {
        Err(NoBucket::Address)
    } else {
        Ok(())
    }
}

/// Whether only a bucket from the early days of S3 can have that name.
#[must_use]
pub fn is_old(name: &str) -> bool {
    name.len() > LONGEST || name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn is_address(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>().is_ok()
        || name.split('.').count() == 4 && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_cannot_be_one() {
        for good in [
            "abc",
            "outside-data",
            "my.bucket.example",
            "My_Bucket",
            "point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
            &"a".repeat(255),
            "1.2.3",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("arn:aws:s3:us-east-1:111122223333:accesspoint", NoBucket::Arn),
            ("ARN:aws-cn:s3:::bucket", NoBucket::Arn),
            ("my bucket", NoBucket::Characters),
            ("bücket", NoBucket::Characters),
            ("bucket:80", NoBucket::Characters),
            ("user@bucket", NoBucket::Characters),
            ("bucket?x", NoBucket::Characters),
            ("ab", NoBucket::Length),
            ("", NoBucket::Length),
            ("-bucket", NoBucket::Ends),
            ("bucket.", NoBucket::Ends),
            ("my..bucket", NoBucket::Dots),
            ("192.168.5.4", NoBucket::Address),
            ("999.168.5.4", NoBucket::Address),
        ] {
            assert_eq!(check(bad), Err(why), "{bad}");
        }
        assert_eq!(check(&"a".repeat(256)), Err(NoBucket::Length));
        assert!(
            is_old("My-bucket") && is_old("my_bucket") && is_old(&"a".repeat(64)) && !is_old("my.bucket")
        );
    }
}
