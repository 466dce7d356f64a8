//! Journals under bit flips, torn tails, zeros, foreign bytes and every split.

use super::*;
use crate::journal::{Channel, Exit, Writer};
use proptest::prelude::*;

fn metric(index: u64) -> Entry {
    Entry::Metric {
        name: format!("loss {}", index % 3),
        value: if index % 5 == 4 {
            f64::INFINITY
        } else {
            0.1 * index as f64
        },
        step: index.is_multiple_of(2).then_some(index as i64),
        channel: Channel::Text,
        at_ms: index * 7,
    }
}

fn entries(count: u64) -> Vec<Entry> {
    let mut entries = vec![Entry::Claimed {
        host: "h".into(),
        boot_id: "b".into(),
        pid: 1,
        start_ticks: 2,
        wall_ms: 3,
        version: "0".into(),
    }];
    entries.extend((0..count).map(metric));
    entries.push(Entry::Exited(Exit {
        code: Some(0),
        signal: None,
        ended_by: None,
        duration_ms: 5,
        max_rss: None,
        cpu_s: None,
        tail: vec!["end \u{1b}[0m".into()],
        survivors: vec![],
    }));
    entries
}

/// A journal as the real writer leaves it, with the end offset of each frame.
fn written(entries: &[Entry]) -> (Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut writer = Writer::create(&path).unwrap();
    let mut ends = Vec::new();
    for entry in entries {
        writer.append(entry).unwrap();
        ends.push(std::fs::metadata(&path).unwrap().len() as usize);
    }
    writer.seal().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    ends.push(bytes.len());
    (bytes, ends)
}

fn settled(bytes: &[u8]) -> (Vec<(u64, Entry)>, Vec<Damage>) {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    decoder.settle();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    loop {
        match decoder.step() {
            Step::Entry { seq, entry } => good.push((seq, entry)),
            Step::Damaged(damage) => bad.push(damage),
            Step::End => return (good, bad),
            step => panic!("{step:?} after settle"),
        }
    }
}

/// Every entry that comes out is the one that was written under its number, in rising order.
fn assert_truthful(good: &[(u64, Entry)], all: &[Entry]) {
    for (seq, entry) in good {
        match all.get(*seq as usize) {
            Some(expected) => assert_eq!(entry, expected),
            None => assert_eq!(entry, &Entry::Sealed),
        }
    }
    assert!(good.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn every_split_point_gives_the_same_entries() {
    let all = entries(6);
    let (bytes, _) = written(&all);
    for split in 0..=bytes.len() {
        let mut decoder = Decoder::new();
        let mut seen = Vec::new();
        for part in [&bytes[..split], &bytes[split..]] {
            decoder.push(part);
            loop {
                match decoder.step() {
                    Step::Entry { entry, .. } => seen.push(entry),
                    Step::NotYet | Step::End => break,
                    step => panic!("{step:?} at split {split}"),
                }
            }
            assert!(decoder.wanted() <= bytes.len() as u64);
        }
        assert!(decoder.is_sealed());
        assert_eq!(decoder.offset(), bytes.len() as u64);
        assert_eq!(seen.pop(), Some(Entry::Sealed));
        assert_eq!(seen, all);
    }
}

#[test]
fn torn_tail_is_not_yet_until_settled() {
    let all = entries(3);
    let (bytes, ends) = written(&all);
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let mut decoder = Decoder::new();
        decoder.push(&bytes[..cut]);
        for _ in 0..whole {
            assert!(matches!(decoder.step(), Step::Entry { .. }));
        }
        assert_eq!(decoder.step(), Step::NotYet);
        let (good, bad) = settled(&bytes[..cut]);
        assert_eq!(good.len(), whole);
        let begin = if whole == 0 { 0 } else { ends[whole - 1] };
        match bad.as_slice() {
            [] => assert_eq!(begin, cut),
            [damage] => {
                assert_eq!(damage.kind, DamageKind::TornTail);
                assert_eq!(damage.bytes, begin as u64..cut as u64);
            }
            more => panic!("{more:?}"),
        }
    }
}

#[test]
fn any_single_bit_flip_costs_at_most_two_entries_and_is_named() {
    let all = entries(4);
    let (bytes, ends) = written(&all);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
        if damaged[bit / 8] != bytes[bit / 8] && bit / 8 == frame_begin(&ends, hit) + 3 {
            // The kind byte is under the checksum as well.
            assert!(!settled(&damaged).1.is_empty());
        }
        let (good, bad) = settled(&damaged);
        assert_truthful(&good, &all);
        assert!(
            good.len() + 2 > all.len() - 1,
            "bit {bit}: {} of {}",
            good.len(),
            all.len()
        );
        assert!(
            good.iter().all(|(seq, _)| *seq != hit as u64),
            "bit {bit} in frame {hit} went unseen"
        );
        let begin = frame_begin(&ends, hit) as u64;
        assert!(
            bad.iter().any(|damage| damage.bytes.start == begin),
            "bit {bit}: {bad:?}"
        );
        let payload_only = (bit / 8) >= begin as usize + HEADER;
        if payload_only && hit + 1 < ends.len() {
            assert_eq!(
                good.len(),
                ends.len() - 1,
                "bit {bit}: the frames behind are whole"
            );
            assert_eq!(bad[0].lost, Some(1));
        }
    }
}

fn frame_begin(ends: &[usize], index: usize) -> usize {
    if index == 0 { 0 } else { ends[index - 1] }
}

#[test]
fn size_before_bytes_is_reread() {
    let all = entries(5);
    let (bytes, ends) = written(&all);
    let mut stale = bytes.clone();
    stale[ends[2]..].fill(0);
    let mut decoder = Decoder::new();
    decoder.push(&stale);
    for _ in 0..3 {
        assert!(matches!(decoder.step(), Step::Entry { .. }));
    }
    assert_eq!(decoder.step(), Step::Suspect);
    assert_eq!(decoder.resync(), None);
    decoder.reread();
    assert_eq!(decoder.wanted(), ends[2] as u64);
    decoder.push(&bytes[ends[2]..]);
    let mut count = 0;
    while let Step::Entry { .. } = decoder.step() {
        count += 1;
    }
    assert_eq!(count, ends.len() - 3);
    assert!(decoder.is_sealed());
}

#[test]
fn foreign_bytes_between_frames_cost_nothing() {
    let all = entries(5);
    let (bytes, ends) = written(&all);
    let mut mixed = bytes[..ends[3]].to_vec();
    mixed.extend_from_slice(b"a script wrote this \xd7\x0d\x01\x03 here\n");
    mixed.extend_from_slice(&bytes[ends[3]..]);
    let (good, bad) = settled(&mixed);
    assert_eq!(good.len(), all.len() + 1);
    assert_truthful(&good, &all);
    assert_eq!(
        (bad.len(), bad[0].lost, bad[0].kind),
        (1, Some(0), DamageKind::Corrupt)
    );
}

#[test]
fn frames_of_another_journal_do_not_pass() {
    let (bytes, ends) = written(&entries(5));
    let (other, other_ends) = written(&entries(9)[2..]);
    let mut mixed = bytes[..ends[2]].to_vec();
    mixed.extend_from_slice(&other[other_ends[2]..other_ends[3]]);
    let mut decoder = Decoder::new();
    decoder.push(&mixed);
    for _ in 0..3 {
        assert!(matches!(decoder.step(), Step::Entry { .. }));
    }
    assert_eq!(decoder.step(), Step::Suspect);
    assert_eq!(decoder.resync(), None);
}

#[test]
fn an_unknown_entry_is_named_and_passed() {
    let mut frame = vec![0; HEADER];
    frame.extend_from_slice(br#"{"entry":"from_the_future","x":1}"#);
    let crc = crate::journal::frame::complete(&mut frame, 77, 0, 0);
    let mut sealed = vec![0; HEADER];
    sealed.extend_from_slice(br#"{"entry":"sealed"}"#);
    crate::journal::frame::complete(&mut sealed, 9, 1, crc);
    frame.extend_from_slice(&sealed);
    let (good, bad) = settled(&frame);
    assert_eq!(good, [(1, Entry::Sealed)]);
    assert_eq!(bad[0].kind, DamageKind::UnknownEntry);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overwritten_ranges_never_yield_untruth(
        count in 0u64..20, at in 0usize..4000, noise in proptest::collection::vec(any::<u8>(), 0..300), zero in any::<bool>(),
    ) {
        let all = entries(count);
        let (mut bytes, ends) = written(&all);
        let at = at % bytes.len();
        for (slot, byte) in bytes[at..].iter_mut().zip(&noise) {
            *slot = if zero { 0 } else { *byte };
        }
        let (good, bad) = settled(&bytes);
        assert_truthful(&good, &all);
        let untouched = ends.iter().filter(|end| **end <= at).count();
        prop_assert!(good.len() >= untouched);
        let covered: u64 = bad.iter().map(|damage| damage.bytes.end - damage.bytes.start).sum();
        prop_assert!(covered <= bytes.len() as u64);
    }

    #[test]
    fn any_bytes_in_any_pieces_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..64) {
        let mut decoder = Decoder::new();
        for part in bytes.chunks(piece) {
            decoder.push(part);
            let _ = decoder.step();
            let _ = decoder.resync();
        }
        decoder.settle();
        for _ in 0..bytes.len() + 2 {
            if decoder.step() == Step::End {
                return Ok(());
            }
        }
        prop_assert!(false, "no end");
    }

    #[test]
    fn pieces_of_any_size_give_all(count in 0u64..30, piece in 1usize..200) {
        let all = entries(count);
        let (bytes, _) = written(&all);
        let mut decoder = Decoder::new();
        let mut seen = Vec::new();
        for part in bytes.chunks(piece) {
            decoder.push(part);
            while let Step::Entry { entry, .. } = decoder.step() {
                seen.push(entry);
            }
        }
        prop_assert_eq!(seen.pop(), Some(Entry::Sealed));
        prop_assert_eq!(seen, all);
    }
}
