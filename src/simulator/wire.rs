//! How the platform writes its objects, with every field its schemas require.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    copies::{Batch, Item},
    jobs::Job,
    parts::KMS,
    seen::Seen,
    tree::{Project, Tree},
    world::Encryption,
};

pub(super) const USER_ID: &str = "a9938581-7bf5-45d2-b461-282f34794dd1";
/// The user whose uploads `POST /sim/others` begins.
pub(super) const OTHER_USER_ID: &str = "5d0b4f5e-93a5-4c39-9d0e-8a1f7a1f5c11";
pub(super) const REGION: &str = "ap-southeast-2";
const TENANT_ID: &str = "1555b441-c3be-40b0-a8f0-fb9dc7500545";
pub(super) const TENANT: &str = "simulated";
pub(super) const REGION_ID: &str = "c39b1feb-3e94-4440-805e-45e0c76462bf";
const COUNTRY_ID: &str = "5e1b7d06-8ad4-4a3b-9c5e-6a0f2f0d7a11";
const BUNDLE_ID: &str = "0b7f9a2c-6f1d-4f0e-8c1a-2d3e4f5a6b7c";
const CREDENTIAL_ID: &str = "7d2c1b0a-9e8f-4d6c-b5a4-3f2e1d0c9b8a";
const ALWAYS: &str = "2024-01-01T00:00:00Z";

/// The id of a tenant.
pub(super) fn tenant_id(name: &str) -> String {
    if name == TENANT { TENANT_ID.to_owned() } else { uuid_of(&["tenant", name]) }
}

/// Adds a field to an object.
pub(super) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

/// Whole seconds, as the API writes them.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// What every older object of the API has, and `more`.
fn object(id: &str, more: Value) -> Value {
    let mut object = json!({
        "id": id,
        "timeCreated": ALWAYS,
        "timeModified": ALWAYS,
        "ownerId": USER_ID,
        "tenantId": TENANT_ID,
        "tenantName": TENANT,
    });
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

/// The only region.
pub(super) fn region() -> Value {
    let country = object(COUNTRY_ID, json!({"code": "AU", "name": "Australia", "region": "Oceania"}));
    object(REGION_ID, json!({"code": "AU", "country": country, "cityName": "Sydney"}))
}

fn user() -> Value {
    object(
        USER_ID,
        json!({
            "username": "service@example.org",
            "email": "service@example.org",
            "firstname": "Simulated",
            "lastname": "Service",
            "active": true,
            "tenantAdministrator": false,
            "emailVerified": true,
            "twoFactorAuthentication": false,
        }),
    )
}

/// A project.
pub(super) fn project(project: &Project) -> Value {
    let bundle = json!({"bundleName": "Standard", "entitlementName": "standard", "region": region()});
    let mut json = object(
        &project.id,
        json!({
            "urn": format!("urn:ilmn:ica:project:{}#{}", project.id, project.name),
            "name": project.name,
            "active": true,
            "baseEnabled": false,
            "region": region(),
            "billingMode": "PROJECT",
            "dataSharingEnabled": true,
            "tags": {"technicalTags": [], "userTags": []},
            "storageBundle": object(BUNDLE_ID, bundle),
            "analysisPriority": "MEDIUM",
            "projectOwner": USER_ID,
        }),
    );
    put(&mut json, "tenantId", tenant_id(&project.tenant));
    put(&mut json, "tenantName", project.tenant.clone());
    if project.byob.is_some() {
        put(&mut json, "selfManagedStorageConfiguration", storage_configuration(project));
    }
    json
}

/// What a project's storage configuration says: bucket and key prefix.
pub(super) fn configured(project: &Project) -> (String, String) {
    let prefix = project.byob.as_ref().map_or(&project.home.prefix, |byob| &byob.prefix);
    (project.home.bucket.clone(), prefix.clone())
}

/// The storage configuration of a project with its own bucket.
pub(super) fn storage_configuration(project: &Project) -> Value {
    let (bucket, prefix) = configured(project);
    // One bucket and prefix is one configuration, however many projects use it.
    let id = uuid_of(&[&bucket, &prefix]);
    object(
        &id,
        json!({
            "name": format!("{bucket}-{}", prefix.trim_end_matches('/')),
            "type": "AWS_S3",
            "status": "OK",
            "region": region(),
            "isDefault": false,
        }),
    )
}

/// The same with where it leads.
pub(super) fn storage_configuration_with_details(project: &Project) -> Value {
    let (bucket, prefix) = configured(project);
    let mut aws = json!({"bucketName": bucket});
    if !prefix.is_empty() {
        put(&mut aws, "keyPrefix", prefix);
    }
    if project.encryption == Encryption::Kms {
        put(&mut aws, "serverSideEncryptionAlgorithm", KMS);
    }
    let credential = object(CREDENTIAL_ID, json!({"name": "simulated", "type": "AWS_USER"}));
    let mut json = storage_configuration(project);
    put(&mut json, "storageConfigurationDetails", json!({"awsS3": aws, "storageCredential": credential}));
    json
}

fn uuid_of(parts: &[&str]) -> String {
    let digest = crate::domain::ids::digest(parts);
    let bytes = hex::decode(digest).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A job of a batch, with what is told as its status.
pub(super) fn job(tree: &Tree, job: &Job, told: &HashMap<String, String>) -> Value {
    let status = told.get(job.status.as_str()).map_or(job.status.as_str(), String::as_str);
    let times = [Some(job.created), job.started, job.finished];
    let (subject_type, subject) = &job.subject;
    let mut json = bare_job(&job.id, status, (subject_type, subject), times);
    put(&mut json, "additionalStatusInformation", json!(job.reason));
    if let Some(of) = tree.project(job.project) {
        put(&mut json, "project", project(of));
    }
    json
}

/// A job without what it belongs to; `times` are when it was made, started and finished.
pub(super) fn bare_job(
    id: &str,
    status: &str,
    (subject_type, subject): (&str, &str),
    [created, started, finished]: [Option<Timestamp>; 3],
) -> Value {
    json!({
        "id": id,
        "status": status,
        "subjectType": subject_type,
        "subjectId": subject,
        "timeCreated": created.map(time),
        "timeStarted": started.map(time),
        "timeFinished": finished.map(time),
        "additionalStatusInformation": null,
        "owner": user(),
    })
}

/// A batch.
pub(super) fn batch(tree: &Tree, batch: &Batch, told: &HashMap<String, String>) -> Value {
    let asked = &batch.asked;
    let mut json = json!({
        "id": batch.id,
        "job": job(tree, &batch.job, told),
        "copyUserTags": asked.user_tags,
        "copyTechnicalTags": asked.technical_tags,
        "copyInstrumentInfo": asked.instrument_info,
        "actionOnExist": asked.on_exist,
    });
    if let Some(folder) = &asked.folder_id {
        put(&mut json, "destinationFolderId", folder.clone());
    }
    json
}

/// An item of a batch; `created` is what it made, if that is still there.
pub(super) fn item(item: &Item, created: Option<&Seen>) -> Value {
    let mut json = json!({
        "id": item.id,
        "request": {"dataId": item.data},
        "processing": {"status": item.status, "additionalStatusInformation": item.reason},
    });
    if let Some(created) = created {
        put(&mut json, "createdProjectData", json!(created.project_data()));
    }
    json
}
