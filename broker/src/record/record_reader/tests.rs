use super::{
    super::{
        batch::tests::{Sample, sample},
        records,
    },
    *,
};
use proptest::{collection::vec, prelude::*};
use std::io::BufReader;

/// Appends a number as records encode it.
fn put(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_blob(out: &mut Vec<u8>, blob: Option<&[u8]>) {
    put(out, blob.map_or(-1, |blob| blob.len() as i64));
    out.extend(blob.unwrap_or_default());
}

/// Returns an encoded record with these bytes after its length.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    put(&mut record, body.len() as i64);
    record.extend(body);
    record
}

type Blob = Option<Vec<u8>>;

fn blob() -> impl Strategy<Value = Blob> {
    proptest::option::of(vec(any::<u8>(), 0..40))
}

/// Generates encoded records, together with the expected result of reading them.
fn encoded() -> impl Strategy<Value = (Vec<u8>, RecordInfo)> {
    let headers = vec((vec(any::<u8>(), 0..10), blob()), 0..3);
    let numbers = (any::<i64>(), any::<i32>());
    (numbers, blob(), blob(), headers).prop_map(|((time, offset), key, value, headers)| {
        let mut body = vec![0];
        put(&mut body, time);
        put(&mut body, i64::from(offset));
        put_blob(&mut body, key.as_deref());
        put_blob(&mut body, value.as_deref());
        put(&mut body, headers.len() as i64);
        for (name, value) in &headers {
            put_blob(&mut body, Some(name));
            put_blob(&mut body, value.as_deref());
        }
        let info = RecordInfo {
            offset_delta: offset,
            timestamp_delta: time,
            has_key: key.is_some(),
        };
        (with_body(&body), info)
    })
}

fn collect<R: BufRead>(reader: &mut R, count: i32) -> Result<Vec<RecordInfo>, UnreadableRecords> {
    let mut all = Vec::new();
    walk(reader, count, |record| {
        all.push(record);
        ControlFlow::Continue(())
    })
    .map_err(|(index, fault)| fault.at(index, usize::MAX))?;
    Ok(all)
}

fn read(count: i32, records: &[u8]) -> Result<Vec<RecordInfo>, String> {
    collect(&mut &records[..], count).map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn every_record_is_read_whatever_the_buffer(all in vec(encoded(), 0..8), buffer in 1..60usize) {
        let bytes: Vec<u8> = all.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let infos: Vec<_> = all.iter().map(|(_, info)| *info).collect();
        let count = all.len() as i32;
        prop_assert_eq!(read(count, &bytes), Ok(infos.clone()));
        let mut small = BufReader::with_capacity(buffer, &bytes[..]);
        prop_assert_eq!(collect(&mut small, count).unwrap(), infos);
        prop_assert!(count == 0 || read(count - 1, &bytes).is_err());
        prop_assert!(read(count + 1, &bytes).is_err());
    }

    #[test]
    fn a_cut_or_damaged_record_is_refused_or_read_alike(
        (bytes, _) in encoded(),
        buffer in 1..20usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut damaged = bytes.clone();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let mut small = BufReader::with_capacity(buffer, &damaged[..]);
        let in_parts = collect(&mut small, 1).map_err(|error| error.to_string());
        prop_assert_eq!(read(1, &damaged), in_parts);
        prop_assert!(read(1, &bytes[..at]).is_err());
    }

    #[test]
    fn both_readers_agree(bytes in vec(any::<u8>(), 0..60)) {
        // What this reader accepts, the one of the cleaner must decode.
        if let Ok(infos) = read(1, &bytes) {
            let record = records::iter(&bytes).next().unwrap();
            prop_assert_eq!(record.timestamp_delta, infos[0].timestamp_delta);
            prop_assert_eq!(record.bytes, &bytes[..]);
        }
    }
}

#[test]
fn each_fault_is_named() {
    let fault = |record: &[u8]| read(1, record).unwrap_err();
    // Attributes, both deltas, no key, the value "v", and what follows it.
    let body = |tail: &[u8]| with_body(&[&[0, 0, 0, 1, 2, b'v'], tail].concat());
    assert_eq!(read(1, &body(&[0])).map(|all| all.len()), Ok(1));
    // A header "h" with the value null.
    assert!(read(1, &body(&[2, 2, b'h', 1])).is_ok());
    for (record, expected) in [
        (vec![1], "has a negative length"),
        (vec![0xff; 20], "has a number that is too long"),
        (body(&[]), "ends within a field"),
        (body(&[1]), "has a negative number of headers"),
        (body(&[4, 2, b'h', 1]), "ends within a field"),
        (body(&[2, 1, 0]), "has a header without a name"),
        (body(&[0, 0]), "is shorter than its length says"),
        (
            with_body(&[0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0]),
            "has a number that is too long",
        ),
    ] {
        assert_eq!(
            fault(&record),
            format!("record 0 of the batch {expected}"),
            "{record:?}"
        );
    }
    let two = [body(&[0]), body(&[0])].concat();
    assert_eq!(fault(&two), "bytes follow the last record of the batch");
}

#[test]
fn compressed_records_are_read_up_to_the_limit() {
    let plain = sample(&Sample {
        count: 500,
        value_len: 1_000,
        ..Sample::default()
    });
    let records = &plain[HEADER_LEN..];
    for codec in 0..=4i16 {
        let mut batch = plain[..HEADER_LEN].to_vec();
        batch.extend(compression::compress(codec, records).unwrap());
        batch[22] = codec as u8;
        let header = RecordBatchHeader {
            attributes: codec,
            ..RecordBatchHeader::parse(&plain).unwrap()
        };
        let read = |max| {
            let mut next = 0;
            read_all(&header, &batch, max, |record| {
                assert_eq!(record.offset_delta, next);
                assert_eq!(record.timestamp(&header), 1_000 + i64::from(next));
                next += 1;
                ControlFlow::Continue(())
            })
        };
        assert!(read(records.len()).is_ok(), "{codec}");
        let smaller = read(records.len() - 1);
        let is_refused = matches!(smaller, Err(UnreadableRecords::TooLarge { .. }));
        assert_eq!(is_refused, codec != compression::NONE, "{codec}");
    }
}
