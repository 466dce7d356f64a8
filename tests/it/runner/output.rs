//! Captured output: floods, caps, binary, memory.

use super::attempt::Attempt;
use std::time::{Duration, Instant};

#[test]
fn both_streams_in_order_byte_by_byte() {
    let done = Attempt::shell("echo a; echo b >&2; printf '\\000\\377\\033[31mx\\n'; echo c").run();
    assert_eq!(done.log(), b"a\nb\n\0\xff\x1b[31mx\nc\n");
    assert_eq!(done.exit().tail, ["a", "b", "\0\u{fffd}x", "c"]);
}

#[test]
fn a_flood_is_capped_and_costs_no_memory() {
    // 100 MB in lines, then one line of 30 MB without an end, then a metric.
    let mut attempt = Attempt::shell(
        "yes 'some line of output with value=1' | head -c 100000000; head -c 30000000 /dev/zero; echo; echo loss=0.25; \
         grep VmHWM /proc/$PPID/status > ../memory",
    )
    .metric("loss");
    attempt.spec.log_cap_bytes = 4 << 20;
    let began = Instant::now();
    let done = attempt.run();
    assert_eq!(done.exit().code, Some(0));
    let log = done.log();
    assert!(
        log.len() > 4 << 20 && log.len() < (4 << 20) + 200,
        "{}",
        log.len()
    );
    assert!(log.starts_with(b"some line of output"));
    assert!(log.ends_with(b"\nloss=0.25\n"));
    let mark = String::from_utf8_lossy(&log[2 << 20..(2 << 20) + 60]).into_owned();
    assert!(
        mark.contains("[overdrive: ") && mark.contains("bytes left out here]"),
        "{mark}"
    );
    assert_eq!(done.metrics(), [("loss".to_owned(), 0.25, None)]);
    assert_eq!(done.codes(), ["long-line", "log-capped"]);
    let memory = std::fs::read_to_string(done.attempt.file("memory")).unwrap();
    let kib: u64 = memory.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    println!("runner: {kib} KiB at most");
    assert!(kib < 32 << 10, "{kib} KiB");
    assert!(
        began.elapsed() < Duration::from_secs(120),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn random_bytes_do_no_harm() {
    let done = Attempt::shell("head -c 3000000 /dev/urandom; echo; echo loss=1")
        .metric("loss")
        .run();
    assert_eq!(done.metrics().last(), Some(&("loss".to_owned(), 1.0, None)));
    assert!(done.log().len() > 3_000_000);
}

#[test]
fn a_script_may_close_its_output() {
    let done = Attempt::shell("exec >&- 2>&-; sleep 1; exit 5").run();
    assert_eq!(done.exit().code, Some(5));
    assert!(done.exit().duration_ms >= 500);
}
