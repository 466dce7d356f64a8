//! Parsers on files of the real writers (`tests/fixtures/channel`: tensorboardX 2.6, tensorboard 2.20 with TensorFlow-2 summaries,
//! wandb 0.31) and on damaged ones; the walker on folders.

use super::*;
use std::fs;
use std::sync::Mutex;
use std::time::Duration;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/channel")
            .join(name),
    )
    .unwrap()
}

fn all(read: impl FnOnce(&mut Take<'_>)) -> Vec<(String, f64, Option<i64>)> {
    let mut found = Vec::new();
    read(&mut |name, point| {
        found.push((name.to_owned(), point.value, point.step));
        true
    });
    found
}

fn of(found: &[(String, f64, Option<i64>)], name: &str) -> Vec<(f64, Option<i64>)> {
    found
        .iter()
        .filter(|point| point.0 == name)
        .map(|point| (point.1, point.2))
        .collect()
}

const SIMPLE: &str = "simple/events.out.tfevents.1000.host";
const TENSOR: &str = "tensor/events.out.tfevents.1000.host.v2";
const WANDB: &str = "wandb/run-abc.wandb";

#[test]
fn tensorboard_simple_values() {
    let found = all(|take| tensorboard::read(fixture(SIMPLE).as_slice(), take));
    assert_eq!(
        of(&found, "val/acc"),
        [
            (0.0, Some(0)),
            (0.1, Some(1)),
            (0.2, Some(2)),
            (0.3, Some(3)),
            (0.4, Some(4))
        ]
    );
    let loss = of(&found, "loss");
    assert_eq!((loss.len(), loss[1], loss[4].1), (5, (0.5, Some(10)), Some(40)));
    assert!(loss[2].0.is_nan());
    assert_eq!(found.len(), 10, "a text is no number");
}

#[test]
fn tensorboard_tensors() {
    let found = all(|take| tensorboard::read(fixture(TENSOR).as_slice(), take));
    assert_eq!(
        of(&found, "epoch_accuracy"),
        [(0.5, Some(0)), (0.6, Some(1)), (0.7, Some(2)), (0.8, Some(3))]
    );
}

/// A summary value with this tensor, as one TFRecord.
fn event(tensor: &[u8]) -> Vec<u8> {
    fn nested(tag: u8, bytes: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let value = [nested(0x0a, b"t"), nested(0x42, tensor)].concat();
    let data = [vec![0x10, 7], nested(0x2a, &nested(0x0a, &value))].concat();
    let check = |data: &[u8]| {
        crc32c::crc32c(data)
            .rotate_right(15)
            .wrapping_add(0xa282_ead8)
            .to_le_bytes()
    };
    let length = (data.len() as u64).to_le_bytes();
    [
        length.to_vec(),
        check(&length).to_vec(),
        data.clone(),
        check(&data).to_vec(),
    ]
    .concat()
}

#[test]
fn tensorboard_tensor_types() {
    let value = |tensor: &[u8]| {
        all(|take| tensorboard::read(event(tensor).as_slice(), take))
            .first()
            .map(|point| point.1)
    };
    assert_eq!(
        value(&[&[8, 1, 0x22, 4][..], &0.25_f32.to_le_bytes()].concat()),
        Some(0.25)
    );
    assert_eq!(
        value(&[&[8, 1, 0x2a, 4][..], &0.25_f32.to_le_bytes()].concat()),
        Some(0.25)
    );
    assert_eq!(
        value(&[&[8, 1, 0x2d][..], &0.25_f32.to_le_bytes()].concat()),
        Some(0.25)
    );
    assert_eq!(
        value(&[&[8, 2, 0x22, 8][..], &0.1_f64.to_le_bytes()].concat()),
        Some(0.1)
    );
    assert_eq!(
        value(&[&[8, 2, 0x31][..], &0.1_f64.to_le_bytes()].concat()),
        Some(0.1)
    );
    assert_eq!(
        value(&[&[8, 3, 0x22, 4][..], &(-5_i32).to_le_bytes()].concat()),
        Some(-5.0)
    );
    assert_eq!(value(&[8, 9, 0x52, 1, 42]), Some(42.0));
    assert_eq!(value(&[8, 19, 0x22, 2, 0x00, 0x3c]), Some(1.0));
    assert_eq!(value(&[8, 14, 0x22, 2, 0x80, 0xbf]), Some(-1.0));
    // A text, a vector, a wrong length.
    assert_eq!(value(&[8, 7, 0x42, 1, b'x']), None);
    assert_eq!(
        value(&[8, 1, 0x12, 4, 0x12, 2, 8, 2, 0x22, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
        None
    );
    assert_eq!(value(&[8, 1, 0x22, 3, 0, 0, 0]), None);
}

#[test]
fn wandb_history() {
    let found = all(|take| wandb::read(fixture(WANDB).as_slice(), take));
    let acc = of(&found, "acc");
    assert_eq!(
        acc,
        [
            (0.0, Some(0)),
            (0.1, Some(1)),
            (0.2, Some(2)),
            (0.3, Some(3)),
            (0.4, Some(4)),
            (0.9, Some(10))
        ]
    );
    assert_eq!(of(&found, "nested.x").len(), 5);
    assert!(of(&found, "nan").iter().all(|point| point.0.is_nan()));
    assert!(
        found
            .iter()
            .all(|point| !point.0.starts_with('_') && point.0 != "text"),
        "{found:?}"
    );
}

#[test]
fn wandb_records_over_several_blocks() {
    // The same records behind a long one that is split over three blocks.
    let small = fixture(WANDB);
    let mut file = small[..7].to_vec();
    let mut left = 70_000;
    let mut first = true;
    while left > 0 {
        let room = BLOCK - file.len() % BLOCK - 7;
        let length = room.min(left);
        left -= length;
        let kind = match (first, left) {
            (true, _) => 2,
            (false, 0) => 4,
            (false, _) => 3,
        };
        first = false;
        file.extend([0, 0, 0, 0]);
        file.extend(u16::try_from(length).unwrap().to_le_bytes());
        file.push(kind);
        file.extend(std::iter::repeat_n(0xff, length));
    }
    const BLOCK: usize = 32 << 10;
    file.extend(&small[7..]);
    assert_eq!(
        of(&all(|take| wandb::read(file.as_slice(), take)), "acc").len(),
        6
    );
}

#[test]
fn damaged_files_give_what_they_gave_until_then() {
    type Read = fn(&[u8], &mut Take<'_>);
    let readers: [(&str, Read); 3] = [
        (SIMPLE, |bytes, take| tensorboard::read(bytes, take)),
        (TENSOR, |bytes, take| tensorboard::read(bytes, take)),
        (WANDB, |bytes, take| wandb::read(bytes, take)),
    ];
    for (name, read) in readers {
        let whole = fixture(name);
        let every = all(|take| read(&whole, take));
        for length in 0..whole.len() {
            let found = all(|take| read(&whole[..length], take));
            assert!(found.len() <= every.len());
            assert_eq!(
                format!("{found:?}"),
                format!("{:?}", &every[..found.len()]),
                "{name} cut at {length}"
            );
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            all(|take| read(&damaged, take));
        }
    }
}

#[test]
fn lightning_csv() {
    let text = "epoch,step,train_loss,\"val,acc\"\n0,49,0.5,\n0,49,,0.25\n1,99.0,nan,0.75\nbroken\n";
    let found = all(|take| lightning::read(text.as_bytes(), take));
    assert_eq!(of(&found, "val,acc"), [(0.25, Some(49)), (0.75, Some(99))]);
    let loss = of(&found, "train_loss");
    assert_eq!(loss[0], (0.5, Some(49)));
    assert!(loss[1].0.is_nan() && loss.len() == 2);
    assert_eq!(
        all(|take| lightning::read(&b"acc\n0.5\n\xff\n"[..], take)),
        [("acc".to_owned(), 0.5, None)]
    );
}

#[test]
fn file_store_lines() {
    let found =
        all(|take| file_store::read(&b"1000 0.5 0\n1001 nan 1\nbad\n1002 0.75\n"[..], "val/acc", take));
    assert_eq!(
        (found[0].1, found[0].2, found[2].1, found[2].2),
        (0.5, Some(0), 0.75, None)
    );
    assert!(found[1].1.is_nan());
}

#[derive(Default)]
struct Memory(Mutex<Vec<Report>>);

impl Sink for Memory {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(report);
    }
}

fn told(findings: &Findings) -> (Vec<(String, f64)>, Vec<String>) {
    let memory = Memory::default();
    report(findings, &memory);
    let (mut points, mut warnings) = (Vec::new(), Vec::new());
    for report in memory.0.into_inner().unwrap() {
        match report {
            Report::Metric {
                name,
                value,
                channel: Channel::Scan,
                ..
            } => points.push((name, value)),
            Report::Warning { code, .. } => warnings.push(code),
            other => panic!("{other:?}"),
        }
    }
    (points, warnings)
}

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn only_what_the_script_wrote_is_read() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "old/metrics.csv", "step,acc\n1,0.1\n");
    let past = fs::File::options()
        .write(true)
        .open(root.path().join("old/metrics.csv"))
        .unwrap();
    let since = SystemTime::now() - Duration::from_secs(60);
    past.set_modified(since - Duration::from_secs(60)).unwrap();
    put(root.path(), ".venv/metrics.csv", "step,acc\n1,0.2\n");
    put(
        root.path(),
        "lightning_logs/version_0/metrics.csv",
        "step,acc\n1,0.3\n",
    );
    std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
    // The same folder as root of its own is not read twice.
    let roots = [root.path().to_owned(), root.path().join("lightning_logs")];
    let findings = scan(&roots, since, Limits::default());
    assert_eq!(told(&findings), (vec![("acc".to_owned(), 0.3)], vec![]));
}

#[test]
fn of_several_folders_validation_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let since = SystemTime::now() - Duration::from_secs(60);
    put(root.path(), "logs/validation/metrics.csv", "step,loss\n1,0.5\n");
    put(root.path(), "logs/train/metrics.csv", "step,loss,only\n1,0.1,7\n");
    put(root.path(), "logs/train/events.out.tfevents.1", fixture(SIMPLE));
    let (points, warnings) = told(&scan(&[root.path().to_owned()], since, Limits::default()));
    // Event files come before tables: only there the loss is looked for.
    assert_eq!(warnings, [""; 0]);
    assert_eq!(points.iter().filter(|(name, _)| name == "loss").count(), 5);
    fs::remove_file(root.path().join("logs/train/events.out.tfevents.1")).unwrap();
    let (points, warnings) = told(&scan(&[root.path().to_owned()], since, Limits::default()));
    assert_eq!(warnings, ["scan-ambiguous"]);
    for expected in [
        ("loss", 0.5),
        ("logs/train/loss", 0.1),
        ("logs/validation/loss", 0.5),
        ("only", 7.0),
    ] {
        assert!(
            points.contains(&(expected.0.to_owned(), expected.1)),
            "{expected:?} in {points:?}"
        );
    }
    assert_eq!(points.len(), 4);
}

#[test]
fn file_store_folders() {
    let root = tempfile::tempdir().unwrap();
    let run = "mlruns/0/0123456789abcdef0123456789abcdef";
    put(root.path(), &format!("{run}/meta.yaml"), "");
    put(root.path(), &format!("{run}/params/lr"), "0.1");
    put(
        root.path(),
        &format!("{run}/metrics/val/acc"),
        "1000 0.5 0\n1001 0.6 1\n",
    );
    put(root.path(), "other/metrics/acc", "1000 0.5 0\n");
    let since = SystemTime::now() - Duration::from_secs(60);
    let (points, _) = told(&scan(&[root.path().to_owned()], since, Limits::default()));
    assert_eq!(points, [("val/acc".to_owned(), 0.5), ("val/acc".to_owned(), 0.6)]);
}

#[test]
fn limits_end_the_search() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..20 {
        put(
            root.path(),
            &format!("{at}/metrics.csv"),
            "step,acc\n1,0.1\n2,0.2\n",
        );
    }
    let since = SystemTime::now() - Duration::from_secs(60);
    let roots = [root.path().to_owned()];
    let findings = scan(
        &roots,
        since,
        Limits {
            points: 5,
            ..Limits::default()
        },
    );
    assert_eq!(
        (
            findings
                .series
                .iter()
                .map(|series| series.points.len())
                .sum::<usize>(),
            findings.cut
        ),
        (5, true)
    );
    assert!(
        scan(
            &roots,
            since,
            Limits {
                entries: 3,
                ..Limits::default()
            }
        )
        .cut
    );
    assert!(
        scan(
            &roots,
            since,
            Limits {
                depth: 0,
                ..Limits::default()
            }
        )
        .cut
    );
    assert!(told(&findings).1.contains(&"scan-cut".to_owned()));
}
