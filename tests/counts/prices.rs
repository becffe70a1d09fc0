//! What AWS asks, and what the model of `docs/cost.md` assumes: all figures of it that were not counted. Change them
//! here, and write the document anew with `UPDATE_DOCS=1`.

/// Where a price is from.
const SELF: &str = "from memory; not looked up";

/// A price of AWS's list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Price {
    pub(crate) of: &'static str,
    /// Dollars for so many.
    pub(crate) dollars: f64,
    pub(crate) many: f64,
    pub(crate) unit: &'static str,
    /// Where it was read, and of when that is.
    pub(crate) from: &'static str,
}

impl Price {
    const fn new(of: &'static str, dollars: f64, many: f64, unit: &'static str, from: &'static str) -> Self {
        Self { of, dollars, many, unit, from }
    }

    pub(crate) fn times(&self, count: f64) -> f64 {
        self.dollars / self.many * count
    }
}

const MILLION: f64 = 1e6;
const GIB: f64 = 1_073_741_824.0;
const HOUR: f64 = 3600.0;

const DYNAMO: &str =
    "airbyte.com, \"Amazon DynamoDB Pricing\", 21 July 2025 (after the halving of November 2024)";
const FARGATE: &str = "notes of a public repository on AWS's price list, read there on 23 September 2026; x86 also cloudburn.io, 1 April 2026";
const LAMBDA: &str = "several public repositories, undated";
const SIMPLE: &str = "dev.to copy of \"AWS S3 Pricing for Beginners\", undated";
const WATCH: &str = "fortem.dev, \"AWS Fargate Pricing: Real Costs\", 2026";

pub(crate) const WRITE_UNIT: Price =
    Price::new("DynamoDB on demand, writing", 0.625, MILLION, "million write units", DYNAMO);
pub(crate) const READ_UNIT: Price =
    Price::new("DynamoDB on demand, reading", 0.125, MILLION, "million read units", DYNAMO);
pub(crate) const STORED: Price =
    Price::new("DynamoDB, storage with point-in-time recovery", 0.45, GIB, "GB and month", SELF);
pub(crate) const QUEUE: Price =
    Price::new("SQS standard", 0.40, MILLION, "million requests of 64 KB", LAMBDA);
pub(crate) const EVENT: Price = Price::new(
    "EventBridge, custom events",
    1.00,
    MILLION,
    "million events of 64 KB",
    "cloudburn.io, \"Amazon EventBridge Pricing\", 13 March 2026",
);
pub(crate) const TRANSITION: Price = Price::new(
    "Step Functions, standard",
    25.0,
    MILLION,
    "million state transitions",
    "a stored copy of aws.amazon.com/step-functions/pricing, undated; the same in Sydney",
);
pub(crate) const INVOCATION: Price = Price::new("Lambda, requests", 0.20, MILLION, "million", LAMBDA);
pub(crate) const LAMBDA_SECOND: Price =
    Price::new("Lambda, arm64", 0.000_013_333_4, 1.0, "GB-second", LAMBDA);
pub(crate) const ARM_CPU: Price =
    Price::new("Fargate arm64, processor", 0.032_38, HOUR, "vCPU-hour", FARGATE);
pub(crate) const ARM_MEMORY: Price = Price::new("Fargate arm64, memory", 0.003_56, HOUR, "GB-hour", FARGATE);
pub(crate) const X86_CPU: Price = Price::new("Fargate x86, processor", 0.040_48, HOUR, "vCPU-hour", FARGATE);
pub(crate) const X86_MEMORY: Price = Price::new("Fargate x86, memory", 0.004_445, HOUR, "GB-hour", FARGATE);
pub(crate) const S3_WRITE: Price =
    Price::new("S3 standard, PUT, COPY, POST, LIST", 5.0, MILLION, "million requests", SIMPLE);
pub(crate) const S3_READ: Price =
    Price::new("S3 standard, GET, HEAD and others", 0.40, MILLION, "million requests", SIMPLE);
pub(crate) const LOG: Price = Price::new("CloudWatch Logs, ingestion", 0.50, GIB, "GB", WATCH);
pub(crate) const METRIC: Price =
    Price::new("CloudWatch, custom metrics", 0.30, 1.0, "metric and month", LAMBDA);
pub(crate) const SECRET: Price = Price::new(
    "Secrets Manager",
    0.40,
    1.0,
    "secret and month",
    "hivebook.wiki on Secrets Manager, undated; a call is $0.05 for 10,000, lucasamos.dev, undated",
);
pub(crate) const ADDRESS: Price = Price::new("a public IPv4 address", 0.005, 1.0, "hour", SELF);

/// All of them, as the document shows them.
pub(crate) const ALL: [Price; 18] = [
    WRITE_UNIT,
    READ_UNIT,
    STORED,
    QUEUE,
    EVENT,
    TRANSITION,
    INVOCATION,
    LAMBDA_SECOND,
    ARM_CPU,
    ARM_MEMORY,
    X86_CPU,
    X86_MEMORY,
    S3_WRITE,
    S3_READ,
    LOG,
    METRIC,
    SECRET,
    ADDRESS,
];

/// What Fargate Spot asks of the full price (fortem.dev, 2026: 68 % off).
pub(crate) const SPOT: f64 = 0.32;

pub(crate) const HOURS_A_MONTH: f64 = 730.0;

/// The tasks as `deploy/service.yaml` makes them by default.
pub(crate) const TASKS: f64 = 2.0;
pub(crate) const TASK_CPU: f64 = 0.25;
pub(crate) const TASK_MEMORY: f64 = 0.5;

/// The least that Fargate can be, on arm64: a quarter of a core and half a GB, billed for a minute.
pub(crate) const LEAST_CPU: f64 = 0.25;
pub(crate) const LEAST_MEMORY: f64 = 0.5;
pub(crate) const LEAST_SECONDS: f64 = 60.0;

/// Calls that an instance makes to look at its two queues and their dead letters, every 30 s (`src/app/depths.rs`), and
/// receives of the second queue beside the one whose receives are counted where there are no jobs.
pub(crate) const LOOKS_AT_QUEUES_AN_HOUR: f64 = 4.0 * 120.0;

/// How long a lambda of the replaced systems is billed for a call to ICAv2: 50 ms of the platform and 3 of its own, as
/// calls take beside the simulated platform. No cold start is counted, and no processor.
pub(crate) const API_CALL: f64 = 0.053;
/// The same for a lambda that calls no platform but AWS or a database's API.
pub(crate) const SHORT_LAMBDA: f64 = 0.2;
/// A lambda that brings a table of a replica up to date: a login, a query, two looks five seconds apart, a download.
pub(crate) const SYNC_LAMBDA: f64 = 12.0;
/// Waits of a state machine for a job or a push of ours.
pub(crate) const LOOKS: f64 = 2.0;
