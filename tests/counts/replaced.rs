//! What the replaced systems use for the same work, counted in their definitions: states entered, lambdas invoked, tasks run.
//!
//! Where something is not known it is taken in their favour: no cold starts, no failed jobs, no retries, no logs, no
//! storage, no heartbeats but for requests that wait.

use crate::prices::{API_CALL, LEAST_SECONDS, LOOKS, SHORT_LAMBDA, SYNC_LAMBDA};

/// What is used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) transitions: f64,
    pub(crate) invocations: f64,
    pub(crate) lambda_gb_seconds: f64,
    pub(crate) vcpu_seconds: f64,
    pub(crate) fargate_gb_seconds: f64,
    pub(crate) write_units: f64,
    pub(crate) read_units: f64,
    pub(crate) events: f64,
    pub(crate) queue_requests: f64,
    /// Beside those that the copy itself takes.
    pub(crate) s3_reads: f64,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            transitions: self.transitions + other.transitions,
            invocations: self.invocations + other.invocations,
            lambda_gb_seconds: self.lambda_gb_seconds + other.lambda_gb_seconds,
            vcpu_seconds: self.vcpu_seconds + other.vcpu_seconds,
            fargate_gb_seconds: self.fargate_gb_seconds + other.fargate_gb_seconds,
            write_units: self.write_units + other.write_units,
            read_units: self.read_units + other.read_units,
            events: self.events + other.events,
            queue_requests: self.queue_requests + other.queue_requests,
            s3_reads: self.s3_reads + other.s3_reads,
        }
    }
}

/// A tree, as the machine that copies folders sees it.
pub(crate) struct Tree {
    /// Folders, that of the source included; each has an execution of its own, and so has the request.
    pub(crate) folders: f64,
    /// Folders with files of several parts: one job each.
    pub(crate) jobs: f64,
    pub(crate) in_parts: f64,
    /// Files of one part below 8 MiB: a lambda each.
    pub(crate) small: f64,
    /// Files of one part of 8 MiB and more: a task of 2 vCPU and 16 GB each.
    pub(crate) large: f64,
}

/// `handle_copy_jobs_sfn_template.asl.json`, `save_job_and_internal_task_token_sfn_template.asl.json` and
/// `send_internal_task_token_sfn_template.asl.json`. Calls to ICAv2 are those that were counted when its own code ran
/// beside the simulated platform: 8 a file in parts, 13 a small one, some 10 an execution.
pub(crate) fn tree(of: &Tree) -> Used {
    let executions = of.folders + 1.0;
    let single = of.small + of.large;
    let files = of.in_parts + single;
    let calls = 8.0 * of.in_parts + 13.0 * of.small + 8.0 * of.large + 10.0 * executions;
    Used {
        // 16 states of an execution, one more with a job; 2 a folder found; 4 a file in one part; 1 to validate each
        // file; 3 to remember a job's token and 8 to release it.
        transitions: 16.0 * executions + 12.0 * of.jobs + 2.0 * of.folders + 4.0 * single + files,
        invocations: 2.0 * executions + of.folders + of.jobs + 2.0 * of.small + of.large + files,
        lambda_gb_seconds: 2.0 * API_CALL * calls,
        vcpu_seconds: 2.0 * LEAST_SECONDS * of.large,
        fargate_gb_seconds: 16.0 * LEAST_SECONDS * of.large,
        write_units: 2.0 * of.jobs,
        read_units: 0.5 * of.jobs,
        events: 1.0 + of.folders + of.jobs,
        queue_requests: 3.0 * of.jobs,
        ..Used::default()
    }
}

/// A minute of a request of one file that waits for its job: `send_heartbeat_external_sfn_template.asl.json` and
/// `send_heartbeat_internal_sfn_template.asl.json`, every three minutes.
pub(crate) fn waiting() -> Used {
    Used {
        transitions: (2.0 + 1.0 / 50.0 + 4.0) / 3.0,
        invocations: 1.0 / 3.0,
        lambda_gb_seconds: 2.0 * API_CALL / 3.0,
        read_units: 0.125 / 3.0,
        ..Used::default()
    }
}

/// `copy_files_batch_sfn.asl.json` and `copy_files_sfn.asl.json`.
pub(crate) fn manifest(files: f64, destinations: f64) -> Used {
    Used {
        transitions: 4.0 + destinations * (1.0 + 1.0 + 3.0 * LOOKS + 1.0),
        invocations: 1.0 + destinations * (1.0 + LOOKS),
        lambda_gb_seconds: API_CALL * (2.0 * files + destinations * (1.0 + LOOKS)),
        ..Used::default()
    }
}

/// The copier of S3 to S3 in its second form (`steps-s3-copy-construct.ts`): a lambda looks at each object; small ones
/// are copied by lambdas, 128 at a time, and larger ones by a task of a quarter of a core each.
pub(crate) fn list(small: f64, large: f64) -> Used {
    let (objects, batches) = (small + large, (small / 128.0).ceil());
    Used {
        transitions: 12.0 + objects + batches + 2.0 * large,
        invocations: 4.0 + objects + batches,
        lambda_gb_seconds: 0.125 * SHORT_LAMBDA * (objects + small) + (8.0 + 4.0) * SHORT_LAMBDA,
        vcpu_seconds: 0.25 * LEAST_SECONDS * large,
        fargate_gb_seconds: 0.5 * LEAST_SECONDS * large,
        s3_reads: objects,
        ..Used::default()
    }
}

/// `packaging_sfn_template.asl.json`, for pairs of files of one library; the report is a task of 8 vCPU and 16 GB.
pub(crate) fn package(files: f64) -> Used {
    let pairs = files / 2.0;
    let lambdas = 6.0 + pairs + files;
    Used {
        transitions: 27.0 + 5.0 * pairs + 3.0 * files,
        invocations: lambdas,
        lambda_gb_seconds: 0.125 * SHORT_LAMBDA * lambdas,
        vcpu_seconds: 8.0 * LEAST_SECONDS,
        fargate_gb_seconds: 16.0 * LEAST_SECONDS,
        write_units: 2.0 * (1.0 + pairs + files),
        read_units: files / 4.0,
        ..Used::default()
    }
}

/// `push_sfn_template.asl.json` and `push_s3_data_sfn_template.asl.json`, and the copier of S3 to S3, for which FASTQs are large.
pub(crate) fn push(files: f64) -> Used {
    let own = Used {
        transitions: 12.0,
        invocations: 5.0,
        lambda_gb_seconds: 0.125 * SHORT_LAMBDA * 5.0,
        ..Used::default()
    };
    own + list(0.0, files)
}

/// `auto_controller`, `auto_package` and `auto_push`, each `…_sfn_template.asl.json`, and what they start.
pub(crate) fn auto(files: f64) -> Used {
    let own = Used {
        transitions: 1.0 + 3.0 + (3.0 + 3.0 * LOOKS) + (7.0 + 3.0 * LOOKS),
        invocations: 1.0 + (2.0 + LOOKS) + (5.0 + LOOKS),
        lambda_gb_seconds: 0.125 * SHORT_LAMBDA * (8.0 + 2.0 * LOOKS),
        events: 1.0,
        ..Used::default()
    };
    own + package(files) + push(files)
}

/// The state machine of `canvas-data-2-aws`, `template.yaml`: a lambda of 2 GB for each table.
pub(crate) fn replica(tables: f64) -> Used {
    Used {
        transitions: 4.0 + 3.0 * tables,
        invocations: 1.0 + tables,
        lambda_gb_seconds: 2.0 * SYNC_LAMBDA * tables + 0.25 * SHORT_LAMBDA,
        ..Used::default()
    }
}
