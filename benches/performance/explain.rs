//! What stands in the report beside the figures.

use crate::figures::Row;

/// What is drawn of a section.
pub(crate) enum Plot {
    /// The rows of a unit as bars, beside their peers, with a mark at their bounds.
    Bars {
        title: &'static str,
        unit: &'static str,
        takes: fn(&Row) -> bool,
    },
    /// All curves.
    Curves {
        title: &'static str,
        axes: (&'static str, &'static str),
    },
    Nothing,
}

/// A section of the report.
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    /// Whether rows without an aim are told in the notes of the row they belong to.
    pub(crate) folds: bool,
    pub(crate) plot: Plot,
}

/// Who is compared with.
pub(crate) const INTRODUCTION: &str = "\
Every figure is of real processes on one machine: `copy-manager simulate` is ICAv2 and S3, and `copy-manager serve` in embedded mode does the work, \
Nothing leaves the machine, so a time is what this program and its pace add to the latency that the simulator is told to have. \
A *bound* is the least that anybody could need; an *aim* is what we hold ourselves to. \
The *reference* is OrcaBus/service-icav2-data-copy-manager, newest public state; its figures come from its own code, run against the same simulator on 29 November 2026, \
without the start of its lambdas and without what Step Functions adds, and are not measured again here.";

pub(crate) const REPEAT: &str = "\
`make bench` measures all of it and writes this page; it takes some twenty minutes and wants a machine that does nothing else. `cargo bench --bench performance -- --only s3,calls` measures some sections, \
`FULL=1` the largest sizes, `ROOTS=8000` more waiting requests, and `SCALE=0.1` sees in a few minutes whether everything still runs. \
`make bench-compare A=old.json B=new.json` sets two runs side by side. Raw figures are in `target/performance.json`.";

pub(crate) const SECTIONS: [About; 9] = [
    About {
        name: "makespan",
        title: "Makespan of a tree",
        text: "\
One request for a tree of multi-part files, 50 in each folder; each API call takes 50 ms and 200 a second are allowed. The bound makes each folder one job, which is made again, whole and at once, until it succeeds; \
attempts are geometric, 20 jobs run at a time, and the mean of 10,000 draws is taken. It knows no listing and no waiting: the batch window of 2 s, in which files of a folder are gathered before the first job, \
is part of the makespan and not of the bound. A bound is a mean, and a run may have more luck with its jobs, or less: the number of jobs beside the expected one says which. Three runs are made at a time, since each mostly waits.",
        folds: true,
        plot: Plot::Bars { title: "Makespan, and its bound", unit: "s", takes: |_| true },
    },
    About {
        name: "reaction",
        title: "Reaction",
        text: "\
Requests of one file each, four a second, each into a project of its own; jobs take 2 s and each API call 50 ms. The bench stands between simulator and daemon: it notes when the event of a job's end comes in, passes it on, and notes when the answer to the task token is posted to it. \
A submission is dated back from the job's first event, which comes after a tenth of its time.",
        folds: false,
        plot: Plot::Curves { title: "Share of the requests that had been served by then", axes: ("ms", "%") },
    },
    About {
        name: "calls",
        title: "API calls",
        text: "\
World (a): 200 files in 12 folders, 176 of several parts and 24 of one, with `Samples/`, which holds only folders, and an empty one. World (b): one folder of 1,000 files, every tenth of one part. Jobs take 10 s, calls 50 ms; settings are as delivered, without job events. \
With `folders = \"whole\"` and `single_part = \"job\"` the simulated platform has no tag defect, as the reference requires. A request whose job fails is lost by the reference: its second job skips what the first has left, its validation refuses that, and nobody is answered.",
        folds: false,
        plot: Plot::Bars { title: "API calls", unit: "calls a file", takes: |_| true },
    },
    About {
        name: "waiting",
        title: "Requests that wait",
        text: "\
Requests of one multi-part file each, with a destination folder and a task token each, whose jobs run for ten hours. They come through `POST /v1/events`, and up to 2,000 API calls a second are allowed, so that they are soon submitted. \
Then processor and API calls are counted for 30 s. The aim of memory is 50,000 requests in 200 MiB; that of calls is one page of 1,000 statuses every two seconds.",
        folds: false,
        plot: Plot::Curves {
            title: "Resident memory while requests come, are submitted, and wait",
            axes: ("s", "MiB"),
        },
    },
    About {
        name: "large",
        title: "Large requests",
        text: "\
The most resident memory of a daemon over what it had when it was idle: for one folder of very many multi-part files (jobs of 10 s), for one request of very many folders (jobs of 2 s, 20 at a time), and for a list of objects that are all there already.",
        folds: true,
        plot: Plot::Curves { title: "Resident memory over idle", axes: ("s", "MiB") },
    },
    About {
        name: "streams",
        title: "Streams",
        text: "\
Single-part files pass through the daemon, 16 at a time. A plain copy is one HTTP client whose GET is the body of its PUT, and `curl | curl` is what the reference does, as many files at a time as the daemon. All read and write presigned URLs of the same simulator, which makes and hashes every byte on the same cores and so bounds all three. \
Of the daemon the time counts from the first byte to the last: what comes before and after is in the other sections. It may make 1,000 API calls a second: each file is a call, and at the usual 20 a second 16 small files take almost a second, whatever moves the bytes.",
        folds: false,
        plot: Plot::Bars { title: "Streamed", unit: "MiB/s", takes: |_| true },
    },
    About {
        name: "s3",
        title: "Copies between buckets",
        text: "\
From one simulated bucket to another, on the side of S3; `rclone copy` and `s5cmd cp` with 256 calls at a time, as ours. A large object is copied in its own parts by ours, so that its tag is kept; the others copy it with fewer calls and lose the tag. \
In the last comparison one CopyObject or UploadPartCopy of n bytes takes n/(85 MB/s) besides, since AWS advises one request at a time for each 85–90 MB/s that are wanted (\"Best practices design patterns: optimizing Amazon S3 performance\"). That figure is for transfers over the network; AWS names none for copies within S3.",
        folds: true,
        plot: Plot::Bars {
            title: "Copies between buckets, median",
            unit: "s",
            takes: |row| row.name.contains(": time"),
        },
    },
    About {
        name: "replica",
        title: "A replica of Canvas Data 2",
        text: "\
A table of a million rows in ten files is loaded, and then a fifth of it changed (a tenth of that deleted), into a PostgreSQL 18 on the same cores: by `copy-manager canvas … --once`, by Instructure's own client, and by bare SQL (COPY from memory and the key; COPY into a temporary table, DELETE and INSERT … ON CONFLICT), in turns, each in a database of its own; all three must hold the same rows in the end. \
The platform is served from memory by the bench and has no limits of calls. Then a hundred small tables are asked for in which nothing has changed.",
        folds: false,
        plot: Plot::Bars {
            title: "Loading and syncing, beside bare SQL (the mark) and the official client",
            unit: "s",
            takes: |_| true,
        },
    },
    About {
        name: "counts",
        title: "Counted in virtual time",
        text: "\
Not measured but counted, by `tests/counts`, in virtual time and in one process, with the store in memory: the calls and bytes of which bills are made. The first are compared with a baseline by every test run (`make bench-quick`), which fails when one has grown by a twentieth. \
Instances: one request of 128 folders whose files take a second each to stream, sixteen at a time on an instance. Fleets: requests of one file that come 25 a second, forty into each folder, one job in twenty failing; that the cost of a request does not grow with their number is asserted.",
        folds: false,
        plot: Plot::Nothing,
    },
];
