//! What is asked about buckets, and new ones.

use s3s::{
    S3ErrorCode, S3Response, S3Result,
    dto::{
        Bucket as Listed, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput,
        GetBucketLocationOutput, HeadBucketOutput, ListBucketsOutput,
    },
};

use super::{say::refuse, shelves::Bucket};
use crate::simulator::{Simulator, wire};

fn region(simulator: &Simulator, bucket: &str) -> String {
    let region = simulator.with(|state| state.s3.plain.get(bucket).and_then(|known| known.region.clone()));
    region.unwrap_or_else(|| wire::REGION.to_owned())
}

pub(super) fn head(simulator: &Simulator, bucket: &str) -> S3Response<HeadBucketOutput> {
    let bucket_region = Some(region(simulator, bucket));
    S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() })
}

pub(super) fn location(simulator: &Simulator, bucket: &str) -> S3Response<GetBucketLocationOutput> {
    // The oldest region has no name here.
    let region = Some(region(simulator, bucket)).filter(|region| region != "us-east-1");
    S3Response::new(GetBucketLocationOutput {
        location_constraint: region.map(BucketLocationConstraint::from),
    })
}

pub(super) fn list(simulator: &Simulator) -> S3Response<ListBucketsOutput> {
    let mut names: Vec<String> = simulator.with(|state| state.s3.plain.keys().cloned().collect());
    names.sort();
    let buckets = names.into_iter().map(|name| Listed { name: Some(name), ..Listed::default() }).collect();
    S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() })
}

/// Makes a bucket, that any key opens.
pub(super) fn create(
    simulator: &Simulator,
    input: CreateBucketInput,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let region = input.create_bucket_configuration.and_then(|asked| asked.location_constraint);
    let region = region.map(|region| region.as_str().to_owned());
    let location = Some(format!("/{}", input.bucket));
    simulator.with(|state| {
        if state.has_bucket(&input.bucket) {
            let why = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(refuse(S3ErrorCode::BucketAlreadyOwnedByYou, why));
        }
        let mut bucket = Bucket::default();
        (bucket.region, bucket.public) = (region, false);
        state.s3.plain.insert(input.bucket, bucket);
        Ok(())
    })?;
    Ok(S3Response::new(CreateBucketOutput { location }))
}
