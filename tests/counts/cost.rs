//! The price of what was counted: writes `docs/cost.md` with `UPDATE_DOCS=1`, and holds it to the baseline otherwise.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use crate::{
    Counts,
    bills::{self, named},
    meter::{EVENTS, INDEX, KEPT, LOGGED, POLLS, QUEUE, READS, S3_READS, S3_WRITES, WALK, WRITES},
    place, prices,
    replaced::{self, Tree, Used},
};

/// What of the replaced price ours may be.
const AIM: f64 = 0.1;

/// A kind of work, done once.
struct Work {
    /// How it is named in the baseline.
    counted: &'static str,
    files: f64,
    used: Used,
    /// Whether a task for each file is another way to do it.
    can_be_tasks: bool,
}

fn works() -> Vec<Work> {
    let tree = |folders, jobs, in_parts, small, large| {
        replaced::tree(&Tree { folders, jobs, in_parts, small, large })
    };
    let work = |counted, files, used| Work { counted, files, used, can_be_tasks: counted != bills::PACKAGE };
    vec![
        work(bills::TREE, 200.0, tree(15.0, 12.0, 176.0, 24.0, 0.0)),
        work(bills::FOLDERS, 1000.0, tree(21.0, 20.0, 1000.0, 0.0, 0.0)),
        work(bills::STREAMS, 100.0, tree(11.0, 0.0, 0.0, 0.0, 100.0)),
        work(bills::MANIFEST, 1000.0, replaced::manifest(1000.0, 10.0)),
        work(bills::SMALL, 1000.0, replaced::list(1000.0, 0.0)),
        work(bills::LARGE, 10.0, replaced::list(0.0, 10.0)),
        work(bills::PACKAGE, 1000.0, replaced::package(1000.0)),
        work(bills::PUSH, 1000.0, replaced::push(1000.0)),
        work(bills::AUTO, 1000.0, replaced::auto(1000.0)),
        work(bills::REPLICA, 100.0, replaced::replica(100.0)),
    ]
}

/// A price in parts.
#[derive(Default, Clone, Copy)]
struct Bill {
    table: f64,
    messages: f64,
    log: f64,
    s3: f64,
}

impl Bill {
    fn of(figures: &BTreeMap<String, f64>) -> Self {
        let count = |what: &str| figures.get(what).copied().unwrap_or(0.0);
        Self {
            table: prices::WRITE_UNIT.times(count(WRITES))
                + prices::READ_UNIT.times(count(READS))
                + prices::STORED.times(count(KEPT).max(0.0)),
            messages: prices::QUEUE.times(count(QUEUE)) + prices::EVENT.times(count(EVENTS)),
            log: prices::LOG.times(count(LOGGED)),
            s3: prices::S3_WRITE.times(count(S3_WRITES)) + prices::S3_READ.times(count(S3_READS)),
        }
    }

    fn total(&self) -> f64 {
        self.table + self.messages + self.log + self.s3
    }

    fn without_s3(&self) -> f64 {
        self.total() - self.s3
    }
}

/// What the replaced systems pay, without S3.
fn replaced_price(used: &Used) -> f64 {
    prices::TRANSITION.times(used.transitions)
        + prices::INVOCATION.times(used.invocations)
        + prices::LAMBDA_SECOND.times(used.lambda_gb_seconds)
        + prices::ARM_CPU.times(used.vcpu_seconds)
        + prices::ARM_MEMORY.times(used.fargate_gb_seconds)
        + prices::WRITE_UNIT.times(used.write_units)
        + prices::READ_UNIT.times(used.read_units)
        + prices::EVENT.times(used.events)
        + prices::QUEUE.times(used.queue_requests)
}

/// A task of the least size, started by a state machine.
fn task_price() -> f64 {
    prices::ARM_CPU.times(prices::LEAST_CPU * prices::LEAST_SECONDS)
        + prices::ARM_MEMORY.times(prices::LEAST_MEMORY * prices::LEAST_SECONDS)
        + prices::TRANSITION.times(1.0)
}

/// What a month costs in which nobody asks for anything, by what it is for.
fn fixed(idle: &BTreeMap<String, f64>) -> Vec<(&'static str, f64)> {
    let hours = prices::HOURS_A_MONTH * prices::TASKS;
    let count = |what: &str| idle.get(what).copied().unwrap_or(0.0) * hours;
    let seconds = hours * 3600.0;
    vec![
        (
            "two tasks of 0.25 vCPU and 0.5 GB, arm64",
            prices::ARM_CPU.times(prices::TASK_CPU * seconds)
                + prices::ARM_MEMORY.times(prices::TASK_MEMORY * seconds),
        ),
        (
            "the table: each task's record, and looking for what is due",
            prices::WRITE_UNIT.times(count(WRITES)) + prices::READ_UNIT.times(count(READS) + count(WALK)),
        ),
        (
            "long polls of two queues, and looks at how full they are",
            prices::QUEUE.times(count(POLLS) + count(QUEUE) + prices::LOOKS_AT_QUEUES_AN_HOUR * hours),
        ),
        ("the log", prices::LOG.times(count(LOGGED))),
        ("the secret with ICAv2's token", prices::SECRET.times(1.0)),
    ]
}

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut told = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// Dollars with some three digits that count.
fn dollars(sum: f64) -> String {
    match sum {
        _ if sum < 0.000_05 => "–".to_owned(),
        _ if sum >= 100.0 => format!("${}", grouped(sum)),
        _ if sum >= 10.0 => format!("${sum:.1}"),
        _ if sum >= 0.095 => format!("${sum:.2}"),
        _ => format!("${sum:.4}"),
    }
}

/// A part of another price; bold where the aim is missed.
fn share(ours: f64, theirs: f64) -> String {
    let times = theirs / ours;
    let told = if times >= 10.0 { format!("1/{times:.0}") } else { format!("1/{times:.1}") };
    if ours <= theirs * AIM { told } else { format!("**{told}**") }
}

/// What the model says.
fn document(counts: &Counts) -> String {
    let figures = |what: &str| &counts[&named(what)];
    let works: Vec<_> = works().into_iter().map(|work| (Bill::of(figures(work.counted)), work)).collect();
    let idle = fixed(figures(bills::IDLE));
    let month: f64 = idle.iter().map(|(_, sum)| sum).sum();
    let mut text = include_str!("cost.md").to_owned();
    let mut fill = |mark: &str, part: &dyn Fn(&mut String)| {
        let mut told = String::new();
        part(&mut told);
        text = text.replace(&format!("{{{{{mark}}}}}\n"), &told);
    };
    fill("work", &|text| table_of_work(text, &works));
    fill("verdict", &|text| verdict(text, &works));
    fill("live", &|text| live(text, figures(bills::WAITING)));
    fill("fixed", &|text| fixed_sum(text, &idle, month));
    fill("break-even", &|text| break_even(text, &works, month));
    fill("counted", &|text| counted(text, counts));
    fill("prices", &|text| price_list(text));
    text
}

fn table_of_work(text: &mut String, works: &[(Bill, Work)]) {
    for (bill, work) in works {
        let scale = 1e6 / work.files;
        let (ours, s3) = (bill.total(), bill.s3);
        let theirs = replaced_price(&work.used) + s3 + prices::S3_READ.times(work.used.s3_reads);
        let task = task_price() * work.files + s3;
        let (task_told, task_share) = if work.can_be_tasks {
            (dollars(task * scale), share(ours, task))
        } else {
            ("–".to_owned(), "–".to_owned())
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {task_told} | {task_share} |",
            work.counted,
            dollars(ours * 1000.0),
            dollars(ours * scale),
            dollars(s3 * scale),
            dollars(theirs * scale),
            share(ours, theirs),
            share(bill.without_s3(), theirs - s3),
        )
        .unwrap();
    }
}

/// Where the aim is reached, and where not.
fn verdict(text: &mut String, works: &[(Bill, Work)]) {
    let mut missed = Vec::new();
    for (bill, work) in works {
        let theirs = replaced_price(&work.used) + prices::S3_READ.times(work.used.s3_reads);
        let (with, without) = (bill.total() / (theirs + bill.s3), bill.without_s3() / theirs);
        if with > AIM {
            let but = if without <= AIM { "; without S3 it is reached" } else { "" };
            missed.push(format!(
                "*{}*: {:.1} times what it may cost, {:.0} % of the price being S3's{but}",
                work.counted,
                with / AIM,
                100.0 * bill.s3 / bill.total()
            ));
        }
    }
    writeln!(text, "The aim is reached by {} of {}.", works.len() - missed.len(), works.len()).unwrap();
    if !missed.is_empty() {
        writeln!(text, "It is missed by\n\n- {}", missed.join("\n- ")).unwrap();
    }
}

/// 50,000 requests that wait for a day.
fn live(text: &mut String, waiting: &BTreeMap<String, f64>) {
    const ROOTS: f64 = 50_000.0;
    const MINUTES: f64 = 1440.0;
    let times = ROOTS * MINUTES;
    let bill = Bill::of(waiting);
    let ours = bill.without_s3() * times;
    let theirs = replaced_price(&replaced::waiting()) * times;
    let writes = waiting[WRITES] * times;
    let events = waiting.get(EVENTS).copied().unwrap_or(0.0) * times;
    writeln!(
        text,
        "| | ours | replaced |\n| --- | --- | --- |\n\
         | the table | {} | {} |\n| events and messages | {} | – |\n| the log | {} | not counted |\n\
         | state transitions | – | {} |\n| lambdas | – | {} |\n| together | {} | {} |\n| one request for an hour | {} | {} |\n\n\
         Ours are {:.0} million write units ({:.2} a minute and request, of which {:.2} move records in the index of what is due) and\n\
         {:.1} million events; the state machines enter {:.0} million states. The share is {} of what is replaced (aim: 1/10). Heartbeats themselves\n\
         are free on both sides. The fixed sum below comes to it: 50,000 live requests need some gigabyte of memory\n\
         ([performance](performance.md)), so two tasks of 1 GB hold them, with little room. The replaced machines were not made for so\n\
         many: their table is read in one piece of 1 MB, and one `DescribeExecution` for each request every three minutes is more than\n\
         its quota allows. So this is the price that they would have, not one that anybody has paid.",
        dollars(bill.table * times),
        dollars(prices::READ_UNIT.times(replaced::waiting().read_units) * times),
        dollars(bill.messages * times),
        dollars(bill.log * times),
        dollars(prices::TRANSITION.times(replaced::waiting().transitions) * times),
        dollars(
            (prices::INVOCATION.times(replaced::waiting().invocations)
                + prices::LAMBDA_SECOND.times(replaced::waiting().lambda_gb_seconds))
                * times
        ),
        dollars(ours),
        dollars(theirs),
        dollars(bill.without_s3() * 60.0),
        dollars(replaced_price(&replaced::waiting()) * 60.0),
        writes / 1e6,
        waiting[WRITES],
        waiting.get(INDEX).copied().unwrap_or(0.0),
        events / 1e6,
        replaced::waiting().transitions * times / 1e6,
        share(ours, theirs),
    )
    .unwrap();
}

fn fixed_sum(text: &mut String, idle: &[(&str, f64)], month: f64) {
    text.push_str("| | dollars |\n| --- | --- |\n");
    for (what, sum) in idle {
        writeln!(text, "| {what} | {} |", dollars(*sum)).unwrap();
    }
    let hours = prices::HOURS_A_MONTH * 3600.0;
    let x86 = prices::X86_CPU.times(prices::TASK_CPU * hours)
        + prices::X86_MEMORY.times(prices::TASK_MEMORY * hours);
    let one = prices::ARM_CPU.times(prices::TASK_CPU * hours)
        + prices::ARM_MEMORY.times(prices::TASK_MEMORY * hours);
    let address = prices::ADDRESS.times(prices::HOURS_A_MONTH * prices::TASKS);
    let rows = include_str!("../../docs/metrics.md").lines().filter(|line| line.contains("| yes |")).count();
    let metrics = prices::METRIC.times(f64::from(u32::try_from(rows).unwrap()));
    writeln!(
        text,
        "| together | {} |\n\n\
         As `deploy/service.yaml` is delivered. Besides, where they are turned on: {} for two public addresses (`AssignPublicIp`; a NAT gateway\n\
         costs more, and usually is there already), and {} for {rows} metrics (`MetricsForCloudWatch`; some have a dimension, and cost so\n\
         often; alarms and the dashboard of `deploy/alarms.yaml` come to it). One of these tasks is {} a month, on Spot {}, and on x86 {}; it is\n\
         enough for what a laboratory asks for ([capacity](capacity.md)), and a second one is for the night in which one dies.",
        dollars(month),
        dollars(address),
        dollars(metrics),
        dollars(one),
        dollars(one * prices::SPOT),
        dollars(x86),
    )
    .unwrap();
}

fn break_even(text: &mut String, works: &[(Bill, Work)], month: f64) {
    for (bill, work) in works {
        let theirs = replaced_price(&work.used) + bill.s3 + prices::S3_READ.times(work.used.s3_reads);
        let from = |part: f64| {
            let gain = part * theirs - bill.total();
            if gain > 0.0 { grouped((month / gain).ceil()) } else { "never".to_owned() }
        };
        writeln!(text, "| {} | {} | {} |", work.counted, from(1.0), from(AIM)).unwrap();
    }
}

/// What was counted for each request.
fn counted(text: &mut String, counts: &Counts) {
    let all = works().into_iter().map(|work| work.counted).chain([bills::WAITING, bills::IDLE]);
    for what in all {
        let figures = &counts[&named(what)];
        let of = |name: &str| figures.get(name).copied().unwrap_or(0.0);
        writeln!(
            text,
            "| {what} | {} | {} | {} | {} | {} | {} | {} | {} |",
            number(of(WRITES)),
            number(of(INDEX)),
            number(of(READS) + if what == bills::IDLE { of(WALK) } else { 0.0 }),
            number(of(EVENTS)),
            number(of(QUEUE) + if what == bills::IDLE { of(POLLS) } else { 0.0 }),
            number(of(S3_WRITES)),
            number(of(S3_READS)),
            number(of(LOGGED) / 1000.0),
        )
        .unwrap();
    }
}

fn number(count: f64) -> String {
    match count {
        _ if count == 0.0 => "–".to_owned(),
        _ if count >= 10.0 => grouped(count),
        _ => format!("{count:.2}"),
    }
}

fn price_list(text: &mut String) {
    for price in prices::ALL {
        writeln!(text, "| {} | ${} | {} | {} |", price.of, price.dollars, price.unit, price.from).unwrap();
    }
}

/// What is priced as delivered is what is delivered.
#[test]
fn the_priced_tasks_are_those_of_the_template() {
    let template = include_str!("../../deploy/service.yaml");
    let default = |parameter: &str| {
        let (_, of_it) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
        let (_, value) = of_it.split_once("    Default: ").unwrap();
        value.lines().next().unwrap().trim_matches('"')
    };
    let priced = [prices::TASKS, prices::TASK_CPU * 1024.0, prices::TASK_MEMORY * 1024.0];
    assert_eq!(["DesiredCount", "Cpu", "Memory"].map(default), priced.map(|number| number.to_string()));
    assert_eq!(default("CpuArchitecture"), "ARM64");
}

/// The document is what the model makes of the baseline and of the prices.
#[test]
fn the_document_of_costs_is_what_the_model_says() {
    let baseline = fs::read_to_string(place(bills::BASELINE)).unwrap();
    let said = document(&serde_json::from_str(&baseline).unwrap());
    let at = place("docs/cost.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&at, &said).unwrap();
    }
    let there = fs::read_to_string(at).unwrap();
    assert!(there == said, "docs/cost.md: run this test with UPDATE_DOCS=1");
}
