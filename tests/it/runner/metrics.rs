//! Numbers through the doors that the runner itself reads: output, report file; how fast, how merged, how told.

use super::attempt::Attempt;
use overdrive::journal::{Channel, Decoder, Entry, Step};
use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn text_markers_and_the_report_file_by_precedence() {
    let done = Attempt::shell(
        r#"echo "epoch 1 loss=0.5"
           echo '::metric val loss=0.25 step=7'
           echo '[tune-metric]: {"acc": 0.5, "st_worker_iter": 1}'
           echo 'Attempted to log scalar metric f1:'; echo 0.125
           sleep 0.1
           echo '{"name":"loss","value":0.4,"step":2}' >> $OVERDRIVE_REPORT
           sleep 0.1
           echo "epoch 3 loss=0.3"
           printf '{"auc": NaN}' >> $OVERDRIVE_REPORT"#,
    )
    .metric("loss")
    .run();
    let metrics = done.metrics();
    let find = |name: &str| {
        metrics
            .iter()
            .filter(|m| m.0 == name)
            .map(|m| (m.1, m.2))
            .collect::<Vec<_>>()
    };
    assert_eq!(find("loss"), [(0.5, Some(1)), (0.4, Some(2))]);
    assert_eq!(find("val loss"), [(0.25, Some(7))]);
    assert_eq!(find("acc"), [(0.5, Some(1))]);
    assert_eq!(find("f1"), [(0.125, None)]);
    assert!(find("auc")[0].0.is_nan());
    assert_eq!(done.codes(), ["shadowed-metric"]);
}

#[test]
fn a_wrong_name_is_explained() {
    let done = Attempt::shell("echo '{\"Accuracy\": 0.9}' >> $OVERDRIVE_REPORT; echo val_accuracy=0.5")
        .metric("accuracy")
        .run();
    assert_eq!(done.exit().code, Some(0));
    let message = done
        .entries
        .iter()
        .find_map(|entry| match entry {
            Entry::Warning { code, message } if code == "metric-near-miss" => Some(message.clone()),
            _ => None,
        })
        .unwrap();
    assert!(
        message.contains("`Accuracy`") && message.contains("`val_accuracy`"),
        "{message}"
    );
    let done = Attempt::shell("exit 1").metric("accuracy").run();
    assert!(done.codes().is_empty(), "a failed script has another trouble");
}

#[test]
fn the_shim_and_side_files_are_read() {
    let done = Attempt::shell(
        r#"mkdir $OVERDRIVE_REPORT.d; echo '{"name":"a","value":1,"channel":"azureml"}' > $OVERDRIVE_REPORT.d/1-2.json
           echo '{"side":"1-2.json"}' >> $OVERDRIVE_REPORT
           echo '{"side":"../spec.json"}' >> $OVERDRIVE_REPORT
           echo '{"fact":"tag","key":"k","value":"v"}' >> $OVERDRIVE_REPORT"#,
    )
    .run();
    assert!(
        done.entries
            .iter()
            .any(|e| matches!(e, Entry::Metric { name, channel: Channel::Azureml, .. } if name == "a"))
    );
    assert!(
        done.entries
            .iter()
            .any(|e| matches!(e, Entry::Fact { key, .. } if key == "k"))
    );
    assert_eq!(done.codes(), ["report-line"]);
}

#[test]
fn unchanged_azureml_and_mlflow_free_python_reports_through_the_shim() {
    let mut attempt = Attempt::new(&[
        "python3",
        "-c",
        "from azureml.core import Run\nrun = Run.get_context()\nrun.log('acc', 0.75)\nrun.log_list('l', [1, 2])\nprint(run.id)",
    ])
    .metric("acc");
    attempt.spec.shim = true;
    attempt.spec.mlflow = true;
    let cache = tempfile::tempdir().unwrap();
    attempt
        .spec
        .env
        .insert("X".into(), cache.path().display().to_string());
    let done = attempt.run();
    assert_eq!(done.exit().code, Some(0), "{:?}", done.exit().tail);
    assert_eq!(done.exit().tail, ["HD_test_3"]);
    assert_eq!(
        done.metrics(),
        [
            ("acc".to_owned(), 0.75, None),
            ("l".to_owned(), 1.0, None),
            ("l".to_owned(), 2.0, None)
        ]
    );
}

#[test]
fn mlflow_requests_reach_the_journal() {
    let script = "import json, os, urllib.request
uri = os.environ['MLFLOW_TRACKING_URI'] + '/api/2.0/mlflow/runs/log-metric'
for step in range(3):
    body = json.dumps({'run_id': os.environ['MLFLOW_RUN_ID'], 'key': 'acc', 'value': step / 2, 'timestamp': 1, 'step': step}).encode()
    urllib.request.urlopen(urllib.request.Request(uri, body, {'Content-Type': 'application/json'})).read()
";
    let mut attempt = Attempt::new(&["python3", "-c", script]).metric("acc");
    attempt.spec.mlflow = true;
    let done = attempt.run();
    assert_eq!(done.exit().code, Some(0), "{:?}", done.exit().tail);
    let points: Vec<(f64, Option<i64>)> = done.metrics().into_iter().map(|m| (m.1, m.2)).collect();
    assert_eq!(points, [(0.0, Some(0)), (0.5, Some(1)), (1.0, Some(2))]);
}

#[test]
fn files_of_other_tools_count_when_nothing_else_came() {
    let done = Attempt::shell(
        "mkdir -p lightning_logs/version_0; printf 'epoch,step,val_acc\\n0,9,0.5\\n1,19,0.75\\n' > lightning_logs/version_0/metrics.csv",
    )
    .metric("val_acc")
    .run();
    let points: Vec<(String, f64)> = done.metrics().into_iter().map(|m| (m.0, m.1)).collect();
    assert!(
        points.contains(&("val_acc".to_owned(), 0.5)) && points.contains(&("val_acc".to_owned(), 0.75)),
        "{points:?}"
    );
}

#[test]
fn a_script_of_nni_is_followed() {
    let snapshot = tempfile::tempdir().unwrap();
    // What `nni.report_intermediate_result` does on the local platform, without the package.
    let script = "import os, json, time
if False:
    import nni
folder = os.environ['NNI_SYS_DIR']
lr = json.load(open(folder + '/parameter.cfg'))['parameters']['lr']
for sequence, kind in enumerate(['PERIODICAL', 'FINAL']):
    text = json.dumps({'parameter_id': 3, 'type': kind, 'sequence': sequence, 'value': json.dumps(lr * (1 + sequence))}) + '\\n'
    open(folder + '/.nni/metrics', 'a').write('ME%06d%s' % (len(text), text))
";
    std::fs::write(snapshot.path().join("train.py"), script).unwrap();
    let mut attempt = Attempt::new(&["python3", "train.py"]).metric("acc");
    attempt.spec.snapshot = Some(snapshot.path().to_owned());
    attempt
        .spec
        .parameters
        .insert("lr".into(), overdrive::space::Value::Float(0.25));
    let done = attempt.run();
    assert_eq!(done.exit().code, Some(0), "{:?}", done.exit().tail);
    assert_eq!(
        done.metrics(),
        [("acc".to_owned(), 0.25, Some(0)), ("acc".to_owned(), 0.5, None)]
    );
}

/// Follows the journal as a controller does: by the doorbell.
#[test]
fn from_print_to_reader_in_milliseconds() {
    let bell_folder = tempfile::tempdir().unwrap();
    let bell_path = bell_folder.path().join("bell");
    let bell = UnixDatagram::bind(&bell_path).unwrap();
    bell.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let script = "import os, time
report = open(os.environ['OVERDRIVE_REPORT'], 'a', buffering=1)
for i in range(30):
    time.sleep(0.02)
    if i % 2:
        print('now=%.6f' % time.time(), flush=True)
    else:
        report.write('{\"file\": %.6f}\\n' % time.time())
";
    let mut attempt = Attempt::new(&["python3", "-c", script]).metric("now");
    attempt.spec.doorbell = Some(bell_path);
    let runner = attempt.start();
    let mut decoder = Decoder::new();
    let mut file: Option<File> = None;
    let mut latencies: Vec<(String, f64)> = Vec::new();
    let began = Instant::now();
    while !decoder.is_sealed() {
        assert!(began.elapsed() < Duration::from_secs(30));
        let _ = bell.recv(&mut [0; 8]);
        if file.is_none() {
            file = File::open(attempt.file("journal")).ok();
        }
        let mut bytes = Vec::new();
        file.as_mut().unwrap().read_to_end(&mut bytes).unwrap();
        decoder.push(&bytes);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        while let Step::Entry { entry, .. } = decoder.step() {
            if let Entry::Metric { name, value, .. } = entry {
                latencies.push((name, now - value));
            }
        }
    }
    attempt.wait(runner);
    assert_eq!(latencies.len(), 30);
    for door in ["now", "file"] {
        let mut times: Vec<f64> = latencies
            .iter()
            .filter(|(name, _)| name == door)
            .map(|(_, time)| *time)
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{door}: median {:.2} ms, worst {:.2} ms",
            times[7] * 1e3,
            times[14] * 1e3
        );
        assert!(times[7] < 0.005, "{door}: {times:?}");
    }
}

/// A script that reports more than the disk holds; `launch` is a shell line that runs `"$0" runner "$1"` under some limit.
fn report_too_much(attempt: &Attempt, launch: &str) -> Option<(Vec<Entry>, usize)> {
    attempt.write_spec();
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", launch, env!("CARGO_BIN_EXE_overdrive")])
        .arg(attempt.path())
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let journal = if attempt.file("kept").exists() {
        "kept"
    } else {
        "journal"
    };
    let (entries, damages) = overdrive::journal::read(&attempt.file(journal)).unwrap();
    assert!(damages.is_empty(), "{damages:?}");
    assert_eq!(entries.last(), Some(&Entry::Sealed));
    assert!(matches!(&entries[entries.len() - 2], Entry::Exited(exit) if exit.code == Some(0)));
    let metrics = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Metric { .. }))
        .count();
    Some((entries, metrics))
}

const MANY: &str = "i=0; while [ $i -lt 6000 ]; do echo \"::metric m=$i\"; i=$((i+1)); done";

#[test]
fn a_limit_on_file_sizes_drops_metrics_but_not_the_end() {
    let attempt = Attempt::shell(MANY);
    let (entries, metrics) =
        report_too_much(&attempt, r#"trap '' XFSZ; ulimit -f 400; exec "$0" runner "$1""#).unwrap();
    assert!(metrics > 500 && metrics < 3000, "{metrics}");
    assert!(
        entries
            .iter()
            .any(|entry| matches!(entry, Entry::Warning { code, .. } if code == "journal-full"))
    );
}

#[test]
fn a_full_disk_drops_metrics_but_not_the_end() {
    let attempt = Attempt::shell(MANY);
    let launch = r#"unshare -m /bin/sh -c '
        mkdir /tmp/small.$$ && mount -t tmpfs -o size=400k small /tmp/small.$$ || exit 77
        cp "$1"/spec.json /tmp/small.$$ && "$0" runner /tmp/small.$$; code=$?
        cp /tmp/small.$$/journal "$1"/kept; umount /tmp/small.$$; rmdir /tmp/small.$$; exit $code' "$0" "$1" || exit $?"#;
    let Some((_, metrics)) = report_too_much(&attempt, launch) else {
        println!("SKIPPED: no right to mount a small disk; the limit on file sizes stands in for it");
        return;
    };
    assert!(metrics > 300 && metrics < 6000, "{metrics}");
}
